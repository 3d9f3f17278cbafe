//go:build e2e

package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/preflight"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m, testbed.Osbs())) }

// space is a namespace of its own for one test.
type space struct {
	*testbed.Namespace
	dir string
}

func newSpace(t *testing.T, labels map[string]string) *space {
	t.Helper()
	return &space{testbed.NewNamespace(t, "osbs-install", labels), t.TempDir()}
}

// webhook creates the Secret without which the watcher cannot start.
func (s *space) webhook(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "osbs-webhook"}, StringData: map[string]string{"token": strings.Repeat("t", 40)}}
	if _, err := s.Kube.CoreV1().Secrets(s.Name).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// outcome is the JSON of osbs install and uninstall.
type outcome struct {
	Code      int
	Stderr    string
	Namespace string              `json:"namespace"`
	Preflight []preflight.Finding `json:"preflight"`
	Changes   []deploy.Change     `json:"changes"`
	Pending   []struct {
		Kind, Name, Command string
	} `json:"pending"`
	Failure *osbs.Failure `json:"failure"`
}

// count says how many objects had a result.
func (o outcome) count(r deploy.Result) int {
	n := 0
	for _, c := range o.Changes {
		if c.Result == r {
			n++
		}
	}
	return n
}

// finding is the one about a subject.
func (o outcome) finding(subject string) preflight.Finding {
	for _, f := range o.Preflight {
		if f.Subject == subject {
			return f
		}
	}
	return preflight.Finding{}
}

// osbs runs the program as the user of a kubeconfig, and fails the test unless it ends with the code.
func (s *space) osbs(t *testing.T, kubeconfig string, code int, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testbed.Osbs().Path(t), append(args, "--output", "json")...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+s.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	out := outcome{Code: cmd.ProcessState.ExitCode(), Stderr: stderr.String()}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("osbs %v: %v\n%s%s", args, err, stdout.String(), stderr.String())
	}
	if out.Code != code {
		t.Fatalf("osbs %v ended with %d, not %d:\n%s%s", args, out.Code, code, stdout.String(), stderr.String())
	}
	return out
}

// file writes a file and returns its path.
func (s *space) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// images resolves the references of all stages, to images that need not exist.
func (s *space) images(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, stage := range append(osbs.Stages(), "imagewatch") {
		fmt.Fprintf(&b, "ko://github.com/osbs-tekton/osbs/cmd/%s: registry.example.com/osbs/%[1]s@sha256:%s\n", stage, strings.Repeat("0", 64))
	}
	return s.file(t, "images.yaml", b.String())
}
