package imagewatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

const (
	// atLeast is how often the leader decides though nothing seems to have changed; stuck is when it counts as hanging.
	atLeast = 30 * time.Second
	stuck   = 5 * time.Minute
	// leastPause is between two decisions, longer if they take long, so that a burst of changes is planned once.
	leastPause = 20 * time.Millisecond
	// giveUp is how often a watcher that runs once tries, and how often before people are told.
	giveUp = 3
)

// leader is the state of one term of leading.
type leader struct {
	*watcher
	reader   situation.Reader
	dispatch *dispatcher
	chores   *chores
	// results are what deliveries and chores have come to; each is called by the loop.
	results chan func(now time.Time)
	// told is what people were told last of a build config.
	told     map[string]string
	expected expected
	// recorded are the build configs in which nothing is missing of their newest run.
	recorded map[string]recorded
	// traces are the spans of what was asked for.
	traces *traces
}

// recorded is a build config, and its newest run, as they were when nothing was missing.
type recorded struct {
	config *situation.Config
	run    *situation.PipelineRun
	// begun is for how many requests runs had begun.
	begun int
}

// lead decides and sends until ctx ends, or, once, until nothing is left to do.
func (w *watcher) lead(ctx context.Context, once bool) error {
	if err := w.caches.wait(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	l := &leader{
		watcher: w, reader: situation.Reader{Namespace: w.o.Namespace}, dispatch: newDispatcher(w.o), told: map[string]string{},
		expected: expected{asked: map[string]bool{}, explained: map[string]types.UID{}}, recorded: map[string]recorded{},
		results: make(chan func(time.Time)),
	}
	l.chores, l.traces = newChores(l.results), newTraces(w.o.Tracer)
	defer l.traces.close()
	w.o.Metrics.leader.Set(1)
	defer w.o.Metrics.leader.Set(0)
	defer w.turned.Store(0)
	for {
		began := time.Now()
		wake, done := l.turn(ctx, began)
		if once && done {
			return l.left()
		}
		w.turned.Store(time.Now().UnixNano())
		if err := l.wait(ctx, wake, max(leastPause, 4*time.Since(began))); err != nil {
			return err
		}
	}
}

// turn looks at how things stand, and does what follows.
func (l *leader) turn(ctx context.Context, now time.Time) (wake time.Time, done bool) {
	stored := l.caches.objects()
	s := l.reader.Read(stored)
	d := l.dispatch.decide(s, now)
	l.o.Metrics.planning.Observe(time.Since(now).Seconds())
	l.tell(s, d)
	l.traces.sweep(l.dispatch)
	for _, p := range d.send {
		l.expected.asked[p.item.Build] = true
		go l.deliver(l.traces.ask(ctx, s, p, now), s.Configs[p.item.Config], p)
	}
	l.chores.begin()
	l.record(ctx, s, now)
	l.suspect(ctx, s, stored.Runs, now)
	if l.o.ScheduledImports {
		for _, m := range l.missingBases(stored, s) {
			l.want(ctx, "stream "+m.stream+":"+m.tag, s.Configs[m.config], now, func(ctx context.Context) error { return l.createStream(ctx, m) })
		}
	}
	l.caches.allowed(l.o)
	l.o.Metrics.show(s, d, len(l.dispatch.pending))
	done = len(l.dispatch.pending) == 0 && len(l.chores.running) == 0 && !l.dispatch.more(d, s.Paused)
	return earlier(d.wake, l.chores.wake), done
}

// more says whether something is still to be sent, or tried again.
func (d *dispatcher) more(made decision, paused bool) bool {
	if paused {
		return false
	}
	for _, b := range d.setbacks {
		if b.attempts < giveUp {
			return true
		}
	}
	return slices.ContainsFunc(made.plan.Items, func(i rebuild.Item) bool { return i.Verdict == rebuild.Ready })
}

// left is the error of what could not be started.
func (l *leader) left() error {
	if n := len(l.dispatch.setbacks); n > 0 {
		return failure.New(failure.Unavailable, "%d of the builds that are due could not be started", n)
	}
	return nil
}

// wait waits for the pause, and then until something has changed, a result has come, or wake.
func (l *leader) wait(ctx context.Context, wake time.Time, pause time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
	}
	now := time.Now()
	wake = earlier(wake, now.Add(atLeast))
	due := time.NewTimer(wake.Sub(now))
	defer due.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case result := <-l.results:
		result(time.Now())
	case <-l.changed:
	case <-due.C:
	}
	for {
		select {
		case result := <-l.results:
			result(time.Now())
		default:
			return nil
		}
	}
}

