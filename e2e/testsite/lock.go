//go:build e2e

package testsite

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cancel ends a PipelineRun as tkn does.
func (s *Site) Cancel(run string) {
	s.T.Helper()
	patch := []byte(`{"spec":{"status":"CancelledRunFinally"}}`)
	_, err := s.Runs.TektonV1().PipelineRuns(s.Name).Patch(s.T.Context(), run, types.MergePatchType, patch, metav1.PatchOptions{})
	s.Must(err)
}

// Queued waits until a build waits for its lock.
func (s *Site) Queued(run string) {
	s.T.Helper()
	s.Until(run+" to wait for the lock", BuildTime, func(ctx context.Context) (bool, error) {
		leases, err := s.Kube.CoordinationV1().Leases(s.Name).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, lease := range leases.Items {
			if strings.Contains(lease.Annotations["osbs.dev/queue"], run) {
				return true, nil
			}
		}
		return false, nil
	})
}

// span is the time between a build's lock and its end, as the API has them, in whole seconds.
type span struct {
	run      string
	from, to time.Time
}

// Alone fails the test if two builds were between their lock and their end at the same time.
func (s *Site) Alone(runs []string) {
	s.T.Helper()
	var spans []span
	for _, run := range runs {
		from := s.Locked(run)
		end := s.Get(run).Status.CompletionTime
		if from == nil || end == nil {
			s.T.Errorf("the API does not say when %s had its lock", run)
			continue
		}
		spans = append(spans, span{run, from.Time, end.Time})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	for n := 1; n < len(spans); n++ {
		if spans[n].from.Before(spans[n-1].to) {
			s.T.Errorf("two builds had the lock at once: %+v and %+v", spans[n-1], spans[n])
		}
	}
}

// Locked is when a build had its lock.
func (s *Site) Locked(run string) *metav1.Time {
	s.T.Helper()
	for _, task := range s.TaskRuns(run) {
		for _, state := range task.Status.Steps {
			if state.Name == "lock" && state.Terminated != nil && state.Terminated.ExitCode == 0 {
				return &state.Terminated.FinishedAt
			}
		}
	}
	return nil
}
