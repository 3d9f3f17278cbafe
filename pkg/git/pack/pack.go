// Package pack receives a git pack: it stores the stream, checks and names every object in it while it arrives, hands the objects
// to the caller in the same pass, and writes the index that git needs. Contents are unpacked once, not once to index and once more
// to check out.
package pack

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Type is the type of an object.
type Type = plumbing.ObjectType

// Hash is the name of an object.
type Hash = plumbing.Hash

// Limits bound what a server can make us store and hold. Zero values are the defaults.
type Limits struct {
	// Objects is how many objects a pack may hold; 4 million if 0.
	Objects uint32
	// Pack is the size of the pack, in bytes; 8 GiB if 0.
	Pack int64
	// Unpacked is the size of all objects together, unpacked, in bytes; 32 GiB if 0.
	Unpacked int64
	// Memory is the size of an object that must be held in memory (trees, commits, and whatever is stored as a difference), in
	// bytes; 256 MiB if 0.
	Memory int64
}

func (l Limits) withDefaults() Limits {
	if l.Objects == 0 {
		l.Objects = 4 << 20
	}
	if l.Pack == 0 {
		l.Pack = 8 << 30
	}
	if l.Unpacked == 0 {
		l.Unpacked = 32 << 30
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	return l
}

// Visitor is told of the objects in a pack while it arrives.
type Visitor struct {
	// Structure gets every commit, tree and tag in the order of the pack. It may keep data. Not called concurrently.
	Structure func(t Type, h Hash, data []byte) error
	// Blobs is called once, before the first Blob. It says whether Blob is wanted.
	Blobs func() (bool, error)
	// Blob gets files that are not too large, each at most once, concurrently. It must not keep data. What it is not given is read
	// from the Pack afterwards.
	Blob func(h Hash, data []byte) error
}

const (
	// inline is the largest blob that is held in memory on its way through; a larger one is hashed as a stream.
	inline = 8 << 20
	// inFlight bounds the blobs that wait for a worker, in bytes.
	inFlight = 24 << 20
	// workers hash and write files. More of them than processors, because writing files waits for the disk.
	workers = 4
)

// entry is one object of a pack.
type entry struct {
	offset int64
	size   int64 // unpacked; of a delta: of the delta itself
	crc    uint32
	typ    Type // as stored; that of a delta is its base's
	hash   Hash
	base   int64 // offset of the base of an OFS delta
	ref    Hash  // name of the base of a REF delta
}

func (e *entry) delta() bool {
	return e.typ == plumbing.OFSDeltaObject || e.typ == plumbing.REFDeltaObject
}

// receiver is one pack on its way in.
type receiver struct {
	limits   Limits
	visit    Visitor
	in       *bufio.Reader
	stream   *stream
	inflate  io.ReadCloser
	entries  []*entry
	unpacked int64
	recent   recent
	blobs    chan job
	ctx      context.Context //nolint:containedctx // that of one call of Receive, whose state this is
	room     *semaphore.Weighted
	wanted   bool // whether Visitor.Blob is wanted
	asked    bool
	deferred []int // entries whose base was not at hand
}

// Receive stores the pack that r delivers in dir (a repository's objects/pack), with its index. The caller closes the Pack. After
// an error nothing is left in dir.
func Receive(ctx context.Context, r io.Reader, dir string, limits Limits, visit Visitor) (*Pack, error) {
	file, err := os.CreateTemp(dir, "tmp_pack_")
	if err != nil {
		return nil, failure.New(failure.Storage, "storing the pack: %w", err)
	}
	p, err := receive(ctx, r, file, limits.withDefaults(), visit)
	if err == nil {
		err = p.keep(dir)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(file.Name())
		return nil, err
	}
	return p, nil
}

func receive(ctx context.Context, r io.Reader, file *os.File, limits Limits, visit Visitor) (*Pack, error) {
	group, workCtx := errgroup.WithContext(ctx)
	s := newStream(workCtx, r, file, limits.Pack)
	rc := &receiver{
		limits: limits, visit: visit, in: bufio.NewReaderSize(s, 64<<10), stream: s,
		recent: recent{limit: 16 << 20}, blobs: make(chan job, 256), ctx: workCtx, room: semaphore.NewWeighted(inFlight),
	}
	for range workers {
		group.Go(rc.work)
	}
	err := rc.parse()
	close(rc.blobs)
	if waited := group.Wait(); waited != nil { // a worker's error is the cause of the parser's
		err = waited
	}
	sum, streamErr := s.finish(err)
	if err == nil {
		err = streamErr
	}
	if err != nil {
		return nil, err
	}
	p := &Pack{file: file, size: s.size, sum: sum, entries: rc.entries, limits: limits}
	rc.ctx = ctx
	if err := rc.resolveDeferred(p); err != nil {
		return nil, err
	}
	return p, nil
}

// malformed is an error of a pack that is no pack. Another try may get a better one.
func malformed(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	var classified *failure.Error
	if errors.As(err, &classified) || errors.Is(err, context.Canceled) {
		return err // the disk is full, or nobody waits for it any more: nothing is wrong with the pack
	}
	return fmt.Errorf("the pack is malformed: %w", err)
}

func tooLarge(what string, limit int64) error {
	return failure.New(failure.InvalidInput, "the repository is too large: %s exceeds %d", what, limit)
}

// parse reads the objects one after the other.
func (r *receiver) parse() error {
	var header [12]byte
	if _, err := io.ReadFull(r.in, header[:]); err != nil {
		return fmt.Errorf("reading the pack's header: %w", noEOF(err))
	}
	if string(header[:4]) != "PACK" || binary.BigEndian.Uint32(header[4:8]) != 2 {
		return malformed("it does not begin as version 2 does")
	}
	count := binary.BigEndian.Uint32(header[8:])
	if count > r.limits.Objects {
		return tooLarge("the number of objects", int64(r.limits.Objects))
	}
	r.entries = make([]*entry, 0, min(count, 1<<16)) // grown as objects arrive: the count is only a claim
	for range count {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := r.object(); err != nil {
			return err
		}
	}
	return nil
}

// noEOF makes an early end an error that a retry knows.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// position is the offset of the next unread byte in the pack.
func (r *receiver) position() int64 { return r.stream.read - int64(r.in.Buffered()) }

// object reads one object.
func (r *receiver) object() error {
	e := &entry{offset: r.position()}
	if err := e.readHeader(r.in); err != nil {
		return err
	}
	if e.size > r.limits.Unpacked-r.unpacked {
		return tooLarge("the size of all files in bytes", r.limits.Unpacked)
	}
	r.unpacked += e.size
	if e.typ == plumbing.BlobObject && e.size > inline {
		if err := r.hashStream(e); err != nil {
			return err
		}
		r.entries = append(r.entries, e)
		return nil
	}
	if e.size > r.limits.Memory {
		return tooLarge("the size of one object in bytes", r.limits.Memory)
	}
	data, err := r.unpack(e.size)
	if err != nil {
		return malformed("object at %d: %w", e.offset, err)
	}
	r.entries = append(r.entries, e)
	return r.take(len(r.entries)-1, data)
}

// readHeader reads what stands before an object's data.
func (e *entry) readHeader(in *bufio.Reader) error {
	b, err := in.ReadByte()
	if err != nil {
		return fmt.Errorf("reading the pack: %w", noEOF(err))
	}
	e.typ, e.size = Type(b>>4&7), int64(b&15)
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = in.ReadByte(); err != nil {
			return fmt.Errorf("reading the pack: %w", noEOF(err))
		}
		if shift > 53 {
			return malformed("object at %d has no sensible size", e.offset)
		}
		e.size |= int64(b&0x7f) << shift
	}
	switch e.typ {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
		return nil
	case plumbing.OFSDeltaObject:
		return e.readBaseOffset(in)
	case plumbing.REFDeltaObject:
		if _, err := io.ReadFull(in, e.ref[:]); err != nil {
			return fmt.Errorf("reading the pack: %w", noEOF(err))
		}
		return nil
	default:
		return malformed("object at %d has the unknown type %d", e.offset, e.typ)
	}
}

