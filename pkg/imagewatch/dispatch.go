package imagewatch

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// dispatcher decides what is asked for, when. It has no clock and no network; what it forgets when the process dies is found again:
// it is only about what has been asked for and is not seen yet.
type dispatcher struct {
	maxConcurrent, inFlight int
	confirmTimeout          time.Duration
	// limiter bounds how many rebuilds start in a minute; nil for no bound.
	limiter *rate.Limiter
	// pending are the deliveries on their way, setbacks those that failed, both by the build's name.
	pending  map[string]*delivery
	setbacks map[string]*setback
	// failures is how many deliveries have failed since one was last confirmed; until quiet nothing is sent.
	failures int
	quiet    time.Time
}

// delivery is one event that is being sent, or was accepted and whose PipelineRun is not seen yet.
type delivery struct {
	item rebuild.Item
	// first is when the build was first asked for, sent when this time; attempt counts from 1.
	first, sent time.Time
	attempt     int
	// deadline is when it counts as lost; zero until it is accepted.
	deadline time.Time
}

// setback is why a build that is due is not asked for right now.
type setback struct {
	attempts int
	first    time.Time
	until    time.Time
}

// The pauses after failed deliveries double from the first to the last.
const (
	firstPause = time.Second
	lastPause  = time.Minute
	// againPause is for the caches to catch up.
	againPause = 200 * time.Millisecond
	// troubled is how many deliveries in a row must fail before only one at a time is tried.
	troubled = 3
)

func newDispatcher(o Options) *dispatcher {
	d := &dispatcher{
		maxConcurrent: o.MaxConcurrent, inFlight: o.InFlight, confirmTimeout: o.ConfirmTimeout,
		pending: map[string]*delivery{}, setbacks: map[string]*setback{},
	}
	if o.Rate > 0 {
		burst := max(1, o.Rate/6)
		d.limiter = rate.NewLimiter(rate.Limit(float64(o.Rate)/60), burst)
	}
	return d
}

// decision is what follows from a situation.
type decision struct {
	plan rebuild.Plan
	// send are to be sent now, confirmed and lost were sent before.
	send, confirmed, lost []*delivery
	// wake is when to decide again though nothing has changed; zero for never.
	wake time.Time
}

// decide says what to send now. Each of send is pending until sent, fail or a later decide says otherwise.
func (d *dispatcher) decide(s *situation.Situation, now time.Time) decision {
	out := decision{}
	out.confirmed, out.lost = d.settle(s, now)
	pending := make([]rebuild.Build, 0, len(d.pending))
	for name, p := range d.pending {
		pending = append(pending, rebuild.Build{
			Config: p.item.Config, Name: name, State: rebuild.BuildRunning, Digests: p.item.Digests, Created: p.sent,
		})
	}
	postponed := map[string]bool{}
	for name, b := range d.setbacks {
		if now.Before(b.until) {
			postponed[name] = true
			out.wake = earlier(out.wake, b.until)
		}
	}
	out.plan = s.Plan(d.maxConcurrent, pending, postponed)
	d.forget(out.plan)
	if !s.Paused {
		out.send, out.wake = d.choose(out.plan, now, out.wake)
	}
	for _, p := range d.pending {
		out.wake = earlier(out.wake, p.deadline)
	}
	return out
}

// settle takes from the pending what has become a PipelineRun, and what was lost.
func (d *dispatcher) settle(s *situation.Situation, now time.Time) (confirmed, lost []*delivery) {
	for _, name := range slices.Sorted(maps.Keys(d.pending)) {
		p := d.pending[name]
		_, exists := s.Created(name)
		switch {
		case exists:
			delete(d.pending, name)
			delete(d.setbacks, name)
			d.failures, d.quiet = 0, time.Time{}
			confirmed = append(confirmed, p)
		case !p.deadline.IsZero() && !now.Before(p.deadline):
			d.setBack(name, now)
			lost = append(lost, p)
		}
	}
	return confirmed, lost
}

// choose takes as many as may be sent now.
func (d *dispatcher) choose(plan rebuild.Plan, now, wake time.Time) ([]*delivery, time.Time) {
	var send []*delivery
	for i := range plan.Items {
		item := &plan.Items[i]
		if item.Verdict != rebuild.Ready {
			continue
		}
		if now.Before(d.quiet) {
			return send, earlier(wake, d.quiet)
		}
		if len(d.pending) >= d.window() {
			return send, wake
		}
		if d.limiter != nil && !d.limiter.AllowN(now, 1) {
			missing := 1 - d.limiter.TokensAt(now)
			pause := time.Duration(missing / float64(d.limiter.Limit()) * float64(time.Second))
			return send, earlier(wake, now.Add(pause+time.Millisecond))
		}
		p := &delivery{item: *item, first: now, sent: now, attempt: 1}
		if b := d.setbacks[item.Build]; b != nil {
			p.first, p.attempt = b.first, b.attempts+1
		}
		d.pending[item.Build] = p
		send = append(send, p)
	}
	return send, wake
}

// window is how many deliveries may be on their way: one, if nothing seems to arrive.
func (d *dispatcher) window() int {
	if d.failures >= troubled {
		return 1
	}
	return d.inFlight
}

// accepted notes that the EventListener has taken an event. That is no promise.
func (d *dispatcher) accepted(build string, now time.Time) {
	if p := d.pending[build]; p != nil {
		p.deadline = now.Add(d.confirmTimeout)
	}
}

// failed notes that an event could not be sent. everything says that no other could be either.
func (d *dispatcher) failed(build string, now time.Time, everything bool) {
	if d.pending[build] == nil {
		return
	}
	d.setBack(build, now)
	if everything {
		d.quiet = now.Add(pause(d.failures))
	}
}

// again notes that an event was not sent because the plan was made from something old.
func (d *dispatcher) again(build string, now time.Time) {
	p := d.pending[build]
	if p == nil {
		return
	}
	delete(d.pending, build)
	if d.setbacks[build] == nil {
		d.setbacks[build] = &setback{first: p.first}
	}
	d.setbacks[build].until = now.Add(againPause)
}

func (d *dispatcher) setBack(build string, now time.Time) {
	p := d.pending[build]
	delete(d.pending, build)
	b := d.setbacks[build]
	if b == nil {
		b = &setback{first: p.first}
		d.setbacks[build] = b
	}
	b.attempts++
	d.failures++
	b.until = now.Add(pause(b.attempts))
}

// forget drops the setbacks of builds that are not due any more.
func (d *dispatcher) forget(plan rebuild.Plan) {
	if len(d.setbacks) == 0 {
		return
	}
	due := map[string]bool{}
	for _, item := range plan.Items {
		due[item.Build] = true
	}
	maps.DeleteFunc(d.setbacks, func(name string, _ *setback) bool { return !due[name] && d.pending[name] == nil })
}

// pause after a number of failures.
func pause(failures int) time.Duration {
	p := firstPause
	for range failures - 1 {
		if p *= 2; p >= lastPause {
			return lastPause
		}
	}
	return p
}

// earlier is the earlier of two moments; zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
