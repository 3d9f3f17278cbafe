//go:build e2e

package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/preflight"
)

// program is the environment variable with the osbs under test. TestMain builds one if nobody has set it.
const program = "OSBS_E2E_OSBS"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "install-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if os.Getenv(program) == "" {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "osbs"), "github.com/osbs-tekton/osbs/cmd/osbs")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building osbs:", err)
			return 1
		}
		if err := os.Setenv(program, filepath.Join(dir, "osbs")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// space is a namespace of its own for one test.
type space struct {
	name  string
	dir   string
	admin *rest.Config
	kube  kubernetes.Interface
}

func newSpace(t *testing.T, labels map[string]string) *space {
	t.Helper()
	config, err := cluster.Find(cluster.Options{})
	if err != nil {
		t.Fatalf("these tests need a cluster: %v", err)
	}
	config.REST.QPS, config.REST.Burst, config.REST.WarningHandler = 100, 200, rest.NoWarnings{}
	s := &space{name: fmt.Sprintf("osbs-install-%08x", rand.Uint32()), dir: t.TempDir(), admin: config.REST}
	if s.kube, err = kubernetes.NewForConfig(s.admin); err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name, Labels: labels}}
	if _, err := s.kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := s.kube.CoreV1().Namespaces().Delete(ctx, s.name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("the namespace stays: %v", err)
		}
	})
	return s
}

// webhook creates the Secret without which the watcher cannot start.
func (s *space) webhook(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "osbs-webhook"}, StringData: map[string]string{"token": strings.Repeat("t", 40)}}
	if _, err := s.kube.CoreV1().Secrets(s.name).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.accountExists(t)
}

// accountExists waits for the service account that a new namespace gets.
func (s *space) accountExists(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		_, err := s.kube.CoreV1().ServiceAccounts(s.name).Get(t.Context(), "default", metav1.GetOptions{})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// user is a kubeconfig of somebody who has a role of the cluster in the namespace, and nothing else.
func (s *space) user(t *testing.T, role string) string {
	t.Helper()
	ctx, name := t.Context(), "a-"+role
	if _, err := s.kube.CoreV1().ServiceAccounts(s.name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: s.name}},
	}
	if _, err := s.kube.RbacV1().RoleBindings(s.name).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	seconds := int64(3600)
	token, err := s.kube.CoreV1().ServiceAccounts(s.name).CreateToken(ctx, name,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: s.admin.Host, CertificateAuthorityData: s.admin.CAData, CertificateAuthority: s.admin.CAFile, InsecureSkipTLSVerify: s.admin.Insecure,
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: s.name}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
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
	cmd := exec.CommandContext(ctx, os.Getenv(program), append(args, "--output", "json")...)
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
