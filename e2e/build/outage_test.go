//go:build e2e

package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// outages are what a stage needs, and goes on without for a while.
func outages() map[string]string {
	return map[string]string{"push": testbed.Registry, "import": testbed.ImageAPIServer}
}

func TestAShortOutageOfWhatAStageNeedsIsRiddenOut(t *testing.T) {
	testbed.NeedsDaemons(t)
	s, repository := slow(t, "fused", "")
	for stage, daemon := range outages() {
		t.Run(stage, func(t *testing.T) {
			s, repository := s.within(t), repository.Within(s.Site)
			run := s.startLasting(repository, "fail", "5", releaseFor(stage))
			s.saysInLog(run, "build", "lasting-5")
			testbed.Kill(t, daemon)
			s.Reached(run, stage)
			s.saysInLog(run, stage, "trying again")
			testbed.Start(t, daemon)
			got := s.Succeeded(run)
			s.checkDigest(got)
			s.checkStream(got)
		})
	}
}

func TestALongOutageOfWhatAStageNeedsFailsTheBuildAndMovesNothing(t *testing.T) {
	testbed.NeedsDaemons(t)
	s, repository := slow(t, "fused", "")
	s.works(repository, "1")
	for stage, daemon := range outages() {
		t.Run(stage, func(t *testing.T) {
			s, repository := s.within(t), repository.Within(s.Site)
			before := s.visible()
			run := s.startLasting(repository, "fail", "5", releaseFor(stage))
			s.saysInLog(run, "build", "lasting-5")
			testbed.Kill(t, daemon)
			s.Failed(run)
			if f := s.Fault(run); f.Stage != stage || f.Kind != failure.Unavailable {
				t.Errorf("the TaskRun says of the failure: %+v", f)
			}
			testbed.Start(t, daemon)
			s.unmoved(before)
			s.works(repository, releaseFor(stage)+".again")
		})
	}
}

// saysInLog waits until a step has said something.
func (s *site) saysInLog(run, step, text string) {
	s.T.Helper()
	s.Until(step+" to say "+text, buildTime, func(ctx context.Context) (bool, error) {
		return strings.Contains(s.Logs(run, step), text), ctx.Err()
	})
}

// counting is a Dockerfile instruction that counts, a number every half second.
const counting = "RUN n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo counted-$n-; sleep 0.5; done"

// missing are the numbers that a log does not say exactly once.
func missing(log string) []string {
	var faults []string
	for n := 1; n <= 40; n++ {
		if times := strings.Count(log, fmt.Sprintf("counted-%d-", n)); times != 1 {
			faults = append(faults, fmt.Sprintf("%d: %d times", n, times))
		}
	}
	return faults
}

// The API server and the kubelet end during a build, and come back. The build goes on, and whoever follows it sees every line once.
func TestABuildAndItsFollowerOutliveTheAPIServerAndTheKubelet(t *testing.T) {
	testbed.NeedsDaemons(t)
	for _, daemon := range []string{testbed.APIServer, testbed.Kubelet} {
		t.Run(daemon, func(t *testing.T) {
			s := newSite(t, settings{})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, counting)})
			follower := s.follow("build", "-g", repository.URL, "-b", "main", "-u", "developer")
			run := s.firstRun()
			s.saysInLog(run, "build", "counted-5-")
			testbed.Kill(t, daemon)
			time.Sleep(2 * time.Second) // the outage: nothing could be polled for
			testbed.Start(t, daemon)
			got := s.Succeeded(run)
			s.checkDigest(got)
			out, code := follower.end()
			if faults := missing(out); code != 0 || len(faults) > 0 {
				t.Errorf("osbs build ends with %d, and shows %q:\n%s", code, faults, out)
			}
		})
	}
}

// follower is an osbs that runs.
type follower struct {
	s   *site
	cmd *exec.Cmd
	out *os.File
}

// follow starts osbs, whose output goes into a file.
func (s *site) follow(args ...string) *follower {
	s.T.Helper()
	out, err := os.Create(s.File("followed", ""))
	s.Must(err)
	cmd := exec.CommandContext(s.T.Context(), testbed.Osbs().Path(s.T), append([]string{"--config", s.Conf(), "-i", "cluster"}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, append(os.Environ(), "NO_COLOR=1")
	s.Must(cmd.Start())
	return &follower{s, cmd, out}
}

// end waits for osbs to end by itself, and returns what it said.
func (f *follower) end() (out string, code int) {
	f.s.T.Helper()
	ended := make(chan error, 1)
	go func() { ended <- f.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(buildTime):
		_ = f.cmd.Process.Kill()
		f.s.T.Error("osbs does not end")
		<-ended
	}
	text, err := os.ReadFile(f.out.Name())
	f.s.Must(err)
	f.s.Must(f.out.Close())
	return string(text), f.cmd.ProcessState.ExitCode()
}

// firstRun waits for the first PipelineRun of the namespace.
func (s *site) firstRun() string {
	s.T.Helper()
	var first string
	s.Until("a PipelineRun", buildTime, func(context.Context) (bool, error) {
		if names := s.RunNames(); len(names) > 0 {
			first = names[0]
		}
		return first != "", nil
	})
	return first
}

func TestTheFollowedLogIsWholeWhenThePodsAreGone(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"fused", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{Layout: layout})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "RUN n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo counted-$n-; done")})
			follower := s.follow("--verbose", "build", "-g", repository.URL, "-b", "main", "-u", "developer")
			run := s.firstRun()
			s.Succeeded(run)
			out, code := follower.end()
			s.Kubectl("delete", "pods", "-l", "tekton.dev/pipelineRun="+run)
			if faults := missing(out); code != 0 || len(faults) > 0 {
				t.Errorf("osbs build ends with %d, and shows %q", code, faults)
			}
			for _, stage := range []string{"clone", "detect-base", "lock", "prepare", "build", "push", "import"} {
				if !strings.Contains(out, stage) {
					t.Errorf("nothing is shown of %s:\n%s", stage, out)
				}
			}
			if reason, _ := testsite.Condition(s.Get(run)); reason != v1.PipelineRunReasonSuccessful.String() && reason != v1.PipelineRunReasonCompleted.String() {
				t.Errorf("the PipelineRun says %s without its pods", reason)
			}
			said, _, code := s.Osbs("build-logs", run)
			if code != 0 || !strings.Contains(said, "is gone") {
				t.Errorf("build-logs ends with %d when the pods are gone:\n%s", code, said)
			}
		})
	}
}