func (e *entry) readBaseOffset(in *bufio.Reader) error {
	distance := int64(-1)
	for {
		b, err := in.ReadByte()
		if err != nil {
			return fmt.Errorf("reading the pack: %w", noEOF(err))
		}
		distance = (distance+1)<<7 | int64(b&0x7f)
		if distance > e.offset {
			return malformed("object at %d builds on one outside of the pack", e.offset)
		}
		if b&0x80 == 0 {
			break
		}
	}
	if e.base = e.offset - distance; distance <= 0 || e.base < 12 {
		return malformed("object at %d builds on one outside of the pack", e.offset)
	}
	return nil
}

// open starts to inflate what comes next.
func (r *receiver) open() error {
	if r.inflate == nil {
		z, err := zlib.NewReader(r.in)
		r.inflate = z
		return err
	}
	return r.inflate.(zlib.Resetter).Reset(r.in, nil) //nolint:forcetypeassert // the package documents it
}

// unpack reads one object's data, which must have exactly size bytes.
func (r *receiver) unpack(size int64) ([]byte, error) {
	if err := r.open(); err != nil {
		r.inflate = nil
		return nil, err
	}
	return inflateExactly(r.inflate, size)
}

// inflateExactly reads size bytes and the end of the stream, which holds a checksum. Memory grows with what arrives, not with what
// is claimed.
func inflateExactly(z io.Reader, size int64) ([]byte, error) {
	const trusted = 1 << 20
	data := make([]byte, min(size, trusted))
	if _, err := io.ReadFull(z, data); err != nil {
		return nil, noEOF(err)
	}
	for int64(len(data)) < size {
		more := min(size-int64(len(data)), int64(len(data)))
		data = append(data, make([]byte, more)...)
		if _, err := io.ReadFull(z, data[int64(len(data))-more:]); err != nil {
			return nil, noEOF(err)
		}
	}
	return data, atEnd(z)
}

