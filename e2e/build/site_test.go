//go:build e2e

package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	imageclient "github.com/openshift/client-go/image/clientset/versioned"
	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// site is a namespace with the rendering of one configuration.
//
// What is the test's in the registry and on the git server has the namespace's name, too.
type site struct {
	*testbed.Namespace
	t     *testing.T
	dir   string
	runs  tekton.Interface
	image imageclient.Interface
}

// settings are what differs between sites.
type settings struct {
	layout string
	// config is added to the configuration, overlay the text of one.
	config, overlay string
	labels          map[string]string
}

// newSite installs the rendering of a configuration for the cluster's registry and git server.
func newSite(t *testing.T, o settings) *site {
	t.Helper()
	s := &site{Namespace: testbed.NewNamespace(t, "osbs-build", o.labels), t: t, dir: t.TempDir()}
	var err error
	s.runs, err = tekton.NewForConfig(s.Admin)
	s.must(err)
	s.image, err = imageclient.NewForConfig(s.Admin)
	s.must(err)
	s.credentials()
	s.install(o)
	return s
}

// within is the same site in a subtest.
func (s *site) within(t *testing.T) *site {
	inner := *s
	inner.t = t
	return &inner
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// credentials makes the Secrets that the rendering names, and the ConfigMap with the CA.
func (s *site) credentials() {
	s.t.Helper()
	ca, err := os.ReadFile(testbed.Variable(s.t, "OSBS_E2E_CA_FILE"))
	s.must(err)
	_, err = s.Kube.CoreV1().ConfigMaps(s.Name).Create(s.t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "site-ca"}, Data: map[string]string{"ca.crt": string(ca)},
	}, metav1.CreateOptions{})
	s.must(err)
	s.registrySecret("osbs-registry", testbed.Variable(s.t, "OSBS_E2E_REGISTRY_PASSWORD"))
	s.secret("osbs-git", corev1.SecretTypeBasicAuth, map[string]string{
		"username": testbed.Variable(s.t, "OSBS_E2E_GIT_USER"), "password": testbed.Variable(s.t, "OSBS_E2E_GIT_PASSWORD"),
	})
}

func (s *site) registrySecret(name, password string) {
	s.t.Helper()
	logins := map[string]any{"auths": map[string]any{testbed.Variable(s.t, "OSBS_E2E_REGISTRY"): map[string]string{
		"username": testbed.Variable(s.t, "OSBS_E2E_REGISTRY_USER"), "password": password,
	}}}
	text, err := json.Marshal(logins)
	s.must(err)
	s.secret(name, corev1.SecretTypeDockerConfigJson, map[string]string{corev1.DockerConfigJsonKey: string(text)})
}

func (s *site) secret(name string, kind corev1.SecretType, data map[string]string) {
	s.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, StringData: data}
	_, err := s.Kube.CoreV1().Secrets(s.Name).Create(s.t.Context(), secret, metav1.CreateOptions{})
	s.must(err)
}

// install has osbs install a configuration, with the rights of the namespace's admin and no others.
func (s *site) install(o settings) {
	s.t.Helper()
	if o.layout == "" {
		o.layout = "fused"
	}
	config := s.file("osbs.yaml", fmt.Sprintf(`namespace: %s
registry_uri: https://%s
registry_ca: {config_map: site-ca}
git_ca: {config_map: site-ca}
layout: %s
workspace: {size: 1Gi}
autorebuild: {enabled: false}
%s`, s.Name, testbed.Variable(s.t, "OSBS_E2E_REGISTRY"), o.layout, o.config))
	args := []string{config, "--images", testbed.Variable(s.t, imagesVariable)}
	if o.overlay != "" {
		args = append(args, "--overlay", s.file("overlay.yaml", o.overlay))
	}
	osbs := testbed.Osbs().Path(s.t)
	s.command([]string{"KUBECONFIG=" + s.User(s.t, "admin")}, osbs, append([]string{"install"}, args...)...)
	s.command(nil, osbs, append([]string{"generate", "--sample", "--to", s.sample()}, args...)...)
}

// sample is the file with the PipelineRun that osbs generate makes for users.
func (s *site) sample() string { return filepath.Join(s.dir, "run.yaml") }

// file writes a file of the test's.
func (s *site) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	s.must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

// kubectl runs it in the namespace, as the administrator.
func (s *site) kubectl(args ...string) string {
	s.t.Helper()
	return s.command(nil, "kubectl", append([]string{"--namespace", s.Name}, args...)...)
}

// command runs a program that must succeed, and returns its standard output.
func (s *site) command(env []string, name string, args ...string) string {
	s.t.Helper()
	out, stderr, code := s.execute(env, name, args...)
	if code != 0 {
		s.t.Fatalf("%s %s ends with %d:\n%s%s", filepath.Base(name), strings.Join(args, " "), code, out, stderr)
	}
	return out
}

// execute runs a program, and returns its output and its exit code.
func (s *site) execute(env []string, name string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	var out, faults strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &faults, append(os.Environ(), env...)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	return out.String(), faults.String(), cmd.ProcessState.ExitCode()
}

// until polls until done; limit is generous, for busy machines.
func (s *site) until(what string, limit time.Duration, done func(context.Context) (bool, error)) {
	s.t.Helper()
	testbed.Until(s.t, what, limit, done)
}
