package forecast

import (
	"container/heap"
	"slices"
	"time"

	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Estimate is how long everything takes that is not held back, if each build takes as long as it did last and none fails.
type Estimate struct {
	Seconds float64 `json:"seconds"`
	// Unknown is how many of the builds have no time that is known. AssumedSeconds is what they are taken to need: the median of all
	// that are known.
	Unknown        int     `json:"unknown,omitempty"`
	AssumedSeconds float64 `json:"assumedSeconds,omitempty"`
}

// burstOf is how many rebuilds the watcher starts at once though their rate is bounded.
func burstOf(rate int) int { return max(1, rate/6) }

// estimate lets the rebuilds, which come in the order in which they start, run in thought. It is nil if nothing is rebuilt, or no time
// is known.
func estimate(o *osbs.Outlook, rebuilds []Rebuild, now time.Time) *Estimate {
	typical := median(o.Images)
	if len(rebuilds) == 0 || typical == 0 {
		return nil
	}
	out := &Estimate{}
	began := map[string]time.Time{}
	for _, b := range o.State.Builds {
		if b.State == rebuild.BuildRunning && !b.Created.IsZero() {
			began[b.Name] = b.Created
		}
	}
	s := newSimulation(o, len(rebuilds))
	for i, r := range rebuilds {
		took := r.LastTookSeconds
		if took == 0 {
			out.Unknown++
			out.AssumedSeconds = typical
			took = typical
		}
		if r.Verdict == rebuild.Running && len(r.HeldBy) > 0 && !began[r.HeldBy[0]].IsZero() {
			took = max(0, took-now.Sub(began[r.HeldBy[0]]).Seconds())
		}
		s.add(i, r, took)
	}
	out.Seconds = s.run()
	return out
}

// median of the times that are known, in seconds.
func median(images map[string]osbs.Image) float64 {
	var known []float64
	for _, image := range images {
		if image.Took > 0 {
			known = append(known, image.Took.Seconds())
		}
	}
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return known[len(known)/2]
}

// simulation runs builds in thought: those that can start do so in their order, as far as the bounds allow.
type simulation struct {
	budget, rate int
	took         []float64
	// waiting is how many builds each still waits for, next those that wait for it.
	waiting []int
	next    [][]int
	index   map[string]int
	running []int
	ready   queue
	ends    ends
	started int
}

func newSimulation(o *osbs.Outlook, builds int) *simulation {
	s := &simulation{budget: o.State.Budget, took: make([]float64, builds), waiting: make([]int, builds), next: make([][]int, builds), index: map[string]int{}}
	if o.Bounds != nil {
		s.rate = o.Bounds.Rate
	}
	return s
}

// add notes a build. Those that it waits for were added before, since they are of an earlier wave.
func (s *simulation) add(i int, r Rebuild, took float64) {
	s.took[i], s.index[r.BuildConfig] = took, i
	switch r.Verdict {
	case rebuild.Running:
		s.running = append(s.running, i)
		return
	case rebuild.Waiting:
		for _, name := range r.HeldBy {
			if before, ok := s.index[name]; ok {
				s.next[before] = append(s.next[before], i)
				s.waiting[i]++
			}
		}
	default:
	}
	if s.waiting[i] == 0 {
		heap.Push(&s.ready, i)
	}
}

// run returns when the last build ends, in seconds from now.
func (s *simulation) run() float64 {
	for _, i := range s.running {
		heap.Push(&s.ends, end{s.took[i], i})
	}
	for now := 0.0; ; {
		for len(s.ready) > 0 && (s.budget == 0 || len(s.ends) < s.budget) {
			i, _ := heap.Pop(&s.ready).(int)
			heap.Push(&s.ends, end{max(now, s.allowed()) + s.took[i], i})
			s.started++
		}
		if len(s.ends) == 0 {
			return now
		}
		first, _ := heap.Pop(&s.ends).(end)
		now = max(now, first.at)
		for _, i := range s.next[first.build] {
			if s.waiting[i]--; s.waiting[i] == 0 {
				heap.Push(&s.ready, i)
			}
		}
	}
}

// allowed is from when on the rate lets one more build start.
func (s *simulation) allowed() float64 {
	if s.rate == 0 {
		return 0
	}
	return max(0, float64(s.started+1-burstOf(s.rate))*time.Minute.Seconds()/float64(s.rate))
}

// end is when a build ends.
type end struct {
	at    float64
	build int
}

// ends has the earliest first.
type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push implements heap.Interface.
func (e *ends) Push(x any) {
	if one, ok := x.(end); ok {
		*e = append(*e, one)
	}
}

// Pop implements heap.Interface.
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// queue has the build first that comes first in the plan.
type queue []int

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i] < q[j] }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	if one, ok := x.(int); ok {
		*q = append(*q, one)
	}
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