func atEnd(z io.Reader) error {
	var more [1]byte
	n, err := z.Read(more[:])
	for n == 0 && err == nil {
		n, err = z.Read(more[:])
	}
	switch {
	case n != 0:
		return errors.New("it is longer than it says")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return noEOF(err)
	}
}

// hashStream names a blob that is too large for memory.
func (r *receiver) hashStream(e *entry) error {
	if err := r.open(); err != nil {
		r.inflate = nil
		return malformed("object at %d: %w", e.offset, err)
	}
	h := plumbing.NewHasher(e.typ, e.size)
	if n, err := io.CopyN(h, r.inflate, e.size); err != nil {
		return malformed("object at %d ends after %d of %d bytes: %w", e.offset, n, e.size, noEOF(err))
	}
	if err := atEnd(r.inflate); err != nil {
		return malformed("object at %d: %w", e.offset, err)
	}
	e.hash = h.Sum()
	return nil
}

// take finds out what an object is and hands it on.
func (r *receiver) take(i int, data []byte) error {
	e := r.entries[i]
	typ := e.typ
	if e.delta() {
		base, ok := r.recent.get(e.base)
		if e.typ == plumbing.REFDeltaObject || !ok {
			r.deferred = append(r.deferred, i)
			return nil
		}
		var err error
		if data, err = applyDelta(base.data, data, r.limits.Memory); err != nil {
			return malformed("object at %d: %w", e.offset, err)
		}
		if r.unpacked += int64(len(data)); r.unpacked > r.limits.Unpacked {
			return tooLarge("the size of all files in bytes", r.limits.Unpacked)
		}
		typ = base.typ
	}
	r.recent.add(e.offset, object{typ, data})
	return r.dispatch(i, object{typ, data})
}

// dispatch names an object: structure at once and in order, blobs in the background.
func (r *receiver) dispatch(i int, o object) error {
	e := r.entries[i]
	if o.typ != plumbing.BlobObject {
		e.hash = plumbing.ComputeHash(o.typ, o.data)
		if r.visit.Structure == nil {
			return nil
		}
		return r.visit.Structure(o.typ, e.hash, o.data)
	}
	if err := r.askBlobs(); err != nil {
		return err
	}
	weight := min(int64(len(o.data))+1, inFlight)
	if err := r.room.Acquire(r.ctx, weight); err != nil {
		return err
	}
	select {
	case r.blobs <- job{e, o.data, weight}:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// job is a blob on its way to a worker.
type job struct {
	e      *entry
	data   []byte
	weight int64
}

// work names blobs and hands them on, until there are no more.
func (r *receiver) work() error {
	for j := range r.blobs {
		err := r.blob(j)
		r.room.Release(j.weight)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *receiver) blob(j job) error {
	j.e.hash = plumbing.ComputeHash(plumbing.BlobObject, j.data)
	if !r.wanted {
		return nil
	}
	return r.visit.Blob(j.e.hash, j.data)
}

// askBlobs asks the caller, once and before the first blob, whether it wants them.
func (r *receiver) askBlobs() error {
	if r.asked || r.visit.Blobs == nil {
		return nil
	}
	r.asked = true
	var err error
	r.wanted, err = r.visit.Blobs()
	return err
}

// resolveDeferred names the objects whose base came after them, or was too far back.
func (r *receiver) resolveDeferred(p *Pack) error {
	if len(r.deferred) == 0 {
		return nil
	}
	byHash := map[Hash]int{}
	for i, e := range p.entries {
		if !e.hash.IsZero() {
			byHash[e.hash] = i
		}
	}
	for len(r.deferred) > 0 {
		var still []int
		for _, i := range r.deferred {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			e := p.entries[i]
			base, ok := p.baseOf(e, byHash)
			if !ok || base.hash.IsZero() {
				still = append(still, i)
				continue
			}
			if err := r.resolve(p, e, base); err != nil {
				return err
			}
			byHash[e.hash] = i
		}
		if len(still) == len(r.deferred) {
			return malformed("%d objects build on one that is not in it", len(still))
		}
		r.deferred = still
	}
	return nil
}
