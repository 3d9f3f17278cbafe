package pack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/zlib"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Pack is a pack that was received. Its methods are safe for concurrent use.
type Pack struct {
	file    *os.File
	size    int64
	sum     Hash
	entries []*entry // by offset
	named   []*entry // by hash
	limits  Limits
}

// ErrNotFound says that a pack does not hold an object.
var ErrNotFound = errors.New("the object is not in the pack")

// Close releases the file. The pack stays in the repository.
func (p *Pack) Close() error { return p.file.Close() }

// Len is the number of objects.
func (p *Pack) Len() int { return len(p.entries) }

// Size is the size of the pack in bytes.
func (p *Pack) Size() int64 { return p.size }

func (p *Pack) find(h Hash) (*entry, bool) {
	i, ok := slices.BinarySearchFunc(p.named, h, func(e *entry, h Hash) int { return slices.Compare(e.hash[:], h[:]) })
	if !ok {
		return nil, false
	}
	return p.named[i], true
}

// Has says whether the pack holds the object.
func (p *Pack) Has(h Hash) bool {
	_, ok := p.find(h)
	return ok
}

// Object reads an object into memory: one within Limits.Memory, which all but very large files are.
func (p *Pack) Object(h Hash) (Type, []byte, error) {
	e, ok := p.find(h)
	if !ok {
		return 0, nil, fmt.Errorf("%s: %w", h, ErrNotFound)
	}
	o, err := p.object(e, 0)
	return o.typ, o.data, err
}

// WriteTo writes an object's data, however large it is.
func (p *Pack) WriteTo(w io.Writer, h Hash) error {
	e, ok := p.find(h)
	if !ok {
		return fmt.Errorf("%s: %w", h, ErrNotFound)
	}
	if e.delta() || e.size <= inline {
		o, err := p.object(e, 0)
		if err != nil {
			return err
		}
		_, err = w.Write(o.data)
		return err
	}
	z, err := p.inflate(e)
	if err != nil {
		return err
	}
	defer z.Close()
	_, err = io.CopyN(w, z, e.size)
	return err
}

// maxChain bounds how many differences an object may be away from one that is stored whole. git itself makes at most 4095.
const maxChain = 4096

func (p *Pack) object(e *entry, depth int) (object, error) {
	typ, data, err := p.raw(e)
	if err != nil || !e.delta() {
		return object{typ, data}, err
	}
	if depth > maxChain {
		return object{}, malformed("object at %d is too many differences away from a whole one", e.offset)
	}
	base, ok := p.baseOf(e, nil)
	if !ok {
		return object{}, malformed("object at %d builds on one that is not in it", e.offset)
	}
	from, err := p.object(base, depth+1)
	if err != nil {
		return object{}, err
	}
	out, err := applyDelta(from.data, data, p.limits.Memory)
	if err != nil {
		return object{}, malformed("object at %d: %w", e.offset, err)
	}
	return object{from.typ, out}, nil
}

// baseOf finds the entry that e builds on. byHash is used while the pack has no order by hash yet.
func (p *Pack) baseOf(e *entry, byHash map[Hash]int) (*entry, bool) {
	if e.typ == plumbing.REFDeltaObject {
		if byHash == nil {
			return p.find(e.ref)
		}
		i, ok := byHash[e.ref]
		if !ok {
			return nil, false
		}
		return p.entries[i], true
	}
	i, ok := slices.BinarySearchFunc(p.entries, e.base, func(e *entry, offset int64) int { return int(e.offset - offset) })
	if !ok {
		return nil, false
	}
	return p.entries[i], true
}

// raw reads what is stored for e: the object, or a difference.
func (p *Pack) raw(e *entry) (Type, []byte, error) {
	if e.size > p.limits.Memory {
		return 0, nil, tooLarge("the size of one object in bytes", p.limits.Memory)
	}
	z, err := p.inflate(e)
	if err != nil {
		return 0, nil, err
	}
	defer z.Close()
	data, err := inflateExactly(z, e.size)
	if err != nil {
		return 0, nil, malformed("object at %d: %w", e.offset, err)
	}
	return e.typ, data, nil
}

