package build

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// The end of a failed instruction's output that its error quotes.
const (
	tailBytes = 4 << 10
	tailLines = 20
)

// tail passes output on and remembers its end.
type tail struct {
	mu   sync.Mutex
	next io.WriteCloser
	end  []byte
}

func newTail(next io.WriteCloser) *tail { return &tail{next: next} }

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.end = append(t.end, p...)
	if len(t.end) > 4*tailBytes {
		t.end = append(t.end[:0], t.end[len(t.end)-tailBytes:]...)
	}
	t.mu.Unlock()
	return t.next.Write(p)
}

// Close passes an unfinished line on.
func (t *tail) Close() error { return t.next.Close() }

// text is what the last step printed, at most tailLines lines of it.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.end
	if i := bytes.LastIndex(end, []byte("\nSTEP ")); i >= 0 {
		end = end[i+1:]
	}
	if bytes.HasPrefix(end, []byte("STEP ")) {
		if _, after, found := bytes.Cut(end, []byte("\n")); found {
			end = after
		}
	}
	if len(end) > tailBytes {
		end = end[len(end)-tailBytes:]
	}
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(string(end), "?"), "\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}