// deliver sends one event and says what came of it.
func (l *leader) deliver(ctx context.Context, k *situation.Config, p *delivery) {
	build := p.item.Build
	err := l.send(ctx, k, p)
	report(ctx, l.results, func(now time.Time) {
		var everything *refused
		switch {
		case err == nil:
			l.o.Log.Debug("event accepted", "buildConfig", p.item.Config, "build", build, "attempt", p.attempt)
			l.dispatch.accepted(build, now)
			l.traces.note(build, spanAccepted)
		case errors.Is(err, errChanged):
			l.o.Log.Debug("event not sent", "buildConfig", p.item.Config, "build", build, "error", err)
			l.dispatch.again(build, now)
			l.traces.delivered(build, spanOutdated, nil)
		case errors.As(err, &everything):
			l.dispatch.failed(build, now, true)
			l.failed(k, p, reasonRefused, err)
		default:
			l.dispatch.failed(build, now, false)
			l.failed(k, p, reasonInvalid, err)
		}
	})
}

// report hands a result to the loop. At the end nobody takes it: what came of it will be seen by whoever leads next.
func report(ctx context.Context, results chan<- func(time.Time), result func(time.Time)) {
	select {
	case results <- result:
	case <-ctx.Done():
	}
}

// failed tells of a delivery that came to nothing: people only when it has happened a few times.
func (l *leader) failed(k *situation.Config, p *delivery, reason string, err error) {
	l.o.Metrics.failed.WithLabelValues(reason).Inc()
	l.traces.delivered(p.item.Build, reason, err)
	l.o.Log.Warn("delivery failed", "buildConfig", p.item.Config, "build", p.item.Build, "attempt", p.attempt, "reason", reason, "error", err)
	if p.attempt == giveUp || reason == reasonInvalid && p.attempt == 1 {
		l.events.Eventf(k.Object, corev1.EventTypeWarning, "RebuildNotDelivered", "build %s could not be started: %v", p.item.Build, err)
	}
}

// record writes what the newest runs have tried, and how they ended, into the build configs.
func (l *leader) record(ctx context.Context, s *situation.Situation, now time.Time) {
	maps.DeleteFunc(l.recorded, func(name string, _ recorded) bool { return s.Newest[name] == nil })
	for name, run := range s.Newest {
		k := s.Configs[name]
		if k == nil || k.Err != nil || l.recorded[name] == (recorded{k, run, len(s.Begun[name])}) {
			continue
		}
		begun := s.Begun[name]
		triggered, ended, answered := unrecorded(k.Object, k.BuildConfig, run, begun)
		if !triggered && !ended && !answered {
			l.recorded[name] = recorded{k, run, len(begun)}
			continue
		}
		key := fmt.Sprintf("record %s %s %s %s", name, k.Object.ResourceVersion, run.Name, run.Facts.State)
		l.want(ctx, key, k, now, func(ctx context.Context) error {
			err := l.recordRun(ctx, k.Object, run, begun)
			if err == nil && ended && run.Facts.Autorebuild && run.Facts.State == situation.Failed {
				l.events.Eventf(k.Object, corev1.EventTypeWarning, "RebuildFailed", "build %s failed: %s", run.Name, run.Facts.Message)
			}
			return err
		})
	}
}

