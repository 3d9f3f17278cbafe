package worktree

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // git's index ends with a SHA-1 of itself
	"encoding/binary"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// writeIndex writes git's index, version 2: what is in the tree, and what stat said when it was written, so that git need not read
// every file to know that nothing has changed.
func (p *Plan) writeIndex(name string) error {
	pending, err := renameio.NewPendingFile(name, renameio.WithPermissions(0o644), renameio.WithTempDir(filepath.Dir(name)))
	if err != nil {
		return failure.New(failure.Storage, "writing git's index: %w", err)
	}
	defer pending.Cleanup() //nolint:errcheck // nothing is left to clean up after a success
	sum := sha1.New()       //nolint:gosec // see the import
	w := bufio.NewWriterSize(io.MultiWriter(pending, sum), 256<<10)
	order := slices.Clone(p.files)
	slices.SortFunc(order, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	head := binary.BigEndian.AppendUint32([]byte("DIRC\x00\x00\x00\x02"), uint32(len(order)))
	_, err = w.Write(head)
	for _, f := range order {
		if err == nil {
			_, err = w.Write(f.indexEntry())
		}
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		_, err = pending.Write(sum.Sum(nil))
	}
	if err == nil {
		err = pending.CloseAtomicallyReplace()
	}
	if err != nil {
		return failure.New(failure.Storage, "writing git's index: %w", err)
	}
	return nil
}

// indexEntry is the file's entry in the index. git stores the low 32 bits of every number.
func (f *file) indexEntry() []byte {
	b := make([]byte, 0, 72+len(f.path))
	put := func(v uint32) { b = binary.BigEndian.AppendUint32(b, v) }
	put(uint32(f.stat.Ctim.Sec))
	put(uint32(f.stat.Ctim.Nsec))
	put(uint32(f.stat.Mtim.Sec))
	put(uint32(f.stat.Mtim.Nsec))
	put(uint32(f.stat.Dev))
	put(uint32(f.stat.Ino))
	put(f.mode)
	put(f.stat.Uid)
	put(f.stat.Gid)
	put(uint32(f.stat.Size))
	b = append(b, f.hash[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(min(len(f.path), 0xfff)))
	b = append(b, f.path...)
	for pad := 8 - len(b)%8; pad > 0; pad-- { // one to eight NULs
		b = append(b, 0)
	}
	return b
}
