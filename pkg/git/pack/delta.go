package pack

import (
	"errors"

	"github.com/go-git/go-git/v5/plumbing"
)

// object is an unpacked object.
type object struct {
	typ  Type
	data []byte
}

// recent keeps the last objects unpacked, up to a size: an object is often stored as a difference to one shortly before it.
type recent struct {
	limit   int64
	size    int64
	objects map[int64]object
	order   []int64
}

func (r *recent) get(offset int64) (object, bool) {
	o, ok := r.objects[offset]
	return o, ok
}

func (r *recent) add(offset int64, o object) {
	if int64(len(o.data)) > r.limit/4 {
		return
	}
	if r.objects == nil {
		r.objects = map[int64]object{}
	}
	r.objects[offset] = o
	r.order = append(r.order, offset)
	r.size += int64(len(o.data))
	for r.size > r.limit {
		oldest := r.order[0]
		r.order = r.order[1:]
		r.size -= int64(len(r.objects[oldest].data))
		delete(r.objects, oldest)
	}
}

var errDelta = errors.New("it is a malformed difference")

// applyDelta makes an object from its base and the difference to it. The result has at most limit bytes.
func applyDelta(base, delta []byte, limit int64) ([]byte, error) {
	baseSize, delta, ok := deltaSize(delta)
	if !ok || baseSize != int64(len(base)) {
		return nil, errDelta
	}
	size, delta, ok := deltaSize(delta)
	if !ok {
		return nil, errDelta
	}
	if size > limit {
		return nil, tooLarge("the size of one object in bytes", limit)
	}
	out := make([]byte, 0, min(size, int64(len(base))+int64(len(delta)))) // the size is only a claim
	for len(delta) > 0 {
		var part []byte
		if part, delta, ok = deltaPart(base, delta); !ok || int64(len(out)+len(part)) > size {
			return nil, errDelta
		}
		out = append(out, part...)
	}
	if int64(len(out)) != size {
		return nil, errDelta
	}
	return out, nil
}

func deltaSize(delta []byte) (size int64, rest []byte, ok bool) {
	for i, b := range delta {
		if i > 8 {
			return 0, nil, false
		}
		size |= int64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return size, delta[i+1:], size >= 0
		}
	}
	return 0, nil, false
}

// deltaPart executes one instruction: copy from the base, or insert what follows.
func deltaPart(base, delta []byte) (part, rest []byte, ok bool) {
	op, delta := delta[0], delta[1:]
	if op&0x80 == 0 {
		if op == 0 || int(op) > len(delta) {
			return nil, nil, false
		}
		return delta[:op], delta[op:], true
	}
	var number [7]int64 // 4 bytes of offset, 3 of size; those that are absent are 0
	for i := range number {
		if op>>i&1 == 0 {
			continue
		}
		if len(delta) == 0 {
			return nil, nil, false
		}
		number[i], delta = int64(delta[0]), delta[1:]
	}
	offset := number[0] | number[1]<<8 | number[2]<<16 | number[3]<<24
	size := number[4] | number[5]<<8 | number[6]<<16
	if size == 0 {
		size = 0x10000
	}
	if offset+size > int64(len(base)) {
		return nil, nil, false
	}
	return base[offset : offset+size], delta, true
}

// resolve names an object whose base is known, and hands it on.
func (r *receiver) resolve(p *Pack, e, base *entry) error {
	from, ok := r.recent.get(base.offset)
	if !ok {
		var err error
		if from, err = p.object(base, 0); err != nil {
			return err
		}
		r.recent.add(base.offset, from)
	}
	_, delta, err := p.raw(e)
	if err != nil {
		return err
	}
	data, err := applyDelta(from.data, delta, r.limits.Memory)
	if err != nil {
		return malformed("object at %d: %w", e.offset, err)
	}
	if r.unpacked += int64(len(data)); r.unpacked > r.limits.Unpacked {
		return tooLarge("the size of all files in bytes", r.limits.Unpacked)
	}
	e.hash = plumbing.ComputeHash(from.typ, data)
	r.recent.add(e.offset, object{from.typ, data})
	switch {
	case from.typ != plumbing.BlobObject && r.visit.Structure != nil:
		return r.visit.Structure(from.typ, e.hash, data)
	case from.typ == plumbing.BlobObject && r.wanted:
		return r.visit.Blob(e.hash, data)
	default:
		return nil
	}
}
