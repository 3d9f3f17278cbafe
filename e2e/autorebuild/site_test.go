//go:build e2e

package autorebuild

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	imageclient "github.com/openshift/client-go/image/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
)

// site is a namespace with what pipelines/chained.yaml has for autorebuilds, but for the watcher's Deployment: the tests run it.
type site struct {
	*testbed.Namespace
	t         *testing.T
	image     imageclient.Interface
	all       dynamic.Interface
	token     []byte
	tokenFile string
	// kubeconfig has the rights of the watcher's service account.
	kubeconfig string
	url        string
	watchers   int
	// kills counts those of the EventListener.
	kills int
}

var (
	pipelineRuns = schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	triggers     = schema.GroupVersion{Group: "triggers.tekton.dev", Version: "v1beta1"}
)

// newSite makes a namespace. Without listener there is no EventListener, for tests that have their own.
func newSite(t *testing.T, listener bool) *site {
	t.Helper()
	s := &site{Namespace: testbed.NewNamespace(t, "autorebuild", nil), t: t, token: []byte(fmt.Sprintf("%032x", rand.Uint64()))}
	var err error
	s.image, err = imageclient.NewForConfig(s.Admin)
	s.must(err)
	s.all, err = dynamic.NewForConfig(s.Admin)
	s.must(err)
	s.tokenFile = filepath.Join(t.TempDir(), "token")
	s.must(os.WriteFile(s.tokenFile, s.token, 0o600))
	_, err = s.Kube.CoreV1().Secrets(s.Name).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "osbs-webhook"}, Data: map[string][]byte{"token": s.token},
	}, metav1.CreateOptions{})
	s.must(err)
	s.apply(listener)
	s.kubeconfig = s.Login(t, "osbs-imagewatch")
	if listener {
		s.listen()
	}
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// within is the site for a subtest, which waits and fails by itself.
func (s *site) within(t *testing.T) *site {
	t.Helper()
	inner := *s
	inner.t = t
	return &inner
}

// always is a context for what must be done when the test has ended.
func (s *site) always() context.Context { return context.WithoutCancel(s.t.Context()) }

// until waits until ok says so.
func (s *site) until(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	testbed.Until(s.t, what, limit, func(context.Context) (bool, error) { return ok(), nil })
}

// apply makes the objects of the rendering that autorebuilds need.
func (s *site) apply(listener bool) {
	s.t.Helper()
	data, err := os.ReadFile("../../pipelines/chained.yaml")
	s.must(err)
	resources := map[string]schema.GroupVersionResource{
		"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
		"Role":           {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
		"RoleBinding":    {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	}
	if listener {
		maps.Copy(resources, map[string]schema.GroupVersionResource{
			"TriggerBinding": triggers.WithResource("triggerbindings"), "TriggerTemplate": triggers.WithResource("triggertemplates"),
			"EventListener": triggers.WithResource("eventlisteners"),
		})
	}
	for _, doc := range bytes.Split(data, []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		s.must(yaml.Unmarshal(doc, object))
		resource, wanted := resources[object.GetKind()]
		if !wanted {
			continue
		}
		switch object.GetKind() {
		case "TriggerTemplate":
			s.pending(object)
		case "RoleBinding":
			s.inNamespace(object)
		}
		_, err := s.all.Resource(resource).Namespace(s.Name).Create(s.t.Context(), object, metav1.CreateOptions{})
		s.must(err)
	}
}

// nobody is the controller that PipelineRuns are left to: Tekton's would overwrite the status that a test gives them.
const nobody = "osbs.dev/e2e"

// pending has PipelineRuns made as Pending and left to the tests, so that nothing is built.
func (s *site) pending(template *unstructured.Unstructured) {
	s.t.Helper()
	made, _, err := unstructured.NestedSlice(template.Object, "spec", "resourcetemplates")
	s.must(err)
	run, ok := made[0].(map[string]any)
	if !ok || len(made) != 1 {
		s.t.Fatalf("the TriggerTemplate makes %v", made)
	}
	s.must(unstructured.SetNestedField(run, "PipelineRunPending", "spec", "status"))
	s.must(unstructured.SetNestedField(run, nobody, "spec", "managedBy"))
	s.must(unstructured.SetNestedSlice(template.Object, made, "spec", "resourcetemplates"))
}

func (s *site) inNamespace(binding *unstructured.Unstructured) {
	s.t.Helper()
	subjects, _, err := unstructured.NestedSlice(binding.Object, "subjects")
	s.must(err)
	for _, subject := range subjects {
		if m, ok := subject.(map[string]any); ok {
			m["namespace"] = s.Name
		}
	}
	s.must(unstructured.SetNestedSlice(binding.Object, subjects, "subjects"))
}

// listen gives the EventListener the one right that no Role of a namespace can give, and waits until it is ready.
func (s *site) listen() {
	s.t.Helper()
	ctx := s.t.Context()
	name := s.Name
	_, err := s.Kube.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{triggers.Group}, Resources: []string{"clusterinterceptors", "clustertriggerbindings"}, Verbs: []string{"get", "list", "watch"}}},
	}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.Kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "osbs-trigger", Namespace: s.Name}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := s.Kube.RbacV1().ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			s.t.Error(err)
		}
		if err := s.Kube.RbacV1().ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			s.t.Error(err)
		}
	})
	s.ready()
	s.until("the EventListener has a Service", time.Minute, func() bool {
		service, err := s.Kube.CoreV1().Services(s.Name).Get(ctx, "el-osbs", metav1.GetOptions{})
		if err != nil {
			return false
		}
		s.url = fmt.Sprintf("http://%s:8080", service.Spec.ClusterIP)
		return true
	})
}

