//go:build e2e

package autorebuild

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/explain"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// osbs runs a command of osbs in the site's namespace.
func (s *site) osbs(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	conf := filepath.Join(s.t.TempDir(), "osbs.conf")
	s.must(os.WriteFile(conf, []byte("[general]\n\n[cluster]\nnamespace = "+s.Name+"\n"), 0o600))
	c := exec.CommandContext(s.t.Context(), testbed.Osbs().Path(s.t), append([]string{"--config", conf, "-i", "cluster"}, args...)...)
	var out, faults bytes.Buffer
	c.Stdout, c.Stderr = &out, &faults
	if err := c.Run(); err != nil && c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), faults.String(), c.ProcessState.ExitCode()
}

// mustOsbs runs a command that succeeds.
func (s *site) mustOsbs(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.osbs(args...)
	if code != 0 {
		s.t.Fatalf("osbs %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// explain are the facts that osbs explain says.
func (s *site) explain(argument string) []explain.Fact {
	s.t.Helper()
	var e explain.Explanation
	s.must(json.Unmarshal([]byte(s.mustOsbs("explain", argument, "--output", "json")), &e))
	return e.Facts
}

// kinds are those of facts, in one line.
func kinds(facts []explain.Fact) string {
	var out []string
	for _, f := range facts {
		out = append(out, string(f.Kind))
	}
	return strings.Join(out, " ")
}

// runsOf are the PipelineRuns of a build config.
func (s *site) runsOf(config string) []unstructured.Unstructured {
	s.t.Helper()
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(s.t.Context(), metav1.ListOptions{LabelSelector: event.LabelBuildConfig + "=" + config})
	s.must(err)
	return list.Items
}

// runOf waits until a build config has n PipelineRuns, and returns the one that has the reason.
func (s *site) runOf(config string, n int, reason rebuild.Kind) unstructured.Unstructured {
	s.t.Helper()
	s.until("a PipelineRun of "+config, time.Minute, func() bool { return len(s.runsOf(config)) >= n })
	runs := s.runsOf(config)
	if len(runs) != n {
		s.t.Fatalf("%d PipelineRuns of %s, want %d", len(runs), config, n)
	}
	for _, run := range runs {
		if run.GetAnnotations()[event.AnnotationReason] == string(reason) {
			return run
		}
	}
	s.t.Fatalf("no PipelineRun of %s has the reason %s", config, reason)
	return unstructured.Unstructured{}
}

// fail has a PipelineRun fail as one does that finds no Pipeline. Tekton leaves those of the site alone.
func (s *site) fail(run unstructured.Unstructured) {
	s.t.Helper()
	now := time.Now().UTC().Format(time.RFC3339)
	patch := fmt.Appendf(nil, `{"status": {"completionTime": %q, "conditions": [
		{"type": "Succeeded", "status": "False", "reason": "CouldntGetPipeline", "message": "there is no Pipeline", "lastTransitionTime": %q}]}}`, now, now)
	_, err := s.all.Resource(pipelineRuns).Namespace(s.Name).Patch(s.t.Context(), run.GetName(), types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	s.must(err)
}

// Why something is rebuilt or is not, a rebuild that a person asks for, and the pause of one, as people see them.
func TestExplainRebuildAndPause(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.move("app", 1)
	s.config("app", "base")
	s.config("top", "app")
	s.config("other", "base")
	s.config("lone")
	if got := kinds(s.explain("app")); got != "up-to-date build-gone" {
		t.Errorf("app: %s", got)
	}
	s.mustOsbs("pause-builds", "other")

	// Asked for while nobody watches: it stays until somebody does.
	stdout, stderr, code := s.osbs("rebuild", "lone", "--no-wait", "-u", "anne")
	if code != 0 || !strings.Contains(stdout, "asked for a rebuild of lone") || !strings.Contains(stderr, "no imagewatch is there") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if got := kinds(s.explain("lone:latest")); got != "ready unwatched" {
		t.Errorf("lone: %s", got)
	}
	s.watch()
	run := s.runOf("lone", 1, rebuild.Requested)
	if got := run.GetAnnotations(); got[event.AnnotationCausedBy] != "anne" || got[event.AnnotationBase] != "" || got[event.AnnotationBaseDigest] != "" {
		t.Errorf("annotations %v", got)
	}
	if facts := s.explain(run.GetName()); facts[0].Kind != explain.Requested || facts[0].User != "anne" || facts[0].At == nil {
		t.Errorf("%+v", facts)
	}

	// A base moves from outside.
	s.move("base", 2)
	run = s.runOf("app", 1, rebuild.BaseMoved)
	facts := s.explain("top")
	if got := kinds(facts); got != "waiting running rebuilt moved-from-outside" {
		t.Fatalf("top: %s", got)
	}
	if facts[0].HeldBy[0] != "app" || facts[1].Build != run.GetName() || facts[2].Reasons[0].NewDigest != digest(2) || facts[3].Digest != digest(2) {
		t.Errorf("top: %+v", facts)
	}
	if text := s.mustOsbs("explain", run.GetName()); !strings.Contains(text, run.GetName()+" was built because what it is built on changed") {
		t.Errorf("%s", text)
	}
	if got := kinds(s.explain("base:latest")); got != "only-base" {
		t.Errorf("base: %s", got)
	}

	// It fails, and holds what is built on it.
	s.fail(run)
	s.until("the failure is known", time.Minute, func() bool { return strings.HasPrefix(kinds(s.explain("top")), "parent-failed failed") })
	if _, stderr, code := s.osbs("explain", "ap"); code != 4 || !strings.Contains(stderr, "close to it: app") {
		t.Errorf("exit code %d: %s", code, stderr)
	}

	// A person asks for it again, with what is built on it.
	stdout = s.mustOsbs("rebuild", "app", "--with-dependents", "--no-wait", "-u", "bob")
	if !strings.Contains(stdout, "and then of top") {
		t.Errorf("%s", stdout)
	}
	run = s.runOf("app", 2, rebuild.Requested)
	if got := run.GetAnnotations(); got[event.AnnotationCausedBy] != "bob" || got[event.AnnotationBaseDigest] != "base:latest="+digest(2) {
		t.Errorf("annotations %v", got)
	}
	s.until("the request is taken away", time.Minute, func() bool {
		cm, err := s.Kube.CoreV1().ConfigMaps(s.Name).Get(t.Context(), "app", metav1.GetOptions{})
		s.must(err)
		return cm.Annotations[configmap.AnnotationRequested] == ""
	})
	if facts := s.explain("top"); facts[0].Verdict != rebuild.Waiting || facts[0].Reasons[0].Kind != rebuild.Requested {
		t.Errorf("top: %+v", facts)
	}

	// One was paused all the time.
	if facts := s.explain("other"); facts[0].Verdict != rebuild.Paused || len(s.runsOf("other")) > 0 {
		t.Errorf("other: %+v", facts)
	}
	if _, stderr, code := s.osbs("rebuild", "other", "--no-wait"); code != 6 || !strings.Contains(stderr, "osbs resume-builds other") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	s.mustOsbs("resume-builds", "other")
	run = s.runOf("other", 1, rebuild.BaseMoved)
	if got := run.GetAnnotations()[event.AnnotationBaseDigest]; got != "base:latest="+digest(2) {
		t.Errorf("other was built from %s", got)
	}
	s.quiet(5 * time.Second)
	for config, want := range map[string]int{"app": 2, "other": 1, "lone": 1, "top": 0} {
		if got := len(s.runsOf(config)); got != want {
			t.Errorf("%d PipelineRuns of %s, want %d", got, config, want)
		}
	}
}

// osbs rebuild follows its build on the cluster, and has its exit code.
func TestRebuildIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.config("app", "base")
	s.watch()
	ended := make(chan int, 1)
	go func() {
		_, _, code := s.osbs("rebuild", "app")
		ended <- code
	}()
	run := s.runOf("app", 1, rebuild.Requested)
	s.fail(run)
	select {
	case code := <-ended:
		if code != 4 { // there is no Pipeline
			t.Errorf("exit code %d", code)
		}
	case <-time.After(2 * time.Minute):
		t.Error("it does not end")
	}
}
