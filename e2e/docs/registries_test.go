//go:build e2e

package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/internal/certtest"
)

// TestTheCommandsAboutRegistriesWork types what docs/registries.md says, each block in a namespace where nothing of it is there yet.
func TestTheCommandsAboutRegistriesWork(t *testing.T) {
	all := blocks(t, "../../docs/registries.md")
	if len(all) < 3 {
		t.Fatalf("docs/registries.md has %d blocks of commands", len(all))
	}
	for _, block := range all {
		n := testbed.NewNamespace(t, "osbs-docs", nil)
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "osbs-build"}}
		if _, err := n.Kube.CoreV1().ServiceAccounts(n.Name).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", block)
		cmd.Dir = siteFiles(t)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+n.User(t, "admin"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s%v\n%s", block, err, out)
		}
	}
}

// siteFiles is a directory with the files that the document's reader has: a dockercfg, a client certificate and a CA.
func siteFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ca, err := certtest.New(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Client("builder", time.Now().Add(24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{
		"config.json": filepath.Join(testbed.Variable(t, "OSBS_E2E_DOCKER_CONFIG"), "config.json"),
		"tls.crt":     pair.Certificate, "client.crt": pair.Certificate, "tls.key": pair.Key, "client.key": pair.Key,
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
