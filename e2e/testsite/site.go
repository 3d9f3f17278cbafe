//go:build e2e

package testsite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	imageclient "github.com/openshift/client-go/image/clientset/versioned"
	tekton "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// imagesVariable names the file with the step images.
const imagesVariable = "OSBS_E2E_STEP_IMAGES"

// SmallRequests are a configuration with which the pods of ten builds can be on one node at once.
const SmallRequests = `stages:
  clone: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  detect-base: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  lock: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  prepare: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  build: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  push: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
  import: {resources: {requests: {cpu: 5m, memory: 16Mi}}}
`

// Site is a namespace with the rendering of one configuration.
//
// What is the test's in the registry and on the git server has the namespace's name, too.
type Site struct {
	*testbed.Namespace
	T *testing.T
	// Dir is the test's own, on this machine.
	Dir   string
	Runs  tekton.Interface
	Image imageclient.Interface
}

// Settings are what differs between sites.
type Settings struct {
	// Layout is fused if it is empty.
	Layout string
	// Config is added to the configuration, Overlay the text of one.
	Config, Overlay string
	// Labels are the namespace's.
	Labels map[string]string
	// Autorebuild are keys of the configuration's autorebuild, as {max_concurrent: 2} or {}: what rebuilds images is installed then, by the
	// cluster's administrator, and ready. Without them it is not.
	Autorebuild string
	// Prepare makes what the configuration names besides, before anything is installed.
	Prepare func(*Site)
}

// New installs the rendering of a configuration for the cluster's registry and git server.
func New(t *testing.T, o Settings) *Site {
	t.Helper()
	s := &Site{Namespace: testbed.NewNamespace(t, "osbs-build", o.Labels), T: t, Dir: t.TempDir()}
	var err error
	s.Runs, err = tekton.NewForConfig(s.Admin)
	s.Must(err)
	s.Image, err = imageclient.NewForConfig(s.Admin)
	s.Must(err)
	s.credentials()
	if o.Prepare != nil {
		o.Prepare(s)
	}
	s.install(o)
	return s
}

// Within is the same site in a subtest.
func (s *Site) Within(t *testing.T) *Site {
	inner := *s
	inner.T = t
	return &inner
}

// Must ends the test if there is an error.
func (s *Site) Must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

// credentials makes the Secrets that the rendering names, and the ConfigMap with the CA.
func (s *Site) credentials() {
	s.T.Helper()
	ca, err := os.ReadFile(testbed.Variable(s.T, "OSBS_E2E_CA_FILE"))
	s.Must(err)
	_, err = s.Kube.CoreV1().ConfigMaps(s.Name).Create(s.T.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "site-ca"}, Data: map[string]string{"ca.crt": string(ca)},
	}, metav1.CreateOptions{})
	s.Must(err)
	s.RegistrySecret("osbs-registry", testbed.Variable(s.T, "OSBS_E2E_REGISTRY_PASSWORD"))
	s.Secret("osbs-git", corev1.SecretTypeBasicAuth, map[string]string{
		"username": testbed.Variable(s.T, "OSBS_E2E_GIT_USER"), "password": testbed.Variable(s.T, "OSBS_E2E_GIT_PASSWORD"),
	})
}

// RegistrySecret makes a Secret with credentials for the registry.
func (s *Site) RegistrySecret(name, password string) {
	s.T.Helper()
	logins := map[string]any{"auths": map[string]any{testbed.Variable(s.T, "OSBS_E2E_REGISTRY"): map[string]string{
		"username": testbed.Variable(s.T, "OSBS_E2E_REGISTRY_USER"), "password": password,
	}}}
	text, err := json.Marshal(logins)
	s.Must(err)
	s.Secret(name, corev1.SecretTypeDockerConfigJson, map[string]string{corev1.DockerConfigJsonKey: string(text)})
}

// Secret makes a Secret.
func (s *Site) Secret(name string, kind corev1.SecretType, data map[string]string) {
	s.T.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: kind, StringData: data}
	_, err := s.Kube.CoreV1().Secrets(s.Name).Create(s.T.Context(), secret, metav1.CreateOptions{})
	s.Must(err)
}

