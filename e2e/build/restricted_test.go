//go:build e2e

package build

import (
	"strings"
	"testing"
)

func TestAllPodsButTheBuildsWouldPassRestricted(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{Layout: "chained"})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY Dockerfile /")})
	run := s.Start(values{"git-url": repository.URL, "git-branch": "main"})
	s.Succeeded(run)
	// The API server warns of each pod that is there and would be refused.
	_, warnings, code := s.Execute(nil, "kubectl", "label", "--dry-run=server", "--overwrite", "namespace", s.Name, enforce+"=restricted")
	if code != 0 || !strings.Contains(warnings, "-build-pod:") {
		t.Fatalf("no warning of the build's pod: %s", warnings)
	}
	for line := range strings.Lines(warnings) {
		if !strings.Contains(line, "existing pods in namespace") && (!strings.Contains(line, "-build-pod:") || strings.Contains(line, "other pod")) {
			t.Errorf("refused: %s", line)
		}
	}
}
