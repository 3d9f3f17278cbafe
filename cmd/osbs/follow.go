package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/report"
)

// cancelTimeout bounds how long a cancelled build may take to end.
const cancelTimeout = 20 * time.Second

// follow shows a build, and the rebuilds that it causes, until all have ended, and returns their last states. When ctx ends before,
// they are left: see leave.
func (s *session) follow(ctx context.Context, created osbs.Build, lines report.LogLines) (osbs.Build, []osbs.Build) {
	running := context.WithoutCancel(ctx)
	follower := s.follower(running, created, lines)
	watching, stop := context.WithCancel(running)
	var group sync.WaitGroup
	group.Go(func() { s.watchFamily(watching, created, follower) })
	if lines == report.BuildLines || lines == report.AllLines {
		group.Go(func() {
			if err := s.Logs(watching, created.Name, true, follower.Log()); err != nil && watching.Err() == nil {
				s.warn("the log cannot be shown any more: " + err.Error())
			}
		})
	}
	s.await(ctx, created)
	build, rebuilds := created, s.rebuilds(running, created)
	if b, err := s.Get(running, created.Name); err == nil {
		build = *b
	} else {
		s.warn("the build cannot be read: " + err.Error())
	}
	follower.Show(build)
	for _, b := range rebuilds {
		follower.Show(b)
	}
	stop()
	group.Wait()
	return build, rebuilds
}

// await returns when the build and what it causes have ended, or nobody waits for them any more.
func (s *session) await(ctx context.Context, created osbs.Build) {
	switch err := s.Wait(ctx); {
	case err == nil:
	case ctx.Err() != nil:
		s.leave(context.WithoutCancel(ctx), created)
	default:
		s.warn("the build cannot be watched any more: " + err.Error())
	}
}

func (s *session) follower(ctx context.Context, created osbs.Build, lines report.LogLines) *report.Follower {
	f := report.NewFollower(s.text, created.Name, lines, func(w io.Writer) error { return s.Logs(ctx, created.Name, false, w) })
	f.Show(created)
	return f
}

// watchFamily shows the events of the build and of the rebuilds after it.
func (s *session) watchFamily(ctx context.Context, created osbs.Build, f *report.Follower) {
	for event, err := range s.Watch(ctx, "") {
		if err != nil {
			if ctx.Err() == nil {
				s.warn("builds cannot be watched any more: " + err.Error())
			}
			return
		}
		if related(event.Build, created) {
			f.Show(event.Build)
		}
	}
}

// related says whether a build is the one that was asked for, or a rebuild since.
func related(b, created osbs.Build) bool {
	return b.Name == created.Name || b.Autorebuild && !b.Created.Before(created.Created)
}

// rebuilds are those since a build, in their last states, the oldest first.
func (s *session) rebuilds(ctx context.Context, created osbs.Build) []osbs.Build {
	out := []osbs.Build{}
	all, err := s.List(ctx, osbs.Filter{})
	if err != nil {
		s.warn("builds cannot be listed: " + err.Error())
	}
	for _, b := range slices.Backward(all) {
		if b.Name != created.Name && related(b, created) && b.State.Ended() {
			out = append(out, b)
		}
	}
	return out
}

// caused is the build and what it has caused, directly or not. A rebuild that another build has caused, perhaps in another process, is
// not: one that runs here ends with the instance, and is left to the next build.
func caused(all []osbs.Build, created osbs.Build) []osbs.Build {
	family := map[string]bool{created.Name: true}
	for grown := true; grown; {
		grown = false
		for _, b := range all {
			if b.CausedBy != "" && family[b.CausedBy] && !family[b.Name] {
				family[b.Name], grown = true, true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(b osbs.Build) bool { return !family[b.Name] })
}

// cancelFamily ends the build and what it has caused.
func (s *session) cancelFamily(ctx context.Context, created osbs.Build) {
	all, err := s.List(ctx, osbs.Filter{})
	if err != nil {
		all = []osbs.Build{created}
	}
	s.cancelAll(ctx, caused(all, created))
}

// cancelAll ends those of the builds that run.
func (s *session) cancelAll(ctx context.Context, builds []osbs.Build) {
	s.warn("cancelling; interrupt again to end at once")
	ctx, cancel := context.WithTimeout(ctx, cancelTimeout)
	defer cancel()
	var group sync.WaitGroup
	for _, b := range builds {
		if b.State.Ended() {
			continue
		}
		group.Go(func() {
			if err := s.Cancel(ctx, b.Name); err != nil && !errors.Is(err, context.DeadlineExceeded) && failure.KindOf(err) != failure.Conflict {
				s.warn("build " + b.Name + " cannot be cancelled: " + err.Error())
			}
		})
	}
	group.Wait()
}

// followRebuilds shows the rebuilds that something other than a build has caused, until all have ended, and returns their last states.
func (s *session) followRebuilds(ctx context.Context, since osbs.Build) []osbs.Build {
	running := context.WithoutCancel(ctx)
	follower := report.NewFollower(s.text, "", report.NoLines, nil)
	watching, stop := context.WithCancel(running)
	var group sync.WaitGroup
	group.Go(func() { s.watchFamily(watching, since, follower) })
	if err := s.Wait(ctx); err != nil && s.config.IsLocal() {
		s.cancelFamily(running, since)
	}
	rebuilds := s.rebuilds(running, since)
	for _, b := range rebuilds {
		follower.Show(b)
	}
	stop()
	group.Wait()
	return rebuilds
}
