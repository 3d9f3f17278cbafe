package local

import (
	"slices"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// TestTargets wants them in the order of the sync stage of a cluster, and Pulp as it is configured.
func TestTargets(t *testing.T) {
	r := &run{Instance: &Instance{conf: Config{
		MirrorRegistryURI: []registry.URI{{Host: "mirror.example.com"}}, ArchiveDir: t.TempDir(), ArchiveFormat: "oci",
		Pulp: Pulp{
			URL: "https://pulp.example.com", APIPrefix: "/pulp/team/", Registry: "registry.example.com", RepositoryPrefix: "site-", Timeout: time.Minute, RetainVersions: 3,
		},
	}}}
	targets, err := r.syncTargets()
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, target := range targets {
		kinds = append(kinds, target.Kind())
	}
	if want := []string{"registry", "directory", "pulp"}; !slices.Equal(kinds, want) {
		t.Fatalf("targets are %v, want %v", kinds, want)
	}
	p := targets[2].(*imagesync.Pulp)
	if p.RegistryName != "registry.example.com" || p.Prefix != "site-" || p.RetainVersions != 3 {
		t.Errorf("Pulp is %+v", p)
	}
	r.conf.Pulp.APIPrefix = "pulp"
	if _, err := r.syncTargets(); err == nil {
		t.Error("a malformed API prefix is accepted")
	}
}
