package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/osbs-tekton/osbs/e2e/cluster/node"
)

func TestConfigure(t *testing.T) {
	s := node.Settings{Dir: t.TempDir(), Cgroup: "/osbs-e2e/test", Credentials: node.Credentials{User: "builder", Password: "secret"}}
	if err := s.Directories(); err != nil {
		t.Fatal(err)
	}
	if err := node.Configure(s); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for file, want := range map[string]string{
		"etc/kubelet.yaml":    "cgroupRoot: /osbs-e2e/test",
		"etc/containerd.toml": `sandbox = "images.example.com:5000/pause:latest"`,
		"etc/certs.d/registry.example.com:5000/hosts.toml": s.Dir + "/pki/ca.crt",
		"etc/certs.d/images.example.com:5000/hosts.toml":   `server = "https://images.example.com:5000"`,
		"etc/hosts":                "registry.example.com",
		"etc/admin.kubeconfig":     "server: https://10.100.0.1:6443",
		"etc/images.yml":           "addr: 10.100.0.2:5000",
		"etc/registry.yml":         "realm: registry",
		"etc/cni/10-pods.conflist": node.PodNetwork,
	} {
		if !strings.Contains(read(file), want) {
			t.Errorf("%s does not say %q:\n%s", file, want, read(file))
		}
	}
	user, hash, _ := strings.Cut(strings.TrimSpace(read("etc/htpasswd")), ":")
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("secret")); err != nil || user != "builder" {
		t.Errorf("htpasswd: user %q, %v", user, err)
	}
}

func TestEveryComponentIsStarted(t *testing.T) {
	all := node.Settings{Dir: "/d"}.Components()
	for _, apiOnly := range []bool{true, false} {
		started := append(append(node.Core(apiOnly), node.Node(apiOnly)...), "image-apiserver", "image-controllers")
		for _, name := range started {
			if _, ok := all[name]; !ok {
				t.Errorf("%s is started, and there is no such component", name)
			}
		}
		if !apiOnly && len(started) != len(all) {
			t.Errorf("%d components of %d are started", len(started), len(all))
		}
	}
}
