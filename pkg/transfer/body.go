package transfer

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/osbs-tekton/osbs/pkg/progress"
)

// stallLimit is how long a registry may take nothing of an upload before the connection counts as broken.
const stallLimit = 2 * time.Minute

var errStalled = errors.New("the upload stalled")

// tracked remembers whether it was the content that could not be read, tells how much was, and ends the upload when nothing is read for
// too long. The transport may still be reading when the registry has answered, and closes the content then: what that does to the read
// is no failure.
type tracked struct {
	io.ReadCloser
	stall *time.Timer
	meter *meter // may be nil

	mu     sync.Mutex
	failed error
	closed bool
}

// errSentAlready says that the content was to be sent once more, after a registry had refused what was sent of it. It cannot be: whoever
// knows how to open it again has to.
var errSentAlready = errors.New("the registry refused the content after it was sent: the token may have expired")

func (t *tracked) Read(p []byte) (int, error) {
	t.mu.Lock()
	closed := t.closed
	t.mu.Unlock()
	if closed {
		return 0, errSentAlready
	}
	n, err := t.ReadCloser.Read(p)
	if t.stall.Stop() && err == nil { // after the last byte the time limit of the answer counts
		t.stall.Reset(stallLimit)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) && !t.closed {
		t.failed = err
	}
	if t.meter != nil && !t.closed {
		t.meter.add(int64(n))
	}
	return n, err
}

// Close implements io.Closer.
func (t *tracked) Close() error {
	t.end()
	return t.ReadCloser.Close()
}

// end says that the request is over: what is still read counts no more.
func (t *tracked) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// failure is why the content could not be read; nil if it could.
func (t *tracked) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// meter tells a task how much of a blob is there. It can go back, and never beyond the blob's size.
type meter struct {
	task progress.Task

	mu    sync.Mutex
	shown int64
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shown += n
	m.task.Add(n)
}

// set corrects what has been told to what is known.
func (m *meter) set(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n != m.shown {
		m.task.Add(n - m.shown)
		m.shown = n
	}
}
