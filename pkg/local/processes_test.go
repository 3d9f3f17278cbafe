package local

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// TestTwoProcesses has two processes build on one data directory at once: bases that have dependents in common, and one image both.
func TestTwoProcesses(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	i := open(t, conf)
	a, b := baseRepo(t, "a", "one"), baseRepo(t, "b", "one")
	app := newRepo(t, "app", map[string]string{
		"Dockerfile": "FROM a:1.0 AS a\n" + dockerfile("app", "b:1.0", "COPY --from=a /content /a"),
	})
	mustBuild(t, i, a.request())
	mustBuild(t, i, b.request())
	config := mustBuild(t, i, app.request()).BuildConfig
	a.change(2, "two")
	b.change(2, "two")
	var processes []*exec.Cmd
	for _, r := range []*repo{a, b} {
		request := r.request()
		request.LockPolicy = "wait"
		processes = append(processes, child(t, childOrder{DataDir: conf.DataDir, Requests: []osbs.Request{request}}))
	}
	for _, p := range processes {
		if err := p.Wait(); err != nil {
			t.Errorf("a process failed: %v", err)
		}
	}
	rebuilt := autorebuilds(list(t, i, osbs.Filter{}))[config]
	seen := map[string]bool{}
	for _, r := range rebuilt {
		if r.State != osbs.Complete && (r.State != osbs.Skipped || !strings.Contains(r.Failure.Message, "superseded")) {
			t.Errorf("rebuild %s is %s: %+v", r.Name, r.State, r.Failure)
		}
		var bases []string
		for _, base := range r.Bases {
			bases = append(bases, base.Digest)
		}
		if key := strings.Join(bases, " "); r.State == osbs.Complete && seen[key] {
			t.Errorf("rebuilt twice from %s", key)
		} else {
			seen[key] = true
		}
	}
	if len(rebuilt) == 0 {
		t.Fatal("nothing was rebuilt")
	}
	last := rebuilt[len(rebuilt)-1]
	for _, base := range last.Bases {
		stream, tag, _ := strings.Cut(base.ImageStreamTag, ":")
		if now := digestOf(t, i, stream, tag); now != base.Digest {
			t.Errorf("the last rebuild is on %s %s, the tag is at %s", base.ImageStreamTag, base.Digest, now)
		}
	}
	noLocks(t, i)
}

func TestSecondBuildWhileOneRuns(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	i := open(t, conf)
	r := newRepo(t, "app", map[string]string{
		"busybox":    busybox,
		"Dockerfile": dockerfile("app", "scratch", "COPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sleep\", \"1000000\"]"),
	})
	child(t, childOrder{DataDir: conf.DataDir, Requests: []osbs.Request{r.request()}})
	var first osbs.Build
	poll(t, "the first build", func() bool {
		all := list(t, i, osbs.Filter{Running: true})
		if len(all) == 1 {
			first = all[0]
		}
		return len(all) == 1 && strings.Contains(logOf(t, i, first.Name), "RUN [")
	})
	second := buildAll(t, i, r.request())
	want := "Build " + first.Name + " for " + first.BuildConfig + " in state Running, can't proceed."
	if second.State != osbs.Failed || second.Failure.Stage != "lock" || second.Failure.Message != want {
		t.Errorf("second: %s %+v, want %s", second.State, second.Failure, want)
	}
	waiting := r.request()
	waiting.LockPolicy = "wait"
	third, err := i.Create(t.Context(), waiting)
	if err != nil {
		t.Fatal(err)
	}
	poll(t, "the third build to wait", func() bool { return get(t, i, third.Name).State == osbs.Waiting })
	r.commit(map[string]string{"Dockerfile": dockerfile("app", "scratch", "COPY busybox /bin/busybox")})
	if err := i.Cancel(t.Context(), first.Name); err != nil {
		t.Fatal(err)
	}
	if b := get(t, i, first.Name); b.State != osbs.Cancelled {
		t.Errorf("first: %s %+v", b.State, b.Failure)
	}
	poll(t, "the third build to get the lock", func() bool { return get(t, i, third.Name).State != osbs.Waiting })
	if err := i.Cancel(t.Context(), third.Name); err != nil && get(t, i, third.Name).State != osbs.Failed {
		t.Error(err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	noLocks(t, i)
	poll(t, "the engines' end", func() bool { return !processWith(t, "sleep\x001000000") })
}