// ready waits until the EventListener's pod is.
func (s *site) ready() {
	s.t.Helper()
	s.until("the EventListener is ready", 5*time.Minute, func() bool {
		d, err := s.Kube.AppsV1().Deployments(s.Name).Get(s.t.Context(), "el-osbs", metav1.GetOptions{})
		return err == nil && d.Status.ReadyReplicas > 0 && d.Status.ObservedGeneration == d.Generation
	})
}

// listenerPods selects the EventListener's pods.
const listenerPods = "eventlistener=osbs"

// scale changes how many pods the EventListener has: its Deployment's replicas are left alone if the EventListener names none.
func (s *site) scale(replicas int) {
	s.t.Helper()
	ctx := s.t.Context()
	patch := []byte(`{"spec":{"resources":{"kubernetesResource":{"replicas":null}}}}`)
	_, err := s.all.Resource(triggers.WithResource("eventlisteners")).Namespace(s.Name).Patch(ctx, "osbs", types.MergePatchType, patch, metav1.PatchOptions{})
	s.must(err)
	deployments := s.Kube.AppsV1().Deployments(s.Name)
	_, err = deployments.Patch(ctx, "el-osbs", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas), metav1.PatchOptions{})
	s.must(err)
	s.until("the EventListener is scaled", 5*time.Minute, func() bool {
		d, err := deployments.Get(ctx, "el-osbs", metav1.GetOptions{})
		if err != nil || d.Status.ReadyReplicas != int32(replicas) {
			return false
		}
		pods, err := s.Kube.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{LabelSelector: listenerPods})
		return err == nil && len(pods.Items) == replicas // one that is ending still works
	})
}

// digest is one that no image has; the watcher asks no registry.
func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// image is the base's with a digest.
func image(base, digest string) string { return "r.example.com/" + base + "@" + digest }

// move gives base:latest the digest with a number, as an import does.
func (s *site) move(base string, n int) {
	s.t.Helper()
	s.must(s.moveTo(base, digest(n)))
}

// moveTo gives base:latest a digest, unless it has it.
func (s *site) moveTo(base, digest string) error {
	ctx := s.t.Context()
	streams := s.image.ImageV1().ImageStreams(s.Name)
	for {
		stream, err := streams.Get(ctx, base, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			stream, err = streams.Create(ctx, &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: base}}, metav1.CreateOptions{})
		}
		if err != nil {
			return err
		}
		var before []imagev1.TagEvent
		if len(stream.Status.Tags) > 0 {
			before = stream.Status.Tags[0].Items
		}
		if len(before) > 0 && before[0].Image == digest {
			return nil
		}
		now := imagev1.TagEvent{Created: metav1.Now(), Image: digest, DockerImageReference: image(base, digest), Generation: int64(len(before) + 1)}
		stream.Status.Tags = []imagev1.NamedTagEventList{{Tag: "latest", Items: append([]imagev1.TagEvent{now}, before...)}}
		if _, err = streams.UpdateStatus(ctx, stream, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			return err
		}
	}
}

// config is a build config that was built on digest 1 of each base.
func (s *site) config(name string, bases ...string) {
	s.t.Helper()
	bc := &buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", ImageStream: name, Tags: []string{"latest"},
		Parameters: buildconfig.Parameters{BuildArgs: []string{`A="quoted", and more`}, User: "anne"},
		LastBuild:  &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
	}
	for _, base := range bases {
		first := image(base, digest(1))
		bc.Triggers = append(bc.Triggers, buildconfig.Trigger{ImageStreamTag: base + ":latest", LastTriggeredImage: first, LastBuiltImage: first})
	}
	cm, err := configmap.To(bc)
	s.must(err)
	_, err = s.Kube.CoreV1().ConfigMaps(s.Name).Create(s.t.Context(), cm, metav1.CreateOptions{})
	s.must(err)
}

// configs are n build configs on one base.
func (s *site) configs(n int, base string) {
	s.t.Helper()
	for i := range n {
		s.config(fmt.Sprintf("app%04d", i), base)
	}
}

