//go:build e2e

package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// osbs runs the program on the instance that is the test's namespace.
func (s *site) osbs(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return s.execute([]string{"NO_COLOR=1"}, testbed.Osbs().Path(s.t), append([]string{"--config", s.conf(), "-i", "cluster"}, args...)...)
}

// conf is an osbs.conf that names the test's namespace.
func (s *site) conf() string {
	s.t.Helper()
	return s.file("osbs.conf", "[general]\n\n[cluster]\nnamespace = "+s.Name+"\n")
}

// runNames are all PipelineRuns, the oldest first.
func (s *site) runNames() []string {
	s.t.Helper()
	list, err := s.runs.TektonV1().PipelineRuns(s.Name).List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	runs := list.Items
	slices.SortFunc(runs, func(a, b v1.PipelineRun) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	names := make([]string, 0, len(runs))
	for _, r := range runs {
		names = append(names, r.Name)
	}
	return names
}

func TestOsbsBuildsShowsAndCancels(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, `RUN ["sh", "-c", "echo said-by-the-dockerfile"]`)})
	stdout, stderr, code := s.osbs("build", "-g", repository.url, "-b", "main", "-u", "developer")
	if code != 0 {
		s.report(s.runNames()[0])
		t.Fatalf("osbs build ends with %d:\n%s%s", code, stdout, stderr)
	}
	run := s.runNames()[0]
	if n := strings.Count(stdout, "\nsaid-by-the-dockerfile") + strings.Count(stdout, " said-by-the-dockerfile\n"); n == 0 {
		t.Errorf("osbs build does not show what the Dockerfile said:\n%s", stdout)
	}
	if out, _, code := s.osbs("list-builds"); code != 0 || !strings.Contains(out, run) {
		t.Errorf("osbs list-builds ends with %d:\n%s", code, out)
	}
	s.checkShown(run, results(s.get(run)))
	if out, _, code := s.osbs("build-logs", run); code != 0 || !strings.Contains(out, "said-by-the-dockerfile") {
		t.Errorf("osbs build-logs ends with %d:\n%s", code, out)
	}

	repository.commit(map[string]string{"Dockerfile": s.dockerfile(base, `RUN ["sleep", "3600"]`)})
	slow := s.start(values{"git-url": repository.url, "git-branch": "main", "user": "developer"})
	s.reached(slow, "build")
	if out, stderr, code := s.osbs("cancel-build", slow); code != 0 {
		t.Errorf("osbs cancel-build ends with %d:\n%s%s", code, out, stderr)
	}
	if reason, message := condition(s.ended(slow)); reason != "Cancelled" {
		t.Errorf("the cancelled build ends with %s: %s", reason, message)
	}
}

// checkShown compares what get-build says with the results.
func (s *site) checkShown(run string, want values) {
	s.t.Helper()
	out, stderr, code := s.osbs("--output", "json", "get-build", run)
	if code != 0 {
		s.t.Fatalf("osbs get-build ends with %d: %s", code, stderr)
	}
	var shown any
	s.must(json.Unmarshal([]byte(out), &shown))
	for _, result := range []string{"IMAGE_DIGEST", "CHAINS-GIT_COMMIT", "BUILD_CONFIG"} {
		if !strings.Contains(out, want[result]) {
			s.t.Errorf("osbs get-build does not say %s %s:\n%s", result, want[result], out)
		}
	}
}

func TestOsbsBuildEndsWithTheKindOfAFailedInstruction(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, `RUN ["false"]`)})
	stdout, stderr, code := s.osbs("build", "-g", repository.url, "-b", "main", "-u", "developer")
	run := s.runNames()[0]
	if code != 8 {
		s.report(run)
		t.Fatalf("osbs build ends with %d:\n%s%s", code, stdout, stderr)
	}
	s.failed(run)
	if f := s.fault(run); f.stage != "build" || f.kind != failure.BuildFailed || !strings.Contains(f.message, "RUN false") {
		t.Errorf("the TaskRun says of the failure: %+v", f)
	}
}

func TestTknStartsABuildAndFollowsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, `RUN ["sh", "-c", "echo said-by-the-dockerfile"]`)})
	pod := s.file("pod.yaml", "hostUsers: false\nsecurityContext: {fsGroup: 65532}\n")
	out := s.command(nil, "tkn", "--namespace", s.Name, "pipeline", "start", "osbs", "--serviceaccount", "osbs", "--pod-template", pod,
		"--use-param-defaults", "--skip-optional-workspace", "--param", "git-url="+repository.url, "--param", "git-branch=main", "--showlog")
	run := s.runNames()[0]
	got := s.succeeded(run)
	s.checkDigest(got)
	if !strings.Contains(out, "said-by-the-dockerfile") {
		t.Errorf("tkn does not show what the Dockerfile said:\n%s", out)
	}
}

func TestKubectlCreatesTheSample(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, "COPY Dockerfile /")})
	text, err := yaml.Marshal(s.newRun(values{"git-url": repository.url, "git-branch": "main"}))
	s.must(err)
	name := strings.TrimSpace(s.kubectl("create", "-f", s.file("filled.yaml", string(text)), "-o", "name"))
	got := s.succeeded(strings.TrimPrefix(name, "pipelinerun.tekton.dev/"))
	s.checkDigest(got)
}

// Tkn finds the program on the PATH under the name tkn-osbs, and it works as its command.
func TestOsbsIsACommandOfTkn(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	s.must(os.Symlink(testbed.Osbs().Path(t), filepath.Join(s.dir, "tkn-osbs")))
	env := []string{"PATH=" + s.dir + ":" + os.Getenv("PATH"), "NO_COLOR=1"}
	out := s.command(env, "tkn", "osbs", "--config", s.conf(), "-i", "cluster", "list-build-configs", "--output", "json")
	if strings.TrimSpace(out) != "[]" {
		t.Errorf("tkn osbs list-build-configs says %s", out)
	}
	_, stderr, code := s.execute(env, "tkn", "osbs", "--config", s.conf(), "-i", "cluster", "get-build", "no-such-build")
	if code == 0 || !strings.Contains(stderr, "no-such-build") {
		t.Errorf("tkn osbs get-build ends with %d: %s", code, stderr)
	}
}
