package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

const kubeconfig = `apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c, cluster: {server: "https://api.example.com:6443"}}
- {name: d, cluster: {server: "https://other.example.com:6443"}}
users:
- {name: u, user: {token: secret}}
contexts:
- {name: one, context: {cluster: c, user: u, namespace: builds}}
- {name: two, context: {cluster: d, user: u}}
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// outside is a place that is no pod and has no kubeconfig of its own.
func outside(t *testing.T) {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
}

func TestFind(t *testing.T) {
	outside(t)
	file := write(t, kubeconfig)
	for name, c := range map[string]struct {
		options                Options
		host, namespace, token string
		origin                 string
	}{
		"current context": {Options{Kubeconfig: file}, "https://api.example.com:6443", "builds", "secret", `context "one"`},
		"context":         {Options{Kubeconfig: file, Context: "two"}, "https://other.example.com:6443", "default", "secret", `context "two"`},
		"namespace":       {Options{Kubeconfig: file, Namespace: "n"}, "https://api.example.com:6443", "n", "secret", file},
		"own token":       {Options{Kubeconfig: file, Token: "mine"}, "https://api.example.com:6443", "builds", "mine", ""},
		"server":          {Options{Server: "https://s.example.com", Namespace: "n", Token: "t"}, "https://s.example.com", "n", "t", "https://s.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Find(c.options)
			if err != nil {
				t.Fatal(err)
			}
			if got.REST.Host != c.host || got.Namespace != c.namespace || got.REST.BearerToken != c.token || !strings.Contains(got.Origin, c.origin) {
				t.Errorf("got %s, namespace %s, token %s, origin %s", got.REST.Host, got.Namespace, got.REST.BearerToken, got.Origin)
			}
			if _, err := New(got, step.Env{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	outside(t)
	file := write(t, kubeconfig)
	for name, c := range map[string]struct {
		options Options
		text    string
	}{
		"nothing":          {Options{}, "no cluster is named"},
		"no such file":     {Options{Kubeconfig: filepath.Join(t.TempDir(), "x")}, "no such file"},
		"malformed":        {Options{Kubeconfig: write(t, "{")}, "malformed"},
		"no such context":  {Options{Kubeconfig: file, Context: "three"}, `context "three" does not exist`},
		"two clusters":     {Options{Server: "https://s.example.com", Context: "one", Namespace: "n", Token: "t"}, "which of them"},
		"no namespace":     {Options{Server: "https://s.example.com", Token: "t"}, "no namespace"},
		"no login":         {Options{Server: "https://s.example.com", Namespace: "n"}, "log in"},
		"half a login":     {Options{Server: "https://s.example.com", Namespace: "n", ClientCert: "c"}, "and its key"},
		"malformed server": {Options{Server: "https://s example.com:x", Namespace: "n", Token: "t"}, "s example.com"},
		"unreadable CA":    {Options{Kubeconfig: file, CAFile: filepath.Join(t.TempDir(), "x")}, "unable to read certificate-authority"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Find(c.options)
			if failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}

func TestServerWithoutVerification(t *testing.T) {
	got, err := Find(Options{Server: "https://s.example.com", Namespace: "n", Token: "t", CAFile: "/ca", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(got, step.Env{}); err != nil || !got.REST.Insecure {
		t.Errorf("insecure: %v, %v", got.REST.Insecure, err)
	}
}

func TestInPod(t *testing.T) {
	outside(t)
	_, err := InPod("n")
	if failure.KindOf(err) != failure.Usage {
		t.Errorf("outside a pod: %v", err)
	}
	if _, err := os.Stat(namespaceFile); err == nil {
		t.Skip("this is a pod")
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	if _, err := InPod("n"); failure.KindOf(err) != failure.Unauthorized || !strings.Contains(err.Error(), "automount") {
		t.Errorf("without a token: %v", err)
	}
}

func TestReadNamespace(t *testing.T) {
	if got, err := readNamespace(write(t, "builds\n")); err != nil || got != "builds" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, file := range []string{write(t, "\n"), filepath.Join(t.TempDir(), "none")} {
		if _, err := readNamespace(file); failure.KindOf(err) != failure.Usage {
			t.Errorf("got %v", err)
		}
	}
}
