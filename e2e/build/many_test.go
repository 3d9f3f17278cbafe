//go:build e2e

package build

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// many are as many builds as are started at once.
const many = 10

// startMany starts builds of one build config at once, with the releases 1, 2, and so on.
func (s *site) startMany(r *repository, policy, seconds string) []string {
	s.t.Helper()
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
	s.until("nine builds to fail", buildTime, func(context.Context) (bool, error) {
		going = slices.DeleteFunc(slices.Clone(runs), func(run string) bool { return s.get(run).IsDone() })
		return len(going) <= 1, nil
	})
	if len(going) != 1 {
		t.Fatal("no build has got the lock, or it has lost it")
	}
	s.reached(going[0], "build")
	for _, run := range runs {
		if run == going[0] {
			continue
		}
		if f := s.fault(run); f.stage != "lock" || f.kind != failure.Conflict || !strings.Contains(f.message, "can't proceed") {
			t.Errorf("%s: %+v", run, f)
		}
	}
	s.cancel(going[0])
	s.ended(going[0])
}

func TestTenBuildsAtOnceUnderWaitRunOneAfterTheOther(t *testing.T) {
	t.Parallel()
	s, repository := slow(t, "fused", "")
	runs := s.startMany(repository, "wait", "1")
	for _, run := range runs {
		s.succeeded(run)
	}
	s.alone(runs)
	s.pushedApart(runs)
}

// span is the time between a build's lock and its end, as the API has them, in whole seconds.
type span struct {
	run      string
	from, to time.Time
}

// alone fails the test if two builds were between their lock and their end at the same time.
func (s *site) alone(runs []string) {
	s.t.Helper()
	var spans []span
	for _, run := range runs {
		from := s.locked(run)
		end := s.get(run).Status.CompletionTime
		if from == nil || end == nil {
			s.t.Errorf("the API does not say when %s had its lock", run)
			continue
		}
		spans = append(spans, span{run, from.Time, end.Time})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	for n := 1; n < len(spans); n++ {
		if spans[n].from.Before(spans[n-1].to) {
			s.t.Errorf("two builds had the lock at once: %+v and %+v", spans[n-1], spans[n])
		}
	}
}

// locked is when a build had its lock.
func (s *site) locked(run string) *metav1.Time {
	s.t.Helper()
	for _, task := range s.taskRuns(run) {
		for _, state := range task.Status.Steps {
			if state.Name == "lock" && state.Terminated != nil && state.Terminated.ExitCode == 0 {
				return &state.Terminated.FinishedAt
			}
		}
	}
	return nil
}

// manifestPut is what the registry's log says of a tag that was set.
var manifestPut = regexp.MustCompile(`"PUT /v2/([^ ]+)/manifests/([^ ]+) HTTP/[0-9.]+" 201`)

// pushedApart compares with the registry's own log: the tags of two builds were not set in turns.
func (s *site) pushedApart(runs []string) {
	s.t.Helper()
	dir := os.Getenv("OSBS_E2E_DIR")
	if dir == "" {
		s.t.Log("the registry's log cannot be read on this cluster")
		return
	}
	owner := map[string]string{}
	for _, run := range runs {
		for tag := range strings.SplitSeq(results(s.get(run))["TAGS"], ",") {
			owner[tag] = run
		}
	}
	log, err := os.Open(filepath.Join(dir, "log/registry.log"))
	s.must(err)
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
	s.must(lines.Err())
	if len(order) != len(runs) {
		s.t.Errorf("the registry's log says that tags were set in this order: %q", order)
	}
}

func TestAWaitingBuildGoesOnWhenTheHoldersPodIsDeleted(t *testing.T) {
	t.Parallel()
	for how, grace := range map[string]int64{"asked": 30, "killed": 0} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, repository := slow(t, "fused", "")
			holder := s.startLasting(repository, "fail", "25", "1")
			s.reached(holder, "build")
			waiting := s.startLasting(repository, "wait", "0", "2")
			s.queued(waiting)
			s.must(s.Kube.CoreV1().Pods(s.Name).Delete(t.Context(), s.podOf(holder, "build"), metav1.DeleteOptions{GracePeriodSeconds: &grace}))
			got := s.succeeded(waiting)
			s.checkDigest(got)
			runs := []string{waiting}
			if ended := s.ended(holder); ended.IsSuccessful() {
				runs = append(runs, holder) // its pod was made again
			} else if reason, message := condition(ended); reason != v1.PipelineRunReasonFailed.String() {
				t.Errorf("the holder ends with %s: %s", reason, message)
			}
			s.alone(runs)
		})
	}
}
