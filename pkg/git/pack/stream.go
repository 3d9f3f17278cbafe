package pack

import (
	"context"
	"crypto/sha1" //nolint:gosec // the checksum of a pack is SHA-1 by definition; it protects against accidents only
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// trailer is the length of the checksum at the end of a pack.
const trailer = sha1.Size

// stream reads ahead of the parser, so that the server is not kept waiting, and stores what it reads.
type stream struct {
	ctx    context.Context //nolint:containedctx // that of one call of Receive, whose state this is
	chunks chan []byte
	done   chan struct{}
	file   *os.File
	limit  int64
	sumOf  hash.Hash
	tail   []byte // the last bytes that came, which may be the trailer
	size   int64
	err    error // why no more chunks come; set before chunks is closed

	rest []byte
	read int64
}

func newStream(ctx context.Context, r io.Reader, file *os.File, limit int64) *stream {
	s := &stream{ctx: ctx, chunks: make(chan []byte, 16), done: make(chan struct{}), file: file, limit: limit, sumOf: sha1.New()} //nolint:gosec // see the import
	go s.pump(r)
	return s
}

// pump stores the stream and passes it on.
func (s *stream) pump(r io.Reader) {
	defer close(s.done)
	defer close(s.chunks)
	for {
		chunk := make([]byte, 128<<10)
		n, err := fill(r, chunk)
		if n > 0 {
			s.err = s.store(chunk[:n])
		}
		if s.err != nil {
			return
		}
		if n > 0 {
			select {
			case s.chunks <- chunk[:n]:
			case <-s.ctx.Done():
				s.err = s.ctx.Err()
				return
			}
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// fill reads until the chunk is at least half full: sideband packets are small.
func fill(r io.Reader, chunk []byte) (int, error) {
	n := 0
	for n < len(chunk)/2 {
		m, err := r.Read(chunk[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *stream) store(chunk []byte) error {
	if s.size += int64(len(chunk)); s.size > s.limit {
		return tooLarge("the size of the pack in bytes", s.limit)
	}
	if _, err := s.file.Write(chunk); err != nil {
		return failure.New(failure.Storage, "storing the pack: %w", err)
	}
	if len(chunk) >= trailer {
		s.sumOf.Write(s.tail)
		s.sumOf.Write(chunk[:len(chunk)-trailer])
		s.tail = append(s.tail[:0], chunk[len(chunk)-trailer:]...)
		return nil
	}
	s.tail = append(s.tail, chunk...)
	if over := len(s.tail) - trailer; over > 0 {
		s.sumOf.Write(s.tail[:over])
		s.tail = append(s.tail[:0], s.tail[over:]...)
	}
	return nil
}

// Read implements io.Reader for the parser.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		chunk, ok := <-s.chunks
		if !ok {
			return 0, s.err
		}
		s.rest = chunk
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	s.read += int64(n)
	return n, nil
}

// finish waits for the end of the stream, after the parser has ended with parsed, and returns the pack's checksum. Only the
// checksum may follow what the parser has read.
func (s *stream) finish(parsed error) (Hash, error) {
	if parsed != nil {
		// The pump ends by itself: Receive's caller closes the connection, and nobody takes more chunks.
		go func() {
			for range s.chunks {
			}
		}()
		return Hash{}, parsed
	}
	for range s.chunks {
	}
	<-s.done
	var sum Hash
	switch {
	case !errors.Is(s.err, io.EOF):
		return sum, fmt.Errorf("reading the pack: %w", s.err)
	case len(s.tail) != trailer || string(s.sumOf.Sum(nil)) != string(s.tail):
		return sum, malformed("its checksum is wrong: %w", io.ErrUnexpectedEOF)
	}
	copy(sum[:], s.tail)
	return sum, nil
}
