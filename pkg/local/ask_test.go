package local

import (
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

func TestRequestedRebuilds(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	bottom := mustBuild(t, i, base.request()).BuildConfig
	top := mustBuild(t, i, app.request()).BuildConfig
	asked, err := i.RequestRebuild(t.Context(), "anne", []string{bottom, top})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := autorebuilds(list(t, i, osbs.Filter{}))
	for _, config := range []string{bottom, top} {
		if builds := all[config]; len(builds) != 1 || builds[0].State != osbs.Complete || !rebuild.RequestedAt(builds[0].Reasons).Equal(asked) {
			t.Fatalf("rebuilds of %s: %+v", config, builds)
		}
	}
	if all[top][0].Created.Before(*all[bottom][0].Finished) || all[top][0].Bases[0].Digest != all[bottom][0].Digest {
		t.Errorf("%s was not built after %s, on it", top, bottom)
	}
	configs, err := i.BuildConfigs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, bc := range configs {
		if bc.Requested != nil {
			t.Errorf("%s still has the request %v", bc.Name, bc.Requested)
		}
	}
	if started, err := i.RebuildPending(t.Context()); err != nil || len(started) > 0 {
		t.Errorf("repeated: %v, %v", started, err)
	}
	noLocks(t, i)
}

func TestPausedOne(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	bottom := mustBuild(t, i, base.request()).BuildConfig
	top := mustBuild(t, i, app.request()).BuildConfig
	for _, changed := range []bool{true, false} {
		if got, err := i.SetPaused(t.Context(), top, true); err != nil || got != changed {
			t.Fatalf("%t, %v", got, err)
		}
	}
	base.change(2, "two")
	mustBuild(t, i, base.request())
	if all := autorebuilds(list(t, i, osbs.Filter{})); len(all) > 0 {
		t.Fatalf("rebuilt: %+v", all)
	}
	if _, err := i.RequestRebuild(t.Context(), "anne", []string{bottom, top}); failure.KindOf(err) != failure.Conflict {
		t.Fatalf("asking for what is paused: %v", err)
	}
	if err := i.Wait(t.Context()); err != nil || len(autorebuilds(list(t, i, osbs.Filter{}))) > 0 {
		t.Fatalf("what was refused was begun: %v", err)
	}
	if _, err := i.SetPaused(t.Context(), "none", true); failure.KindOf(err) != failure.NotFound {
		t.Fatalf("pausing what there is not: %v", err)
	}
	if _, err := i.SetPaused(t.Context(), top, false); err != nil {
		t.Fatal(err)
	}
	if started, err := i.RebuildPending(t.Context()); err != nil || len(started) != 1 {
		t.Fatalf("after the pause: %v, %v", started, err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What the records say of requests: begun, unless the build was interrupted.
func TestPendingRequests(t *testing.T) {
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	rec := func(seconds int) record {
		r := record{Build: osbs.Build{BuildConfig: "app"}}
		r.Reasons = []rebuild.Reason{{Kind: rebuild.Requested, CausedBy: "anne", At: at.Add(time.Duration(seconds) * time.Second)}}
		return r
	}
	for name, c := range map[string]struct {
		stored             *buildconfig.Request
		ended, interrupted []record
		want               int // seconds after at, -1 for none
	}{
		"nobody asked":                             {nil, nil, nil, -1},
		"asked":                                    {&buildconfig.Request{Time: at, User: "anne"}, nil, nil, 0},
		"begun, and still there":                   {&buildconfig.Request{Time: at, User: "anne"}, []record{rec(0)}, nil, -1},
		"interrupted":                              {nil, nil, []record{rec(0)}, 0},
		"interrupted, then built":                  {nil, []record{rec(0)}, []record{rec(0)}, -1},
		"interrupted, and asked again":             {&buildconfig.Request{Time: at.Add(time.Second), User: "anne"}, nil, []record{rec(0)}, 1},
		"interrupted after a later one was begun":  {nil, []record{rec(5)}, []record{rec(0)}, -1},
		"an earlier one was begun, another waits":  {&buildconfig.Request{Time: at.Add(time.Second), User: "anne"}, []record{rec(0)}, nil, 1},
		"interrupted twice, the later one is done": {nil, nil, []record{rec(3), rec(0)}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := requestsOf{begun: map[string][]time.Time{}, again: map[string]buildconfig.Request{}}
			for _, rec := range c.ended {
				r.note(rec, false)
			}
			for _, rec := range c.interrupted {
				r.note(rec, true)
			}
			got, found := r.pending(map[string]*buildconfig.BuildConfig{"app": {Name: "app", Requested: c.stored}})["app"]
			if found != (c.want >= 0) || found && !got.Time.Equal(at.Add(time.Duration(c.want)*time.Second)) {
				t.Errorf("got %v %t", got, found)
			}
		})
	}
}
