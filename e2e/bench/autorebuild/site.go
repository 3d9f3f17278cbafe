package autorebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	imageclient "github.com/openshift/client-go/image/clientset/versioned"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/osbs-tekton/osbs/pkg/cluster"
)

// site is a namespace with all that is rendered for autorebuilds, but for the watcher's Deployment: the watcher is a process here, so that
// its memory and CPU time can be read.
type site struct {
	Options
	name  string
	dir   string
	admin *rest.Config
	kube  kubernetes.Interface
	image imageclient.Interface
	all   dynamic.Interface
	meta  metadata.Interface
	token []byte
	// template is the TriggerTemplate; its PipelineRun is what old ones are made after.
	template *unstructured.Unstructured
	// kubeconfig has the rights of the watcher's service account, and no others.
	kubeconfig string
}

var (
	pipelineRuns   = schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}
	triggers       = schema.GroupVersion{Group: "triggers.tekton.dev", Version: "v1beta1"}
	eventListeners = triggers.WithResource("eventlisteners")
)

const (
	listener      = "osbs"
	webhookSecret = "osbs-webhook" //nolint:gosec // its name
	// ready bounds the start of anything.
	ready = 5 * time.Minute
)

func newSite(ctx context.Context, o Options, name, dir string) (*site, error) {
	found, err := cluster.Find(cluster.Options{})
	if err != nil {
		return nil, err
	}
	admin := rest.CopyConfig(found.REST)
	admin.QPS, admin.WarningHandler = -1, rest.NoWarnings{}
	s := &site{
		Options: o, name: fmt.Sprintf("bench-%s-%06x", name, rand.Uint32()&0xffffff), dir: dir, admin: admin, //nolint:gosec // a name, not a secret
		token: fmt.Appendf(nil, "%032x", rand.Uint64()), //nolint:gosec // of a namespace that is gone in a minute
	}
	if s.kube, err = kubernetes.NewForConfig(admin); err != nil {
		return nil, err
	}
	if s.image, err = imageclient.NewForConfig(admin); err != nil {
		return nil, err
	}
	if s.all, err = dynamic.NewForConfig(admin); err != nil {
		return nil, err
	}
	if s.meta, err = metadata.NewForConfig(admin); err != nil {
		return nil, err
	}
	if o.Use != "" {
		s.name = o.Use
		return s, nil
	}
	_, err = s.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}}, metav1.CreateOptions{})
	return s, err
}

func (s *site) say(format string, args ...any) {
	fmt.Fprintf(s.Progress, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...)
}

func (s *site) remove(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.kube.RbacV1().ClusterRoleBindings().Delete(ctx, s.name+"-osbs-trigger", metav1.DeleteOptions{}); err != nil {
		s.say("%v", err)
	}
	if err := s.kube.CoreV1().Namespaces().Delete(ctx, s.name, metav1.DeleteOptions{}); err != nil {
		s.say("%v", err)
	}
}

// install makes the Secret and the rendered objects that autorebuilds need, and waits for the EventListener.
func (s *site) install(ctx context.Context) error {
	tokenFile := s.tokenFile()
	if err := os.WriteFile(tokenFile, s.token, 0o600); err != nil {
		return err
	}
	secrets := s.kube.CoreV1().Secrets(s.name)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: webhookSecret}, Data: map[string][]byte{"token": s.token}}
	if _, err := secrets.Create(ctx, secret, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	objects, err := s.render(ctx)
	if err != nil {
		return err
	}
	for i := range objects {
		if err := s.apply(ctx, &objects[i]); err != nil {
			return err
		}
	}
	if err := s.login(ctx, "osbs-imagewatch"); err != nil {
		return err
	}
	return s.scale(ctx, listener, 1)
}

func (s *site) tokenFile() string { return filepath.Join(s.dir, "token") }

// render is what `osbs generate` makes for the namespace.
func (s *site) render(ctx context.Context) ([]unstructured.Unstructured, error) {
	config := filepath.Join(s.dir, "config.yaml")
	text := fmt.Sprintf("name: osbs\nnamespace: %s\nregistry_uri: https://registry.example.com\nworkspace: {size: 2Gi}\n", s.name)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, s.Osbs, "--output", "json", "generate", "--images", s.StepImages, config).Output()
	if err != nil {
		return nil, fmt.Errorf("osbs generate: %w", err)
	}
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("osbs generate: %w", err)
	}
	objects := make([]unstructured.Unstructured, len(list.Items))
	for i, item := range list.Items {
		if err := objects[i].UnmarshalJSON(item); err != nil {
			return nil, fmt.Errorf("osbs generate: %w", err)
		}
	}
	return objects, nil
}

