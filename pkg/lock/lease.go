package lock

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

const (
	// placePoll is how often the first of those who wait looks whether the holder has ended; the second looks half as often, and so
	// on, but none less often than maxPoll.
	placePoll = time.Second
	maxPoll   = 10 * time.Second
	// maxAway is how long a build that waits bears with an API server that does not answer.
	maxAway = 10 * time.Minute
	// maxWaiting is how many builds may wait for one lock: they are listed in an annotation, and those are bounded.
	maxWaiting = 200
)

// Lease keeps locks as Leases of a cluster. A Lease names the PipelineRun that holds the lock and, in an annotation, those that wait.
// The API server compares resource versions, so that of several who write only one succeeds. A holder is alive until its PipelineRun
// has ended or is gone and none of its pods runs any more, so no clean-up is needed.
type Lease struct {
	env    step.Env
	leases cluster.Resource[coordinationv1.Lease]
	builds builds
	marks  cluster.Resource[mark]
	poll   time.Duration
}

var _ Locker = (*Lease)(nil)

// NewLease returns the locks of the client's namespace.
func NewLease(c *cluster.Client, env step.Env) *Lease {
	return &Lease{
		env:    env.WithDefaults(),
		leases: cluster.For[coordinationv1.Lease](c, coordinationv1.SchemeGroupVersion, "leases", "Lease"),
		builds: newBuilds(c),
		marks:  cluster.For[mark](c, schema.GroupVersion{Version: "v1"}, "configmaps", "ConfigMap"),
		poll:   placePoll,
	}
}

// Created is when a build was created: its PipelineRun's time. That there is no such build is failure.NotFound.
func (l *Lease) Created(ctx context.Context, build Holder) (time.Time, error) {
	run, err := l.builds.find(ctx, build)
	if err != nil {
		return time.Time{}, err
	}
	return run.CreationTimestamp.UTC(), nil
}

// Acquire implements Locker. The build must be a PipelineRun that has not ended.
func (l *Lease) Acquire(ctx context.Context, name string, r Request) error {
	run, err := l.builds.find(ctx, r.Holder)
	if err != nil {
		return err
	}
	if run.ended() {
		return failure.New(failure.Cancelled, "build %s has ended, it takes no lock", r.Build)
	}
	e := entry{Holder: Holder{Build: r.Build, UID: r.UID}, Autorebuild: r.Autorebuild, Created: r.Created}
	if e.Created.IsZero() {
		e.Created = run.CreationTimestamp.UTC()
	}
	waits := patience{env: l.env, since: time.Now()}
	for {
		place, err := l.look(ctx, name, e, r.Policy)
		if err == nil && place == 0 {
			return nil
		}
		if err = waits.bear(err); err == nil {
			err = sleep(ctx, l.pause(place))
		}
		if err != nil {
			return errors.Join(err, giveUp(ctx, l, name, r.Holder, err))
		}
	}
}

// patience is that of a build which waits with an API server which is away.
type patience struct {
	env   step.Env
	waits bool
	since time.Time
}

// bear returns the error that ends the waiting.
func (p *patience) bear(err error) error {
	switch {
	case err == nil:
		p.waits, p.since = true, time.Now()
		return nil
	case p.waits && failure.KindOf(err) == failure.Unavailable && time.Since(p.since) < maxAway:
		p.env.Log.Warn("the API server does not answer; the build keeps waiting", "error", err)
		return nil
	default:
		return err
	}
}

