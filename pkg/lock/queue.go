package lock

import (
	"cmp"
	"slices"
	"time"

	"github.com/osbs-tekton/osbs/internal/process"
)

// state is what is known of one lock: who holds it and who waits. Its methods are the rules; they know no files.
type state struct {
	Holder  *entry  `json:"holder,omitempty"`
	Waiting []entry `json:"waiting,omitempty"`
	// Superseded are builds that have not yet noticed that they need not wait any more.
	Superseded []entry `json:"superseded,omitempty"`
	// Next numbers arrivals.
	Next int64 `json:"next,omitempty"`
}

// entry is one build that holds, waits, or was superseded.
type entry struct {
	Holder
	Process     process.ID `json:"process,omitzero"`
	Autorebuild bool       `json:"autorebuild,omitempty"`
	Created     time.Time  `json:"created"`
	Arrival     int64      `json:"arrival"`
	Since       time.Time  `json:"since,omitzero"`
	By          string     `json:"supersededBy,omitempty"`
}

// result is what a build's turn came to.
type result int

const (
	waiting result = iota
	acquired
	refused
	replaced
)

// bury takes out whoever is dead. It says whether anything changed.
func (s *state) bury(alive func(process.ID) bool) bool {
	dead := func(e entry) bool { return !alive(e.Process) }
	before := len(s.Waiting) + len(s.Superseded)
	s.Waiting = slices.DeleteFunc(s.Waiting, dead)
	s.Superseded = slices.DeleteFunc(s.Superseded, dead)
	changed := before != len(s.Waiting)+len(s.Superseded)
	if s.Holder != nil && dead(*s.Holder) {
		s.Holder, changed = nil, true
	}
	return changed
}

// try gives e the lock, a place among those who wait, or neither.
func (s *state) try(e entry, policy Policy, now time.Time) (result, string) {
	same := func(o entry) bool { return o.UID == e.UID }
	if s.Holder != nil && same(*s.Holder) {
		s.Holder.Process, s.Holder.PID = e.Process, e.PID
		return acquired, ""
	}
	if i := slices.IndexFunc(s.Superseded, same); i >= 0 {
		by := s.Superseded[i].By
		s.Superseded = slices.Delete(s.Superseded, i, i+1)
		return replaced, by
	}
	if !slices.ContainsFunc(s.Waiting, same) {
		if policy == Fail && (s.Holder != nil || len(s.Waiting) > 0) {
			return refused, ""
		}
		if by := s.enqueue(e); by != "" {
			return replaced, by
		}
	}
	if s.Holder != nil || !same(s.Waiting[0]) {
		return waiting, ""
	}
	first := s.Waiting[0]
	first.Since = now
	s.Holder, s.Waiting = &first, s.Waiting[1:]
	return acquired, ""
}

// enqueue adds e in its place. Of two autorebuilds that wait the older is superseded; if that is e, the newer one's name is returned.
func (s *state) enqueue(e entry) (by string) {
	s.Next++
	e.Arrival = s.Next
	if e.Autorebuild {
		for _, o := range s.Waiting {
			if o.Autorebuild && order(o, e) > 0 {
				return o.Build
			}
		}
		s.Waiting = slices.DeleteFunc(s.Waiting, func(o entry) bool {
			if o.Autorebuild {
				o.By = e.Build
				s.Superseded = append(s.Superseded, o)
			}
			return o.Autorebuild
		})
	}
	s.Waiting = append(s.Waiting, e)
	slices.SortStableFunc(s.Waiting, order)
	return ""
}

// order is that of creation; of builds created in one moment, that of arrival.
func order(a, b entry) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Arrival, b.Arrival))
}

// leave takes the build out. It says whether it was in.
func (s *state) leave(uid string) bool {
	same := func(e entry) bool { return e.UID == uid }
	before := len(s.Waiting) + len(s.Superseded)
	s.Waiting = slices.DeleteFunc(s.Waiting, same)
	s.Superseded = slices.DeleteFunc(s.Superseded, same)
	changed := before != len(s.Waiting)+len(s.Superseded)
	if s.Holder != nil && same(*s.Holder) {
		s.Holder, changed = nil, true
	}
	return changed
}

func (s *state) waiters() []Holder {
	out := make([]Holder, 0, len(s.Waiting))
	for _, e := range s.Waiting {
		out = append(out, e.Holder)
	}
	return out
}

// all are the builds that hold, wait or were superseded.
func (s *state) all() []Holder {
	var out []Holder
	if s.Holder != nil {
		out = append(out, s.Holder.Holder)
	}
	for _, e := range slices.Concat(s.Waiting, s.Superseded) {
		out = append(out, e.Holder)
	}
	return out
}

// knows says whether the build holds, waits or was superseded.
func (s *state) knows(uid string) bool {
	return slices.ContainsFunc(s.all(), func(h Holder) bool { return h.UID == uid })
}

// place is the build's among those who wait, counted from 1; 0 if it does not wait.
func (s *state) place(uid string) int {
	return 1 + slices.IndexFunc(s.Waiting, func(e entry) bool { return e.UID == uid })
}

// before is the build directly before one that waits. holds says that it is the holder.
func (s *state) before(uid string) (h Holder, holds bool) {
	if place := s.place(uid); place > 1 {
		return s.Waiting[place-2].Holder, false
	}
	return s.Holder.Holder, true
}
