//go:build e2e

package build

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// chainsVariable names the program of e2e/chains, which is Tekton Chains' own code.
const chainsVariable = "OSBS_E2E_CHAINS"

// descriptor is what a statement about a build says of an image or a repository.
type descriptor struct {
	Name, URI string
	Digest    map[string]string
}

// provenance is what Chains makes of a build.
type provenance struct {
	Images    []string
	Statement struct {
		Subject   []descriptor
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []descriptor
			}
		}
	}
}

func TestTektonChainsFindsTheImageAndTheCommit(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"fused", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{Layout: layout})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY Dockerfile /")})
			run := s.Start(values{"git-url": repository.URL, "git-branch": "main"})
			got := s.Succeeded(run)
			made := s.provenance(run)
			image, err := name.ParseReference(got["IMAGE_URL"])
			s.Must(err)
			repo := image.Context().Name()
			algorithm, hash, _ := strings.Cut(got["IMAGE_DIGEST"], ":")
			if want := got["IMAGE_URL"] + "@" + got["IMAGE_DIGEST"]; len(made.Images) != 1 || made.Images[0] != want {
				t.Errorf("Chains would sign the images %q, want %s", made.Images, want)
			}
			if subject := made.Statement.Subject; len(subject) != 1 || subject[0].Digest[algorithm] != hash || !strings.HasPrefix(subject[0].Name, repo) {
				t.Errorf("the statement is about %+v, want %s@%s", subject, repo, got["IMAGE_DIGEST"])
			}
			found := false
			for _, d := range made.Statement.Predicate.BuildDefinition.ResolvedDependencies {
				found = found || d.URI == "git+"+repository.URL && d.Digest["sha1"] == repository.Head()
			}
			if !found {
				t.Errorf("the statement does not say that it was built from %s at %s: %+v", repository.URL, repository.Head(),
					made.Statement.Predicate.BuildDefinition.ResolvedDependencies)
			}
		})
	}
}

// provenance asks Chains' code what it makes of a build.
func (s *site) provenance(run string) provenance {
	s.T.Helper()
	list := s.Kubectl("get", "pipelineruns.tekton.dev,taskruns.tekton.dev", "-o", "json", "-l", "app.kubernetes.io/part-of=osbs")
	cmd := exec.CommandContext(s.T.Context(), testbed.Variable(s.T, chainsVariable))
	cmd.Stdin = strings.NewReader(list)
	var faults strings.Builder
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		s.T.Fatalf("%v: %s\n%s is in the list: %v", err, faults.String(), run, strings.Contains(list, run))
	}
	var made provenance
	s.Must(json.Unmarshal(out, &made))
	return made
}
