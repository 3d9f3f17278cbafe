//go:build e2e

package testsite

import (
	"slices"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// Osbs runs the program on the instance that is the test's namespace.
func (s *Site) Osbs(args ...string) (stdout, stderr string, code int) {
	s.T.Helper()
	return s.Execute([]string{"NO_COLOR=1"}, testbed.Osbs().Path(s.T), append([]string{"--config", s.Conf(), "-i", "cluster"}, args...)...)
}

// Conf is an osbs.conf that names the test's namespace.
func (s *Site) Conf() string {
	s.T.Helper()
	return s.File("osbs.conf", "[general]\n\n[cluster]\nnamespace = "+s.Name+"\n")
}

// RunNames are all PipelineRuns, the oldest first.
func (s *Site) RunNames() []string {
	s.T.Helper()
	list, err := s.Runs.TektonV1().PipelineRuns(s.Name).List(s.T.Context(), metav1.ListOptions{})
	s.Must(err)
	runs := list.Items
	slices.SortFunc(runs, func(a, b v1.PipelineRun) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	names := make([]string, 0, len(runs))
	for _, r := range runs {
		names = append(names, r.Name)
	}
	return names
}

// TknStart has tkn start a build, with further arguments, and returns what it says.
func (s *Site) TknStart(args ...string) string {
	s.T.Helper()
	pod := s.File("pod.yaml", "hostUsers: false\nsecurityContext: {fsGroup: 65532}\n")
	return s.Command(nil, "tkn", append([]string{"--namespace", s.Name, "pipeline", "start", "osbs", "--serviceaccount", "osbs", "--pod-template", pod,
		"--use-param-defaults", "--skip-optional-workspace"}, args...)...)
}