// pause is how long the build at a place waits until it looks again. The times differ, so that those who wait do not look all at once.
func (l *Lease) pause(place int) time.Duration {
	d := min(l.poll*time.Duration(max(place, 1)), maxPoll)
	return d*3/4 + rand.N(d/2+1) //nolint:gosec // nothing secret depends on it
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// look is one look at the lock. It returns the build's place among those who wait, counted from 1; 0 means that it holds the lock.
func (l *Lease) look(ctx context.Context, name string, e entry, policy Policy) (int, error) {
	place := 0
	err := l.change(ctx, name, func(s *state) error {
		res, by, err := l.turn(ctx, s, e, policy)
		place = s.place(e.UID)
		switch {
		case err != nil:
			return err
		case res == refused:
			var running *Holder
			if s.Holder != nil {
				running = &s.Holder.Holder
			}
			return busy(name, running, s.waiters())
		case res == replaced:
			return superseded(name, e.Build, by)
		case len(s.Waiting) > maxWaiting:
			return failure.New(failure.Unavailable, "%d builds of %s wait already", maxWaiting, name)
		default:
			return nil
		}
	})
	return place, err
}

// turn gives the build the lock, a place among those who wait, or neither. A build that arrives looks whether the others live. Later it
// looks at the one before it only, so that each of those who wait is looked at by one other.
func (l *Lease) turn(ctx context.Context, s *state, e entry, policy Policy) (result, string, error) {
	if !s.knows(e.UID) {
		if err := l.bury(ctx, s); err != nil {
			return refused, "", err
		}
	}
	for {
		res, by := s.try(e, policy, time.Now().UTC())
		if res != waiting {
			return res, by, nil
		}
		before, holds := s.before(e.UID)
		alive, err := l.builds.alive(ctx, before, holds)
		if err != nil || alive {
			return res, "", err
		}
		s.leave(before.UID)
	}
}

// bury takes out whoever is dead.
func (l *Lease) bury(ctx context.Context, s *state) error {
	for _, b := range s.all() {
		alive, err := l.builds.alive(ctx, b, s.Holder != nil && s.Holder.UID == b.UID)
		if err != nil {
			return err
		}
		if !alive {
			s.leave(b.UID)
		}
	}
	return nil
}

// Release implements Locker.
func (l *Lease) Release(ctx context.Context, name string, holder Holder) error {
	return l.change(ctx, name, func(s *state) error {
		s.leave(holder.UID)
		return nil
	})
}

// Holder implements Locker.
func (l *Lease) Holder(ctx context.Context, name string) (*Holder, error) {
	_, s, err := l.read(ctx, name)
	if err != nil || s.Holder == nil {
		return nil, err
	}
	alive, err := l.builds.alive(ctx, s.Holder.Holder, true)
	if err != nil || !alive {
		return nil, err
	}
	return &s.Holder.Holder, nil
}

// Waiting returns who waits for the lock, the next first.
func (l *Lease) Waiting(ctx context.Context, name string) ([]Holder, error) {
	_, s, err := l.read(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := l.bury(ctx, s); err != nil {
		return nil, err
	}
	return s.waiters(), nil
}

// read returns what is known of a lock, and the Lease that says so, nil if there is none.
func (l *Lease) read(ctx context.Context, name string) (*coordinationv1.Lease, *state, error) {
	lease, err := l.leases.Get(ctx, name)
	if failure.KindOf(err) == failure.NotFound {
		return nil, &state{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := fromLease(lease)
	return lease, s, err
}

// change stores what op makes of the state, unless somebody else was faster: then it begins again. An error of op keeps the change from
// being stored, unless it is failure.Skipped.
func (l *Lease) change(ctx context.Context, name string, op func(*state) error) error {
	var ended error
	contest := retry.Policy{Attempts: 60, First: 5 * time.Millisecond, Max: 500 * time.Millisecond}
	err := retry.Do(ctx, nil, contest, "changing the lock of "+name, func(ctx context.Context) error {
		lease, s, err := l.read(ctx, name)
		if err == nil {
			err = op(s)
		}
		if err == nil || failure.KindOf(err) == failure.Skipped {
			stored := l.store(ctx, name, lease, s)
			switch failure.KindOf(stored) {
			case "":
			case failure.Conflict, failure.NotFound: // written, or deleted, since it was read
				return retry.Temporary(stored)
			default:
				err = stored
			}
		}
		ended = err
		return nil
	})
	switch {
	case err == nil:
		return ended
	case retry.IsTemporary(err): // the tries are spent, but the next look may be luckier
		return failure.New(failure.Unavailable, "%s", err.Error())
	default:
		return err
	}
}

// store writes the state into the Lease it was read from, if it has changed.
func (l *Lease) store(ctx context.Context, name string, lease *coordinationv1.Lease, s *state) error {
	next, changed, err := toLease(name, lease, s, time.Now())
	switch {
	case err != nil || !changed:
		return err
	case lease == nil:
		_, err = l.leases.Create(ctx, name, next)
	default:
		_, err = l.leases.Update(ctx, name, next)
	}
	return err
}
