package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/clusterstore"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

type stage struct {
	dir string
	// cluster says that no directories of locks and build configs are named.
	cluster bool
}

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
	if s.cluster {
		delete(environment, "OSBS_LOCK_DIR")
		delete(environment, "OSBS_BUILDCONFIG_DIR")
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

// On a cluster the lock is a Lease, the build config a ConfigMap, and the build's own PipelineRun says when it was created.
func TestLockInACluster(t *testing.T) {
	t.Parallel()
	api := apitest.Start(t, "v1/configmaps", "v1/pods", "coordination.k8s.io/v1/leases", "tekton.dev/v1/pipelineruns")
	created := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for _, name := range []string{"app-1", "app-2"} {
		api.Put(t, "tekton.dev/v1/pipelineruns", corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID("uid-" + name[4:]), CreationTimestamp: created, Labels: map[string]string{"tekton.dev/pipeline": "osbs"},
		}})
	}
	s := newStage(t)
	s.cluster = true
	kubeconfig := apitest.Kubeconfig(t, api.URL)
	args := []string{"-kubeconfig", kubeconfig, "-namespace", apitest.Namespace}
	api.Put(t, "v1/configmaps", corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "osbs-paused", CreationTimestamp: created}})
	if code, log := s.run(t, args...); code != failure.Conflict.ExitCode() || !strings.Contains(log, "builds of Pipeline osbs are paused since 2026-01-01T00:00:00Z") {
		t.Errorf("while builds are paused: exit code %d: %s", code, log)
	}
	api.Remove("v1/configmaps", "osbs-paused")
	if code, log := s.run(t, args...); code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	name, err := os.ReadFile(filepath.Join(s.dir, "build-config"))
	if err != nil {
		t.Fatal(err)
	}
	client := apitest.Client(t, api.URL)
	bc, err := clusterstore.New(client).Get(t.Context(), string(name))
	if err != nil || len(bc.Triggers) != 1 || !bc.Triggers[0].LastTriggerTime.Equal(created.Time) {
		t.Errorf("build config %+v, %v", bc, err)
	}
	h, err := lock.NewLease(client, step.Env{}).Holder(t.Context(), string(name))
	if err != nil || h == nil || *h != (lock.Holder{Build: "app-1", UID: "uid-1"}) {
		t.Errorf("holder %+v, %v", h, err)
	}
	code, log := s.run(t, append(args, "-holder", "app-2", "-holder-uid", "uid-2")...)
	if code != failure.Conflict.ExitCode() || !strings.Contains(log, "Build app-1 for "+string(name)+" in state Running, can't proceed.") {
		t.Errorf("exit code %d: %s", code, log)
	}
	if code, log := s.run(t, append(args, "-holder", "app-3")...); code != failure.NotFound.ExitCode() {
		t.Errorf("without a PipelineRun: exit code %d: %s", code, log)
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	s := newStage(t)
	s.cluster = true
	for text, args := range map[string][]string{
		"with -lock-dir and -buildconfig-dir none is needed": nil,
		"go together":  {"-lock-dir", s.dir},
		"no such file": {"-kubeconfig", filepath.Join(s.dir, "none")},
	} {
		if code, log := s.run(t, args...); code != failure.Usage.ExitCode() || !strings.Contains(log, text) {
			t.Errorf("%v: exit code %d: %s", args, code, log)
		}
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
