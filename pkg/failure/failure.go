// Package failure gives an error a kind: what a person must do about it.
//
// Every program of this project ends with the exit code of the kind of its error, so that a pipeline, a script and a person tell
// a typing error from a registry that is down without reading text.
package failure

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what went wrong, in the words that results, logs and --output json use.
type Kind string

// The kinds, each with the exit code that ExitCode gives. They are documented in docs/exit-codes.md.
const (
	Internal     Kind = "Internal"     // 1: a defect, or something nobody classified
	Usage        Kind = "Usage"        // 2: a flag, an argument or a configuration file is wrong
	InvalidInput Kind = "InvalidInput" // 3: the repository is wrong: Dockerfile, labels, repo config file
	NotFound     Kind = "NotFound"     // 4: a branch, commit, base image, build or repository does not exist
	Unauthorized Kind = "Unauthorized" // 5: credentials are missing, unreadable or refused
	Conflict     Kind = "Conflict"     // 6: another build runs, the primary tag exists, the branch moved, names collide
	Unavailable  Kind = "Unavailable"  // 7: a server is down, full, or answers rubbish, after all retries
	BuildFailed  Kind = "BuildFailed"  // 8: an instruction of the Dockerfile failed
	Storage      Kind = "Storage"      // 9: the disk is full, read-only or gone
	Skipped      Kind = "Skipped"      // 10: nothing was built because the repository asks for that
	Untrusted    Kind = "Untrusted"    // 11: a certificate or host key is not trusted, or content differs from its digest
	TimedOut     Kind = "TimedOut"     // 12: a time limit that a person set has passed
	Cancelled    Kind = "Cancelled"    // 143: SIGTERM, SIGINT or cancel-build
)

var exitCodes = map[Kind]int{
	Internal: 1, Usage: 2, InvalidInput: 3, NotFound: 4, Unauthorized: 5, Conflict: 6, Unavailable: 7,
	BuildFailed: 8, Storage: 9, Skipped: 10, Untrusted: 11, TimedOut: 12, Cancelled: 143,
}

// ExitCode is the process exit code of the kind.
func (k Kind) ExitCode() int {
	if c, ok := exitCodes[k]; ok {
		return c
	}
	return 1
}

// KindOfExitCode is the kind that a program's exit code tells of. A program that a signal has ended (128 and the signal's number)
// was cancelled if the signal was SIGTERM or SIGINT; all else is Internal.
func KindOfExitCode(code int) Kind {
	const sigint = 128 + 2
	if code == 0 {
		return ""
	}
	if code == sigint {
		return Cancelled
	}
	for kind, c := range exitCodes {
		if c == code {
			return kind
		}
	}
	return Internal
}

// Error is an error with a kind. Hint, if not empty, says what would be right; it is printed on a line of its own.
type Error struct {
	Kind Kind
	Hint string
	Err  error
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Err.Error() + "\nhint: " + e.Hint
	}
	return e.Err.Error()
}

// Unwrap returns the error that was given a kind.
func (e *Error) Unwrap() error { return e.Err }

// New returns an error of kind k; format and args are fmt.Errorf's, %w included.
func New(k Kind, format string, args ...any) error {
	return &Error{Kind: k, Err: fmt.Errorf(format, args...)}
}

// WithHint returns err with the kind it has and a sentence that says what would be right.
func WithHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: KindOf(err), Hint: fmt.Sprintf(format, args...), Err: err}
}

// KindOf is the kind of the outermost Error in err's chain. A context that ended is Cancelled or TimedOut whatever wraps it
// without a kind; anything else is Internal, and nil has the empty kind.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	default:
		return Internal
	}
}