func (p *Pack) inflate(e *entry) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(p.file, e.offset, p.size-e.offset), 16<<10)
	again := entry{offset: e.offset}
	if err := again.readHeader(in); err != nil {
		return nil, err
	}
	return zlib.NewReader(in)
}

// keep gives the pack its final name, with an index beside it.
func (p *Pack) keep(dir string) error {
	if err := p.checksums(); err != nil {
		return err
	}
	p.named = slices.Clone(p.entries)
	sort.Slice(p.named, func(i, j int) bool { return slices.Compare(p.named[i].hash[:], p.named[j].hash[:]) < 0 })
	p.named = slices.CompactFunc(p.named, func(a, b *entry) bool { return a.hash == b.hash })
	name := filepath.Join(dir, "pack-"+p.sum.String())
	if err := os.Rename(p.file.Name(), name+".pack"); err != nil {
		return failure.New(failure.Storage, "storing the pack: %w", err)
	}
	if err := p.writeIndex(name + ".idx"); err != nil {
		_ = os.Remove(name + ".pack")
		return failure.New(failure.Storage, "storing the index of the pack: %w", err)
	}
	return nil
}

// checksums computes the CRC of each object as it is stored, in one pass over the file.
func (p *Pack) checksums() error {
	in := bufio.NewReaderSize(io.NewSectionReader(p.file, 0, p.size-trailer), 256<<10)
	if _, err := in.Discard(12); err != nil {
		return failure.New(failure.Storage, "reading the pack: %w", err)
	}
	for i, e := range p.entries {
		end := p.size - trailer
		if i+1 < len(p.entries) {
			end = p.entries[i+1].offset
		}
		for left := end - e.offset; left > 0; {
			part, err := in.Peek(int(min(left, int64(in.Size()))))
			if err != nil {
				return failure.New(failure.Storage, "reading the pack: %w", err)
			}
			e.crc = crc32.Update(e.crc, crc32.IEEETable, part)
			n, _ := in.Discard(len(part))
			left -= int64(n)
		}
	}
	return nil
}

// writeIndex writes the index in git's version 2.
func (p *Pack) writeIndex(name string) error {
	f, err := renameio.NewPendingFile(name, renameio.WithPermissions(0o444), renameio.WithTempDir(filepath.Dir(name)))
	if err != nil {
		return err
	}
	defer f.Cleanup() //nolint:errcheck // nothing is left to clean up after a success
	w := newSummed(f)
	w.bytes([]byte("\xfftOc\x00\x00\x00\x02"))
	next := 0
	for first := range 256 {
		for next < len(p.named) && int(p.named[next].hash[0]) <= first {
			next++
		}
		w.uint32(uint32(next))
	}
	for _, e := range p.named {
		w.bytes(e.hash[:])
	}
	for _, e := range p.named {
		w.uint32(e.crc)
	}
	var large []int64
	for _, e := range p.named {
		if e.offset < 1<<31 {
			w.uint32(uint32(e.offset))
			continue
		}
		w.uint32(1<<31 | uint32(len(large)))
		large = append(large, e.offset)
	}
	for _, offset := range large {
		w.bytes(binary.BigEndian.AppendUint64(nil, uint64(offset)))
	}
	w.bytes(p.sum[:])
	if err := w.finish(); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// Discard closes the pack and removes it from the repository.
func (p *Pack) Discard() error {
	name := filepath.Join(filepath.Dir(p.file.Name()), "pack-"+p.sum.String())
	_ = p.file.Close()
	for _, suffix := range []string{".idx", ".pack"} {
		if err := os.Remove(name + suffix); err != nil {
			return failure.New(failure.Storage, "removing a pack: %w", err)
		}
	}
	return nil
}

// Streamable says whether the pack holds the object, and how many bytes WriteTo can write of it without holding them in memory: 0
// if it must be held anyway.
func (p *Pack) Streamable(h Hash) (size int64, ok bool) {
	e, ok := p.find(h)
	if !ok || e.delta() {
		return 0, ok
	}
	return e.size, true
}
