//go:build e2e

package build

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestOsbsBuildsShowsAndCancels(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, `RUN ["sh", "-c", "echo said-by-the-dockerfile"]`)})
	stdout, stderr, code := s.Osbs("build", "-g", repository.URL, "-b", "main", "-u", "developer")
	if code != 0 {
		s.Report(s.RunNames()[0])
		t.Fatalf("osbs build ends with %d:\n%s%s", code, stdout, stderr)
	}
	run := s.RunNames()[0]
	if n := strings.Count(stdout, "\nsaid-by-the-dockerfile") + strings.Count(stdout, " said-by-the-dockerfile\n"); n == 0 {
		t.Errorf("osbs build does not show what the Dockerfile said:\n%s", stdout)
	}
	if out, _, code := s.Osbs("list-builds"); code != 0 || !strings.Contains(out, run) {
		t.Errorf("osbs list-builds ends with %d:\n%s", code, out)
	}
	s.checkShown(run, testsite.Results(s.Get(run)))
	if out, _, code := s.Osbs("build-logs", run); code != 0 || !strings.Contains(out, "said-by-the-dockerfile") {
		t.Errorf("osbs build-logs ends with %d:\n%s", code, out)
	}

	repository.Commit(map[string]string{"Dockerfile": s.Dockerfile(base, `RUN ["sleep", "3600"]`)})
	slow := s.Start(values{"git-url": repository.URL, "git-branch": "main", "user": "developer"})
	s.Reached(slow, "build")
	if out, stderr, code := s.Osbs("cancel-build", slow); code != 0 {
		t.Errorf("osbs cancel-build ends with %d:\n%s%s", code, out, stderr)
	}
	if reason, message := testsite.Condition(s.Ended(slow)); reason != "Cancelled" {
		t.Errorf("the cancelled build ends with %s: %s", reason, message)
	}
}

// checkShown compares what get-build says with the results.
func (s *site) checkShown(run string, want values) {
	s.T.Helper()
	out, stderr, code := s.Osbs("--output", "json", "get-build", run)
	if code != 0 {
		s.T.Fatalf("osbs get-build ends with %d: %s", code, stderr)
	}
	var shown any
	s.Must(json.Unmarshal([]byte(out), &shown))
	for _, result := range []string{"IMAGE_DIGEST", "CHAINS-GIT_COMMIT", "BUILD_CONFIG"} {
		if !strings.Contains(out, want[result]) {
			s.T.Errorf("osbs get-build does not say %s %s:\n%s", result, want[result], out)
		}
	}
}

func TestOsbsBuildEndsWithTheKindOfAFailedInstruction(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, `RUN ["false"]`)})
	stdout, stderr, code := s.Osbs("build", "-g", repository.URL, "-b", "main", "-u", "developer")
	run := s.RunNames()[0]
	if code != 8 {
		s.Report(run)
		t.Fatalf("osbs build ends with %d:\n%s%s", code, stdout, stderr)
	}
	s.Failed(run)
	if f := s.Fault(run); f.Stage != "build" || f.Kind != failure.BuildFailed || !strings.Contains(f.Message, "RUN false") {
		t.Errorf("the TaskRun says of the failure: %+v", f)
	}
}

func TestTknStartsABuildAndFollowsIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, `RUN ["sh", "-c", "echo said-by-the-dockerfile"]`)})
	out := s.TknStart("--param", "git-url="+repository.URL, "--param", "git-branch=main", "--showlog")
	run := s.RunNames()[0]
	got := s.Succeeded(run)
	s.checkDigest(got)
	if !strings.Contains(out, "said-by-the-dockerfile") {
		t.Errorf("tkn does not show what the Dockerfile said:\n%s", out)
	}
}

func TestKubectlCreatesTheSample(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY Dockerfile /")})
	text, err := yaml.Marshal(s.NewRun(values{"git-url": repository.URL, "git-branch": "main"}))
	s.Must(err)
	name := strings.TrimSpace(s.Kubectl("create", "-f", s.File("filled.yaml", string(text)), "-o", "name"))
	got := s.Succeeded(strings.TrimPrefix(name, "pipelinerun.tekton.dev/"))
	s.checkDigest(got)
}

// Tkn finds the program on the PATH under the name tkn-osbs, and it works as its command.
func TestOsbsIsACommandOfTkn(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	s.Must(os.Symlink(testbed.Osbs().Path(t), filepath.Join(s.Dir, "tkn-osbs")))
	env := []string{"PATH=" + s.Dir + ":" + os.Getenv("PATH"), "NO_COLOR=1"}
	out := s.Command(env, "tkn", "osbs", "--config", s.Conf(), "-i", "cluster", "list-build-configs", "--output", "json")
	if strings.TrimSpace(out) != "[]" {
		t.Errorf("tkn osbs list-build-configs says %s", out)
	}
	_, stderr, code := s.Execute(env, "tkn", "osbs", "--config", s.Conf(), "-i", "cluster", "get-build", "no-such-build")
	if code == 0 || !strings.Contains(stderr, "no-such-build") {
		t.Errorf("tkn osbs get-build ends with %d: %s", code, stderr)
	}
}
