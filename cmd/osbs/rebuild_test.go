package main

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/report"
)

var asked = time.Date(2026, 1, 1, 12, 0, 0, 123, time.UTC)

// answer is a build that was made for what was asked for that many nanoseconds later.
func answer(name, config string, state osbs.State, later time.Duration) osbs.Build {
	return osbs.Build{
		Name: name, BuildConfig: config, State: state, Created: asked, Autorebuild: true,
		Reasons: []rebuild.Reason{{Kind: rebuild.Requested, CausedBy: "anne", At: asked.Add(later)}},
	}
}

// watched is an instance that has events, and then none until somebody wants no more.
type watched struct {
	osbs.Instance
	events []osbs.Build
	gone   bool
}

func (w *watched) Watch(ctx context.Context, _ string) iter.Seq2[osbs.Event, error] {
	return func(yield func(osbs.Event, error) bool) {
		for _, b := range w.events {
			if !yield(osbs.Event{Build: b}, nil) {
				return
			}
		}
		<-ctx.Done()
	}
}

func (w *watched) Get(_ context.Context, name string) (*osbs.Build, error) {
	if w.gone {
		return nil, failure.New(failure.NotFound, "there is no build %q", name)
	}
	return &osbs.Build{Name: name}, nil
}

func follower(w *watched, configs ...string) *requestFollower {
	return &requestFollower{
		session: &session{Instance: w}, configs: configs, at: asked, follower: report.NewFollower(report.New(&bytes.Buffer{}, report.Options{}), "", report.NoLines, nil),
		builds: map[string]osbs.Build{},
	}
}

// The builds of a request are those that have it, or a later one, among their reasons; it ends when all of them have.
func TestFollowRequest(t *testing.T) {
	t.Parallel()
	f := follower(&watched{events: []osbs.Build{
		answer("app-0", "app", osbs.Complete, -time.Second), {Name: "top-0", BuildConfig: "top", State: osbs.Failed},
		answer("app-1", "app", osbs.Running, 0), answer("other-1", "other", osbs.Running, 0), answer("app-1", "app", osbs.Complete, 0),
		answer("top-1", "top", osbs.New, time.Second), answer("top-1", "top", osbs.Failed, time.Second),
	}}, "app", "top")
	if err := f.watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.last()
	if len(got) != 2 || got[0].Name != "app-1" || got[0].State != osbs.Complete || got[1].Name != "top-1" || got[1].State != osbs.Failed {
		t.Errorf("%+v", got)
	}
	doc := rebuildDocument{BuildConfigs: f.configs, Builds: got}
	if err := doc.outcome(nil); failure.KindOf(err) != failure.Internal {
		t.Errorf("outcome %v", err)
	}
}

// A build that is deleted while it runs ends it, too.
func TestFollowADeletedBuild(t *testing.T) {
	t.Parallel()
	f := follower(&watched{events: []osbs.Build{answer("app-1", "app", osbs.Running, 0)}, gone: true}, "app")
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	go f.missGone(ctx, stop, time.Millisecond)
	if err := f.watch(ctx); !errors.Is(err, context.Canceled) || failure.KindOf(context.Cause(ctx)) != failure.NotFound {
		t.Errorf("%v, because of %v", err, context.Cause(ctx))
	}
}