// tried is the digest that the build config's first trigger has last seen.
func (s *site) tried(name string) string {
	s.t.Helper()
	cm, err := s.Kube.CoreV1().ConfigMaps(s.Name).Get(s.t.Context(), name, metav1.GetOptions{})
	s.must(err)
	bc, err := configmap.From(cm)
	s.must(err)
	return buildconfig.Digest(bc.Triggers[0].LastTriggeredImage)
}

// runs are the PipelineRuns, by the build config and the digests that they are made from.
func (s *site) runs() map[string]int {
	s.t.Helper()
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(s.t.Context(), metav1.ListOptions{})
	s.must(err)
	out := map[string]int{}
	for _, run := range list.Items {
		out[run.GetLabels()[event.LabelBuildConfig]+" "+run.GetAnnotations()[event.AnnotationBaseDigest]]++
	}
	return out
}

// expect waits until there are n PipelineRuns, and fails if two are for the same.
func (s *site) expect(n int, limit time.Duration) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d PipelineRuns", n), limit, func() bool { return len(s.runs()) >= n })
	s.exactly(n)
}

func (s *site) exactly(n int) {
	s.t.Helper()
	runs := s.runs()
	if len(runs) != n {
		s.t.Errorf("%d PipelineRuns, want %d: %v", len(runs), n, slices.Sorted(maps.Keys(runs)))
	}
	for what, many := range runs {
		if many > 1 {
			s.t.Errorf("%d PipelineRuns for %s", many, what)
		}
	}
}

// quiet waits for a time in which nothing may happen: that something does not cannot be waited for otherwise.
func (s *site) quiet(d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.t.Context().Done():
	}
}

// watcher is an imagewatch that runs.
type watcher struct {
	*exec.Cmd
	t       *testing.T
	log     string
	metrics string
	ended   chan struct{}
}

// watch starts a watcher, which is killed at the latest when the test ends.
func (s *site) watch(args ...string) *watcher {
	s.t.Helper()
	s.watchers++
	w := &watcher{t: s.t, log: filepath.Join(s.t.TempDir(), fmt.Sprintf("watcher-%d", s.watchers)), metrics: address(s.t), ended: make(chan struct{})}
	w.Cmd = s.command(append([]string{"-listen=" + w.metrics}, args...)...)
	log, err := os.Create(w.log)
	s.must(err)
	defer log.Close()
	w.Stderr = log
	s.must(w.Start())
	go func() {
		_ = w.Wait()
		close(w.ended)
	}()
	s.t.Cleanup(func() {
		w.kill()
		if s.t.Failed() || testing.Verbose() {
			s.t.Logf("%s:\n%s", filepath.Base(w.log), tail(w.said()))
		}
	})
	return w
}

// address is one that nobody listens on.
func address(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// kill ends the watcher (SIGKILL).
func (w *watcher) kill() {
	_ = w.Process.Kill()
	<-w.ended
}

// runs says that it has not ended.
func (w *watcher) runs() bool {
	select {
	case <-w.ended:
		return false
	default:
		return true
	}
}

// ready says that it knows all of the namespace.
func (w *watcher) ready() bool {
	answer, err := http.Get("http://" + w.metrics + "/readyz")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// said is all that the watcher has logged.
func (w *watcher) said() string {
	log, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Error(err)
	}
	return string(log)
}

// holds has the watcher stand still (SIGSTOP), goesOn has it go on.
func (w *watcher) holds()  { w.signal(syscall.SIGSTOP) }
func (w *watcher) goesOn() { w.signal(syscall.SIGCONT) }

func (w *watcher) signal(s syscall.Signal) {
	w.t.Helper()
	if err := w.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}

// metric is the value of one, such as `osbs_imagewatch_denied{what="x"}`; without labels it is the sum of all with that name. It is 0
// while nobody answers.
func (w *watcher) metric(name string) float64 {
	return metric(w.t, "http://"+w.metrics+"/metrics", name)
}

func metric(t *testing.T, url, name string) float64 {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		line := lines.Text()
		space := strings.LastIndexByte(line, ' ')
		if space < 0 || line[:space] != name && !strings.HasPrefix(line, name+"{") {
			continue
		}
		n, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func (s *site) command(args ...string) *exec.Cmd {
	return exec.CommandContext(s.t.Context(), testbed.Imagewatch().Path(s.t), append([]string{
		"-kubeconfig=" + s.kubeconfig, "-namespace=" + s.Name, "-event-listener-url=" + s.url, "-token-file=" + s.tokenFile,
		"-max-concurrent=0", "-rate=0", "-confirm-timeout=5s", "-scheduled-imports=false",
	}, args...)...)
}

// once runs the watcher with -once to its end.
func (s *site) once() {
	s.t.Helper()
	if log, err := s.command("-once").CombinedOutput(); err != nil {
		s.t.Fatalf("imagewatch -once: %v\n%s", err, tail(string(log)))
	}
}

func tail(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