// apply makes one rendered object, if autorebuilds need it and the bench does not do its work itself.
func (s *site) apply(ctx context.Context, object *unstructured.Unstructured) error {
	const rbac = "rbac.authorization.k8s.io"
	resources := map[string]schema.GroupVersionResource{
		"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
		"Role":           {Group: rbac, Version: "v1", Resource: "roles"}, "RoleBinding": {Group: rbac, Version: "v1", Resource: "rolebindings"},
		"TriggerBinding": triggers.WithResource("triggerbindings"), "TriggerTemplate": triggers.WithResource("triggertemplates"),
		"EventListener": eventListeners, "ClusterRoleBinding": {Group: rbac, Version: "v1", Resource: "clusterrolebindings"},
	}
	resource, wanted := resources[object.GetKind()]
	if !wanted {
		return nil
	}
	if object.GetKind() == "TriggerTemplate" {
		if err := pending(object); err != nil {
			return err
		}
		s.template = object
	}
	var err error
	if object.GetKind() == "ClusterRoleBinding" {
		_, err = s.all.Resource(resource).Create(ctx, object, metav1.CreateOptions{})
	} else {
		_, err = s.all.Resource(resource).Namespace(s.name).Create(ctx, object, metav1.CreateOptions{})
	}
	if s.Use != "" && apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// pending has PipelineRuns made as Pending, so that nothing is built.
func pending(template *unstructured.Unstructured) error {
	made, _, err := unstructured.NestedSlice(template.Object, "spec", "resourcetemplates")
	if err != nil {
		return err
	}
	run, ok := made[0].(map[string]any)
	if !ok || len(made) != 1 {
		return fmt.Errorf("the TriggerTemplate makes %v", made)
	}
	if err := unstructured.SetNestedField(run, "PipelineRunPending", "spec", "status"); err != nil {
		return err
	}
	return unstructured.SetNestedSlice(template.Object, made, "spec", "resourcetemplates")
}

// login makes a kubeconfig for a service account of the namespace.
func (s *site) login(ctx context.Context, account string) error {
	seconds := int64(2 * 3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := s.kube.CoreV1().ServiceAccounts(s.name).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: s.admin.Host, CertificateAuthorityData: s.admin.CAData, CertificateAuthority: s.admin.CAFile}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: answer.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: s.name}
	config.CurrentContext = "x"
	s.kubeconfig = filepath.Join(s.dir, "kubeconfig")
	return clientcmd.WriteToFile(*config, s.kubeconfig)
}

// scale gives an EventListener so many pods, and waits until just these are there.
func (s *site) scale(ctx context.Context, name string, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"resources":{"kubernetesResource":{"replicas":%d}}}}`, replicas)
	if _, err := s.all.Resource(eventListeners).Namespace(s.name).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	return until(ctx, "the EventListener "+name, func() (bool, error) {
		d, err := s.kube.AppsV1().Deployments(s.name).Get(ctx, "el-"+name, metav1.GetOptions{})
		if err != nil || d.Status.ReadyReplicas != int32(replicas) || d.Status.ObservedGeneration != d.Generation {
			return false, nil //nolint:nilerr // it is not there yet
		}
		pods, err := s.kube.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{LabelSelector: podsOf(name)})
		ending := func(p corev1.Pod) bool { return p.DeletionTimestamp != nil }
		return err == nil && len(pods.Items) == replicas && !slices.ContainsFunc(pods.Items, ending), nil
	})
}

// podsOf selects the pods of an EventListener.
func podsOf(name string) string { return "eventlistener=" + name }

// url is where an EventListener takes events.
func (s *site) url(ctx context.Context, name string) (string, error) {
	service, err := s.kube.CoreV1().Services(s.name).Get(ctx, "el-"+name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("http://%s:8080", service.Spec.ClusterIP), nil
}

// until polls until done says so.
func until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s", ready, what)
		}
	}
}
