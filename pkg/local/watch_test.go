package local

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// sleeper builds an image whose build ends only when it is cancelled.
func sleeper(t *testing.T) *repo {
	return newRepo(t, "sleeper", map[string]string{
		"busybox":    busybox,
		"Dockerfile": dockerfile("sleeper", "scratch", "COPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"1000001\"]"),
	})
}

// stagesSeen watches until the build has ended and returns the stages that were seen to begin and end.
func stagesSeen(ctx context.Context, i *Instance, name string) (seen []string, last osbs.Build, err error) {
	for e, err := range i.Watch(ctx, name) {
		if err != nil {
			return seen, last, err
		}
		last = e.Build
		for _, s := range e.Build.Stages {
			if e.Stage == s.Name {
				seen = append(seen, s.Name+" "+string(s.State))
			}
		}
	}
	return seen, last, nil
}

func TestWatchYieldsEveryStage(t *testing.T) {
	i := open(t, Config{})
	b, err := i.Create(t.Context(), baseRepo(t, "base", "one").request())
	if err != nil {
		t.Fatal(err)
	}
	seen, last, err := stagesSeen(t.Context(), i, b.Name)
	if err != nil || last.State != osbs.Complete {
		t.Fatalf("last: %+v %+v, %v", last, last.Failure, err)
	}
	for _, want := range []string{"build running", "build complete", "push running", "push complete", "import complete"} {
		if !slices.Contains(seen, want) {
			t.Errorf("%q was not seen among %q", want, seen)
		}
	}
	_, again, err := stagesSeen(t.Context(), i, b.Name)
	if err != nil || again.State != osbs.Complete {
		t.Errorf("after the end: %+v, %v", again, err)
	}
	if _, _, err := stagesSeen(t.Context(), i, "none"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("of a build that does not exist: %v", err)
	}
}

// TestFollowAnotherProcess watches, reads the log of and cancels a build of another process.
func TestFollowAnotherProcess(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	i := open(t, conf)
	cmd := child(t, childOrder{DataDir: conf.DataDir, Requests: []osbs.Request{sleeper(t).request()}})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var name string
	for e, err := range i.Watch(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		name = e.Build.Name
		if n := len(e.Build.Stages); n > 0 && e.Build.Stages[n-1].Name == "build" {
			break
		}
	}
	var log bytes.Buffer
	followed := make(chan error, 1)
	go func() { followed <- i.Logs(t.Context(), name, true, &log) }()
	poll(t, "the RUN step", func() bool { return strings.Contains(logOf(t, i, name), "RUN [") })
	if err := i.Cancel(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if b := get(t, i, name); b.State != osbs.Cancelled || b.Failure == nil || b.Failure.Kind != failure.Cancelled || b.Failure.Stage != "build" {
		t.Errorf("build: %s %+v", b.State, b.Failure)
	}
	if err := <-followed; err != nil {
		t.Errorf("following the log: %v", err)
	}
	if !strings.Contains(log.String(), "== build") || !strings.HasSuffix(strings.TrimSpace(log.String()), "error: build "+name+" was cancelled") {
		t.Errorf("log:\n%s", log.String())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process: %v", err)
	}
	if err := i.Cancel(t.Context(), name); failure.KindOf(err) != failure.Conflict {
		t.Errorf("a second time: %v", err)
	}
	noLocks(t, i)
	poll(t, "the engine's end", func() bool { return !processWith(t, "sleep\x001000001") })
}

func TestCloseCancels(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	i := open(t, conf)
	b, err := i.Create(t.Context(), sleeper(t).request())
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the RUN step", func() bool { return strings.Contains(logOf(t, i, b.Name), "RUN [") })
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, i, b.Name); got.State != osbs.Cancelled {
		t.Errorf("build: %s %+v", got.State, got.Failure)
	}
	if _, err := i.Create(t.Context(), sleeper(t).request()); failure.KindOf(err) != failure.Cancelled {
		t.Errorf("create after close: %v", err)
	}
	noLocks(t, i)
}

func TestWatchEndsWithContext(t *testing.T) {
	i := open(t, Config{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, err := range i.Watch(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error: %v", err)
		}
	}
}

func TestChanges(t *testing.T) {
	stage := func(name string, state osbs.State) osbs.StageStatus {
		return osbs.StageStatus{Name: name, State: state}
	}
	a := osbs.Build{State: osbs.Running, Stages: []osbs.StageStatus{stage("clone", osbs.Running)}}
	b := osbs.Build{State: osbs.Running, Stages: []osbs.StageStatus{stage("clone", osbs.Complete), stage("lock", osbs.Waiting)}}
	c := osbs.Build{State: osbs.Failed, Stages: []osbs.StageStatus{stage("clone", osbs.Complete), stage("lock", osbs.Failed)}}
	for _, test := range []struct {
		before, after osbs.Build
		want          []string
	}{{a, b, []string{"clone", "lock"}}, {b, c, []string{"lock", ""}}, {a, a, []string{""}}} {
		var got []string
		for _, e := range changes(test.before, test.after) {
			got = append(got, e.Stage)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("changes: %q, want %q", got, test.want)
		}
	}
}
