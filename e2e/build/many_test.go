//go:build e2e

package build

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// many are as many builds as are started at once.
const many = 10

// startMany starts builds of one build config at once, with the releases 1, 2, and so on.
func (s *site) startMany(r *repository, policy, seconds string) []string {
	s.T.Helper()
	runs := make([]string, many)
	var group sync.WaitGroup
	for n := range runs {
		group.Go(func() { runs[n] = s.startLasting(r, policy, seconds, fmt.Sprint(n+1)) })
	}
	group.Wait()
	return runs
}

func TestOfTenBuildsAtOnceUnderFailOneHasTheLock(t *testing.T) {
	t.Parallel()
	s, repository := slow(t, "fused", "")
	runs := s.startMany(repository, "fail", "3600")
	var going []string
	s.Until("nine builds to fail", buildTime, func(context.Context) (bool, error) {
		going = slices.DeleteFunc(slices.Clone(runs), func(run string) bool { return s.Get(run).IsDone() })
		return len(going) <= 1, nil
	})
	if len(going) != 1 {
		t.Fatal("no build has got the lock, or it has lost it")
	}
	s.Reached(going[0], "build")
	for _, run := range runs {
		if run == going[0] {
			continue
		}
		if f := s.Fault(run); f.Stage != "lock" || f.Kind != failure.Conflict || !strings.Contains(f.Message, "can't proceed") {
			t.Errorf("%s: %+v", run, f)
		}
	}
	s.Cancel(going[0])
	s.Ended(going[0])
}

func TestTenBuildsAtOnceUnderWaitRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	s, repository := slow(t, "fused", "")
	runs := s.startMany(repository, "wait", "1")
	for _, run := range runs {
		s.Succeeded(run)
	}
	s.Alone(runs)
	s.pushedApart(runs)
}

// manifestPut is what the registry's log says of a tag that was set.
var manifestPut = regexp.MustCompile(`"PUT /v2/([^ ]+)/manifests/([^ ]+) HTTP/[0-9.]+" 201`)

// pushedApart compares with the registry's own log: the tags of two builds were not set in turns.
func (s *site) pushedApart(runs []string) {
	s.T.Helper()
	dir := os.Getenv("OSBS_E2E_DIR")
	if dir == "" {
		s.T.Log("the registry's log cannot be read on this cluster")
		return
	}
	owner := map[string]string{}
	for _, run := range runs {
		for tag := range strings.SplitSeq(testsite.Results(s.Get(run))["TAGS"], ",") {
			owner[tag] = run
		}
	}
	log, err := os.Open(filepath.Join(dir, "log/registry.log"))
	s.Must(err)
	defer log.Close()
	var order []string
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		put := manifestPut.FindStringSubmatch(lines.Text())
		if put == nil || put[1] != s.Name+"/app" || owner[put[2]] == "" {
			continue
		}
		if run := owner[put[2]]; len(order) == 0 || order[len(order)-1] != run {
			order = append(order, run)
		}
	}
	s.Must(lines.Err())
	if len(order) != len(runs) {
		s.T.Errorf("the registry's log says that tags were set in this order: %q", order)
	}
}

func TestAWaitingBuildGoesOnWhenTheHoldersPodIsDeleted(t *testing.T) {
	t.Parallel()
	for how, grace := range map[string]int64{"asked": 30, "killed": 0} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, repository := slow(t, "fused", "")
			holder := s.startLasting(repository, "fail", "25", "1")
			s.Reached(holder, "build")
			waiting := s.startLasting(repository, "wait", "0", "2")
			s.Queued(waiting)
			s.Must(s.Kube.CoreV1().Pods(s.Name).Delete(t.Context(), s.podOf(holder, "build"), metav1.DeleteOptions{GracePeriodSeconds: &grace}))
			got := s.Succeeded(waiting)
			s.checkDigest(got)
			runs := []string{waiting}
			if ended := s.Ended(holder); ended.IsSuccessful() {
				runs = append(runs, holder) // its pod was made again
			} else if reason, message := testsite.Condition(ended); reason != v1.PipelineRunReasonFailed.String() {
				t.Errorf("the holder ends with %s: %s", reason, message)
			}
			s.Alone(runs)
		})
	}
}
