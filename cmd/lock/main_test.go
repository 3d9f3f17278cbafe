package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

type stage struct{ dir string }

func newStage(t *testing.T) stage {
	t.Helper()
	s := stage{dir: t.TempDir()}
	d := workspace.Dir(s.dir)
	for _, r := range []workspace.Record{
		workspace.Clone{URL: "https://git.example.com/team/app.git", Branch: "main", Commit: "c0ffee"},
		workspace.DetectBase{Bases: []workspace.Base{{Reference: "base", Repository: "r/base", Digest: "sha256:aa", ManifestDigest: "sha256:aa", ImageStreamTag: "base:latest"}}},
	} {
		if err := workspace.Write(d, r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// run runs the step and returns its exit code and what it logged.
func (s stage) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var log strings.Builder
	environment := map[string]string{
		"OSBS_WORKSPACE": s.dir, "OSBS_RESULTS_DIR": s.dir, "OSBS_LOCK_DIR": filepath.Join(s.dir, "locks"),
		"OSBS_BUILDCONFIG_DIR": filepath.Join(s.dir, "configs"), "OSBS_HOLDER": "app-1", "OSBS_HOLDER_UID": "uid-1",
	}
	code := spec().Execute(t.Context(), args, func(name string) string { return environment[name] }, &log)
	return code, log.String()
}

func TestLock(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	owner := exec.CommandContext(t.Context(), "sleep", "3600")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	args := []string{"-holder-pid", strconv.Itoa(owner.Process.Pid), "-build-arg", "A=1", "-build-arg", "B=2", "-component", "c", "-base-digest", "base=sha256:aa"}
	if code, log := s.run(t, args...); code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	name, err := os.ReadFile(filepath.Join(s.dir, "build-config"))
	if err != nil {
		t.Fatal(err)
	}
	bc, err := filestore.New(filepath.Join(s.dir, "configs")).Get(t.Context(), string(name))
	if err != nil {
		t.Fatal(err)
	}
	if len(bc.Parameters.BuildArgs) != 2 || bc.Parameters.Component != "c" || len(bc.Triggers) != 1 || !bc.Triggers[0].LastTriggerTime.IsZero() {
		t.Errorf("build config %+v", bc)
	}
	other := []string{"-holder", "app-2", "-holder-uid", "uid-2"}
	code, log := s.run(t, other...)
	if code != failure.Conflict.ExitCode() || !strings.Contains(log, "Build app-1 for "+string(name)+" in state Running, can't proceed.") {
		t.Errorf("exit code %d: %s", code, log)
	}
	code, log = s.run(t, append(other, "-lock-policy", "wait", "-lock-timeout", "10ms")...)
	if code != failure.TimedOut.ExitCode() {
		t.Errorf("exit code %d: %s", code, log)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	if code, log := s.run(t, other...); code != 0 {
		t.Errorf("after the holder was killed: exit code %d: %s", code, log)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-lock-policy", "queue"}, {"-created", "yesterday"}, {"-base-digest", "base"}, {"-lock-timeout", "x"}, {"argument"},
	} {
		if code, log := newStage(t).run(t, args...); code != failure.Usage.ExitCode() {
			t.Errorf("%v: exit code %d: %s", args, code, log)
		}
	}
}
