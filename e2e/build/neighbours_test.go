//go:build e2e

package build

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Two namespaces build the same branch of the same repository at the same time: the name of the build config is the same, the lock is not.
func TestTwoNamespacesDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	first, repository := slow(t, "fused", "")
	second := newSite(t, settings{Config: testsite.SmallRequests})
	one := first.startLasting(repository, "fail", "3600", "1")
	first.Reached(one, "build")
	two := second.startLasting(repository, "fail", "0", "2")
	second.Succeeded(two)
	if first.Get(one).IsDone() {
		t.Error("the first build did not last long enough to show anything")
	}
	first.Cancel(one)
	first.Ended(one)
	first.podsEnd(one)
	one = first.startLasting(repository, "fail", "0", "3")
	first.Succeeded(one)
	if a, b := testsite.Results(first.Get(one))["BUILD_CONFIG"], testsite.Results(second.Get(two))["BUILD_CONFIG"]; a != b || a == "" {
		t.Errorf("the build configs are %q and %q", a, b)
	}
	for _, s := range []*site{first, second} {
		streams, err := s.Image.ImageV1().ImageStreams(s.Name).List(t.Context(), metav1.ListOptions{})
		s.Must(err)
		if len(streams.Items) != 1 {
			t.Errorf("%s has %d ImageStreams", s.Name, len(streams.Items))
		}
	}
	if out, _, code := first.Osbs("list-builds"); code != 0 || strings.Contains(out, two) || !strings.Contains(out, one) {
		t.Errorf("osbs list-builds ends with %d:\n%s", code, out)
	}
	if out, stderr, code := first.Osbs("get-build", two); code != failure.NotFound.ExitCode() {
		t.Errorf("osbs get-build of another namespace's build ends with %d:\n%s%s", code, out, stderr)
	}
}

// Who has the role view may look at everything, and is told what he may not do.
func TestWhoMayOnlyLookIsToldSo(t *testing.T) {
	t.Parallel()
	s, repository := slow(t, "fused", "")
	run := s.startLasting(repository, "fail", "0", "1")
	s.Succeeded(run)
	viewer := s.User(t, "view")
	for _, command := range [][]string{{"list-builds"}, {"get-build", run}, {"build-logs", run}, {"list-build-configs"}, {"watch-build", run}} {
		if out, stderr, code := s.osbsAs(viewer, command...); code != 0 || !strings.Contains(out+stderr, s.Name) && !strings.Contains(out, run) && command[0] != "build-logs" {
			t.Errorf("osbs %s ends with %d:\n%s%s", command, code, out, stderr)
		}
	}
	before := s.visible()
	lasting := s.startLasting(repository, "fail", "3600", "2")
	s.Reached(lasting, "build")
	for what, command := range map[string][]string{
		"create pipelineruns": {"build", "-g", repository.URL, "-b", "main", "-u", "viewer"},
		"patch pipelineruns":  {"cancel-build", lasting},
		"create configmaps":   {"pause-builds"},
	} {
		out, stderr, code := s.osbsAs(viewer, command...)
		verb, kind, _ := strings.Cut(what, " ")
		if code != failure.Unauthorized.ExitCode() || !strings.Contains(stderr, verb) || !strings.Contains(stderr, kind) {
			t.Errorf("osbs %s ends with %d, and does not say that it needs %s:\n%s%s", command, code, what, out, stderr)
		}
	}
	if s.Get(lasting).IsDone() {
		t.Error("the build that may not be cancelled has ended")
	}
	s.unmoved(before)
	if runs := s.RunNames(); len(runs) != 2 {
		t.Errorf("builds: %q", runs)
	}
}

// osbsAs runs the program as the user of a kubeconfig.
func (s *site) osbsAs(kubeconfig string, args ...string) (stdout, stderr string, code int) {
	s.T.Helper()
	env := []string{"NO_COLOR=1", "KUBECONFIG=" + kubeconfig}
	return s.Execute(env, testbed.Osbs().Path(s.T), append([]string{"--config", s.Conf(), "-i", "cluster"}, args...)...)
}
