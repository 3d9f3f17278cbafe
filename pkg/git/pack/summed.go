package pack

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // git's index files end with a SHA-1 of themselves
	"encoding/binary"
	"hash"
	"io"
)

// summed writes a file that ends with its own checksum.
type summed struct {
	w   *bufio.Writer
	sum hash.Hash
	err error
}

func newSummed(w io.Writer) *summed {
	s := &summed{sum: sha1.New()} //nolint:gosec // see the import
	s.w = bufio.NewWriterSize(io.MultiWriter(w, s.sum), 64<<10)
	return s
}

func (s *summed) bytes(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (s *summed) uint32(v uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	s.bytes(b[:])
}

// finish writes the checksum.
func (s *summed) finish() error {
	if s.err != nil {
		return s.err
	}
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.w.Write(s.sum.Sum(nil)); err != nil {
		return err
	}
	return s.w.Flush()
}
