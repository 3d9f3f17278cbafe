//go:build e2e

package build

import (
	"strings"
	"testing"
)

func TestAllPodsButTheBuildsWouldPassRestricted(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{layout: "chained"})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, "COPY Dockerfile /")})
	run := s.start(values{"git-url": repository.url, "git-branch": "main"})
	s.succeeded(run)
	// The API server warns of each pod that is there and would be refused.
	_, warnings, code := s.execute(nil, "kubectl", "label", "--dry-run=server", "--overwrite", "namespace", s.Name, enforce+"=restricted")
	if code != 0 || !strings.Contains(warnings, "-build-pod:") {
		t.Fatalf("no warning of the build's pod: %s", warnings)
	}
	for line := range strings.Lines(warnings) {
		if !strings.Contains(line, "existing pods in namespace") && (!strings.Contains(line, "-build-pod:") || strings.Contains(line, "other pod")) {
			t.Errorf("refused: %s", line)
		}
	}
}
