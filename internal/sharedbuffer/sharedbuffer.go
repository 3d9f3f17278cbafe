// Package sharedbuffer is a buffer for tests, which one goroutine writes to, such as a log, while another reads what is there.
package sharedbuffer

import (
	"bytes"
	"sync"
)

// Buffer is empty at first. It is safe for concurrent use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what has been written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