// want does a chore for a build config, nil if it does not exist; people are told when it has failed a few times. A conflict means that the cache is behind.
func (l *leader) want(ctx context.Context, key string, k *situation.Config, now time.Time, do func(context.Context) error) {
	l.chores.want(ctx, key, now, do, func(attempts int, err error) {
		if failure.KindOf(err) == failure.Conflict {
			return
		}
		l.o.Log.Warn("trying again", "what", key, "attempt", attempts, "error", err)
		if attempts == giveUp && k != nil {
			l.events.Eventf(k.Object, corev1.EventTypeWarning, "NotWritten", "%v", err)
		}
	})
}

// tell says what a decision means: in the log, the metrics, and to people.
func (l *leader) tell(s *situation.Situation, d decision) {
	for _, p := range d.confirmed {
		l.traces.end(p.item.Build, spanSeen)
		k := s.Configs[p.item.Config]
		created, _ := s.Created(p.item.Build)
		if created.Before(p.first.Truncate(time.Second)) {
			l.o.Metrics.deduplicated.Inc()
			continue
		}
		l.o.Metrics.started.Inc()
		l.o.Metrics.toRun.Observe(time.Since(p.first).Seconds())
		l.o.Metrics.changeToRun.Observe(time.Since(changedAt(s, p.item)).Seconds())
		l.o.Log.Info("rebuild started", "buildConfig", p.item.Config, "build", p.item.Build, "reason", because(p.item))
		if k != nil {
			l.events.Eventf(k.Object, corev1.EventTypeNormal, "RebuildStarted", "build %s: %s", p.item.Build, because(p.item))
		}
	}
	for _, p := range d.lost {
		err := failure.New(failure.Unavailable, "an event was accepted, but no PipelineRun came of it in %s", l.o.ConfirmTimeout)
		if k := s.Configs[p.item.Config]; k != nil {
			l.failed(k, p, reasonLost, err)
		}
	}
	now := map[string]string{}
	for name, k := range s.Configs {
		if k.Err != nil {
			now[name] = "Malformed: " + k.Err.Error()
		}
	}
	for _, item := range d.plan.Items {
		switch item.Verdict {
		case rebuild.ParentFailed:
			now[item.Config] = "RebuildHeld: it stays on the old base, since the builds of " + strings.Join(item.HeldBy, ", ") + " failed"
		case rebuild.Cycle:
			now[item.Config] = "Cycle: it is built on an image that is built on it; changes are not followed around the circle"
		default:
		}
	}
	for name, text := range now {
		if k := s.Configs[name]; k != nil && l.told[name] != text {
			reason, message, _ := strings.Cut(text, ": ")
			l.o.Log.Warn(message, "buildConfig", name, "reason", reason)
			l.events.Event(k.Object, corev1.EventTypeWarning, reason, message)
		}
	}
	l.told = now
}

// changedAt is when the last of the bases moved that are reasons, or when a person asked, if that is later.
func changedAt(s *situation.Situation, item rebuild.Item) time.Time {
	var at time.Time
	for _, reason := range item.Reasons {
		for _, since := range []time.Time{s.State.Tags[reason.Base].Since, reason.At} {
			if since.After(at) {
				at = since
			}
		}
	}
	return at
}

// because is the reasons in a sentence.
func because(item rebuild.Item) string {
	parts := make([]string, 0, len(item.Reasons))
	for _, r := range item.Reasons {
		if r.Kind == rebuild.Requested {
			parts = append(parts, r.CausedBy+" asked for it")
			continue
		}
		part := fmt.Sprintf("%s moved from %s to %s", r.Base, short(r.OldDigest), short(r.NewDigest))
		if r.CausedBy != "" {
			part += " by " + r.CausedBy
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// short is a digest for people.
func short(digest string) string {
	const shown = 12
	if _, hex, found := strings.Cut(digest, ":"); found && len(hex) > shown {
		return hex[:shown]
	}
	if digest == "" {
		return "nothing"
	}
	return digest
}
