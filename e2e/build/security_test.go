//go:build e2e

package build

import (
	"os"
	"path/filepath"
	"testing"
)

const enforce = "pod-security.kubernetes.io/enforce"

// profile puts the seccomp profile of the build stage on the node, if this is the cluster of e2e/cluster; others must have it.
func profile(t *testing.T) {
	t.Helper()
	if os.Getenv("OSBS_E2E_DIR") == "" {
		return
	}
	text, err := os.ReadFile("../../seccomp/build.json")
	if err != nil {
		t.Fatal(err)
	}
	putProfile(t, "build.json", text)
}

// putProfile writes a profile where the kubelet of e2e/cluster looks for osbs/NAME.
func putProfile(t *testing.T, name string, text []byte) {
	t.Helper()
	target := filepath.Join(os.Getenv("OSBS_E2E_DIR"), "var/kubelet/seccomp/osbs", name)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWithCapabilitiesAndTheProfileANamespaceMayEnforceBaseline(t *testing.T) {
	t.Parallel()
	profile(t)
	for _, layout := range []string{"fused", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{Layout: layout, Config: "build_security: capabilities\n", Labels: map[string]string{enforce: "baseline"}})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, `RUN chown 1000:2000 /etc/passwd && chmod 4755 /bin/busybox`,
				"USER 1001", "RUN id -u >/tmp/user", `CMD ["cat", "/tmp/user"]`)})
			got := s.Succeeded(s.Start(values{"git-url": repository.URL, "git-branch": "main"}))
			if said := s.runImage(got["IMAGE_URL"] + "@" + got["IMAGE_DIGEST"]); said != "1001\n" {
				t.Errorf("the image says %q", said)
			}
		})
	}
}