// install has osbs install a configuration; without autorebuilds with the rights of the namespace's admin and no others.
func (s *Site) install(o Settings) {
	s.T.Helper()
	var env []string
	if o.Autorebuild == "" {
		o.Autorebuild = "{enabled: false}"
		env = []string{"KUBECONFIG=" + s.User(s.T, "admin")}
	} else {
		s.Secret("osbs-webhook", corev1.SecretTypeOpaque, map[string]string{"token": fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())})
		s.T.Cleanup(s.removeBinding)
		defer s.ready()
	}
	config := s.File("osbs.yaml", fmt.Sprintf(`namespace: %s
registry_uri: https://%s
registry_ca: {config_map: site-ca}
git_ca: {config_map: site-ca}
layout: %s
workspace: {size: 1Gi}
autorebuild: %s
%s`, s.Name, testbed.Variable(s.T, "OSBS_E2E_REGISTRY"), cmp.Or(o.Layout, "fused"), o.Autorebuild, o.Config))
	args := []string{config, "--images", testbed.Variable(s.T, imagesVariable)}
	if o.Overlay != "" {
		args = append(args, "--overlay", s.File("overlay.yaml", o.Overlay))
	}
	osbs := testbed.Osbs().Path(s.T)
	s.Command(env, osbs, append([]string{"install"}, args...)...)
	s.Command(nil, osbs, append([]string{"generate", "--sample", "--to", s.Sample()}, args...)...)
}

// removeBinding removes what osbs install makes outside of the namespace.
func (s *Site) removeBinding() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.T.Context()), time.Minute)
	defer cancel()
	err := s.Kube.RbacV1().ClusterRoleBindings().Delete(ctx, s.Name+"-osbs-trigger", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		s.T.Error(err)
	}
}

// ready waits until the EventListener and the watcher are.
func (s *Site) ready() {
	s.T.Helper()
	for _, name := range []string{"el-osbs", "osbs-imagewatch"} {
		s.Until(name+" to be ready", 5*time.Minute, func(ctx context.Context) (bool, error) {
			d, err := s.Kube.AppsV1().Deployments(s.Name).Get(ctx, name, metav1.GetOptions{})
			return err == nil && d.Status.ReadyReplicas > 0 && d.Status.ObservedGeneration == d.Generation, nil
		})
	}
}

// Sample is the file with the PipelineRun that osbs generate makes for users.
func (s *Site) Sample() string { return filepath.Join(s.Dir, "run.yaml") }

// File writes a file of the test's.
func (s *Site) File(name, text string) string {
	s.T.Helper()
	path := filepath.Join(s.Dir, name)
	s.Must(os.MkdirAll(filepath.Dir(path), 0o755))
	s.Must(os.WriteFile(path, []byte(text), 0o644))
	return path
}

// Kubectl runs it in the namespace, as the administrator.
func (s *Site) Kubectl(args ...string) string {
	s.T.Helper()
	return s.Command(nil, "kubectl", append([]string{"--namespace", s.Name}, args...)...)
}

// Command runs a program that must succeed, and returns its standard output.
func (s *Site) Command(env []string, name string, args ...string) string {
	s.T.Helper()
	out, stderr, code := s.Execute(env, name, args...)
	if code != 0 {
		s.T.Fatalf("%s %s ends with %d:\n%s%s", filepath.Base(name), strings.Join(args, " "), code, out, stderr)
	}
	return out
}

// Execute runs a program, and returns its output and its exit code.
func (s *Site) Execute(env []string, name string, args ...string) (stdout, stderr string, code int) {
	s.T.Helper()
	cmd := exec.CommandContext(s.T.Context(), name, args...)
	var out, faults strings.Builder
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &faults, append(os.Environ(), env...)
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.T.Fatalf("%s: %v", name, err)
	}
	return out.String(), faults.String(), cmd.ProcessState.ExitCode()
}

// Until polls until done; limit is generous, for busy machines.
func (s *Site) Until(what string, limit time.Duration, done func(context.Context) (bool, error)) {
	s.T.Helper()
	testbed.Until(s.T, what, limit, done)
}
