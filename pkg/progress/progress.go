// Package progress tells a person how far a long piece of work is: a line that redraws itself on a terminal, plain lines in a log.
package progress

// Reporter shows pieces of work, several at once.
type Reporter interface {
	// Start announces a piece of work, such as `push layer 3f2a`; total is its size in bytes, 0 when unknown.
	Start(name string, total int64) Task
}

// Task is one piece of work. Its methods are safe for concurrent use.
type Task interface {
	// Add says that n more bytes are done; a retry takes bytes back with a negative n.
	Add(n int64)
	// Done ends the piece of work; note, such as `exists already`, is shown with it, and err if it failed.
	Done(note string, err error)
}

// Discard shows nothing.
var Discard Reporter = discard{}

type discard struct{}

func (discard) Start(string, int64) Task { return discard{} }
func (discard) Add(int64)                {}
func (discard) Done(string, error)       {}
