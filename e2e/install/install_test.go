//go:build e2e

package install

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/preflight"
)

const site = "registry_uri: registry.example.com\n"

// objects are names of everything that can be listed of an installation, and of what builds keep beside it, each with what changes when
// somebody changes it: controllers write into the status of some, which changes the version but not the generation.
func (s *space) objects(t *testing.T) map[string]string {
	t.Helper()
	client, err := dynamic.NewForConfig(s.Admin)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, r := range []schema.GroupVersionResource{
		{Group: "tekton.dev", Version: "v1", Resource: "pipelines"}, {Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"},
		{Group: "triggers.tekton.dev", Version: "v1beta1", Resource: "eventlisteners"}, {Group: "triggers.tekton.dev", Version: "v1beta1", Resource: "triggerbindings"},
		{Group: "triggers.tekton.dev", Version: "v1beta1", Resource: "triggertemplates"}, {Version: "v1", Resource: "serviceaccounts"}, {Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}, {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}, {Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}, {Group: "image.openshift.io", Version: "v1", Resource: "imagestreams"},
	} {
		list, err := client.Resource(r).Namespace(s.Name).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list.Items {
			if o.GetDeletionTimestamp() == nil && metav1.GetControllerOf(&o) == nil {
				out[r.Resource+"/"+o.GetName()] = o.GetResourceVersion()
				if o.GetGeneration() > 0 {
					out[r.Resource+"/"+o.GetName()] = fmt.Sprintf("%s, generation %d", o.GetUID(), o.GetGeneration())
				}
			}
		}
	}
	return out
}

// builds makes what builds leave: a build config, a lock, an ImageStream and a PipelineRun that has the labels of the installation.
func (s *space) builds(t *testing.T) {
	t.Helper()
	client, err := dynamic.NewForConfig(s.Admin)
	if err != nil {
		t.Fatal(err)
	}
	managed := func(kind string) map[string]string {
		return map[string]string{"app.kubernetes.io/managed-by": "osbs", "osbs.dev/kind": kind}
	}
	core := s.Kube.CoreV1().ConfigMaps(s.Name)
	if _, err := core.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "app-main-12345", Labels: managed("build-config")}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "app-main-12345", Labels: managed("lock")}}
	if _, err := s.Kube.CoordinationV1().Leases(s.Name).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		resource schema.GroupVersionResource
		object   map[string]any
	}{
		{schema.GroupVersionResource{Group: "image.openshift.io", Version: "v1", Resource: "imagestreams"},
			map[string]any{"apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": map[string]any{"name": "app"}}},
		{schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"},
			map[string]any{"apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
				"metadata": map[string]any{"name": "app-main-12345-1", "labels": map[string]any{
					"app.kubernetes.io/name": "osbs", "app.kubernetes.io/part-of": "osbs", "app.kubernetes.io/managed-by": "osbs"}},
				"spec": map[string]any{"pipelineRef": map[string]any{"name": "osbs"}, "status": "PipelineRunPending"}}},
	} {
		if _, err := client.Resource(o.resource).Namespace(s.Name).Create(t.Context(), &unstructured.Unstructured{Object: o.object}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInstall is the life of an installation, with the rights of the namespace's admin.
func TestInstall(t *testing.T) {
	s := newSpace(t, nil)
	s.webhook(t)
	user, images, config := s.User(t, "admin"), s.images(t), s.file(t, "osbs.yaml", site)
	empty := s.objects(t)

	dry := s.osbs(t, user, 0, "install", config, "--images", images, "--dry-run")
	if diff := cmp.Diff(empty, s.objects(t)); diff != "" || dry.count(deploy.Created) == 0 {
		t.Fatalf("a dry run has changed something, or says nothing (-before +after):\n%s", diff)
	}
	first := s.osbs(t, user, 0, "install", config, "--images", images)
	if first.count(deploy.Created) != dry.count(deploy.Created) || len(first.Pending) != 1 || first.Pending[0].Kind != "ClusterRoleBinding" {
		t.Fatalf("created %d objects, the dry run %d; pending: %v", first.count(deploy.Created), dry.count(deploy.Created), first.Pending)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		_ = s.Kube.RbacV1().ClusterRoleBindings().Delete(ctx, first.Pending[0].Name, metav1.DeleteOptions{})
	})
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", first.Pending[0].Command).CombinedOutput(); err != nil {
		t.Fatalf("what a cluster's admin is told to run: %v: %s", err, out)
	}
	installed := s.objects(t)
	again := s.osbs(t, user, 0, "install", config, "--images", images)
	if len(again.Pending) > 0 || again.count(deploy.Unchanged) != len(again.Changes) {
		t.Errorf("a second time, pending: %v, changes: %v", again.Pending, again.Changes)
	}
	if diff := cmp.Diff(installed, s.objects(t)); diff != "" {
		t.Errorf("a second time, objects have changed:\n%s", diff)
	}
	s.builds(t)
	s.upgrade(t, user, images, config)
	s.remove(t, user, empty)
}

// upgrade changes one thing by an overlay, then leaves out the rebuilds.
func (s *space) upgrade(t *testing.T, user, images, config string) {
	t.Helper()
	overlay := s.file(t, "overlay.yaml", "- set: {params: {log-level: debug}}\n")
	changed := s.osbs(t, user, 0, "install", config, "--images", images, "--overlay", overlay)
	for _, c := range changed.Changes {
		if want := c.Kind == "Pipeline" || c.Kind == "TriggerTemplate"; c.Result != deploy.Unchanged && !want {
			t.Errorf("an overlay that sets a param has %s %s %s", c.Result, c.Kind, c.Name)
		}
	}
	if changed.count(deploy.Configured) == 0 {
		t.Error("the overlay has changed nothing")
	}
	before := s.objects(t)
	fewer := s.file(t, "fewer.yaml", site+"autorebuild: {enabled: false}\n")
	pruned := s.osbs(t, user, 0, "install", fewer, "--images", images)
	if pruned.count(deploy.Removed) != 11 {
		t.Errorf("without rebuilds, %d objects are removed: %v", pruned.count(deploy.Removed), pruned.Changes)
	}
	after := s.objects(t)
	for name := range before {
		kept := !strings.Contains(name, "trigger") && !strings.Contains(name, "eventlistener") && !strings.Contains(name, "imagewatch")
		if _, there := after[name]; there != kept {
			t.Errorf("%s is there: %v", name, there)
		}
	}
	s.osbs(t, user, 0, "install", config, "--images", images)
}

// remove uninstalls: first without what builds have left, then with it.
func (s *space) remove(t *testing.T, user string, empty map[string]string) {
	t.Helper()
	kept := []string{"configmaps/app-main-12345", "leases/app-main-12345", "imagestreams/app", "pipelineruns/app-main-12345-1"}
	check := func(builds ...string) {
		t.Helper()
		left := s.objects(t)
		for name := range empty {
			delete(left, name)
		}
		for _, name := range builds {
			if _, there := left[name]; !there {
				t.Errorf("%s is gone", name)
			}
			delete(left, name)
		}
		if len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	gone := s.osbs(t, user, 0, "uninstall")
	if len(gone.Pending) != 1 || !strings.HasPrefix(gone.Pending[0].Command, "kubectl delete clusterrolebinding ") {
		t.Errorf("pending: %v", gone.Pending)
	}
	check(kept...)
	s.osbs(t, user, 0, "uninstall", "--all")
	check("imagestreams/app")
	if nothing := s.osbs(t, user, 0, "uninstall", "--all"); len(nothing.Changes) > 0 {
		t.Errorf("when all is gone: %v", nothing.Changes)
	}
}

// TestRendered installs what osbs generate wrote.
func TestRendered(t *testing.T) {
	s := newSpace(t, nil)
	s.webhook(t)
	user := s.User(t, "admin")
	rendered := s.dir + "/rendered.yaml"
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `"$OSBS_E2E_OSBS" generate "$0" --images "$1" --to "$2"`, s.file(t, "osbs.yaml", site), s.images(t), rendered)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.osbs(t, user, 0, "install", "--from", rendered)
	if again := s.osbs(t, user, 0, "install", "--from", rendered); again.count(deploy.Unchanged) != len(again.Changes) || len(again.Changes) < 10 {
		t.Errorf("a second time: %v", again.Changes)
	}
	s.osbs(t, user, 0, "uninstall")
}

// TestConflict: what somebody else has set is kept until somebody says otherwise.
func TestConflict(t *testing.T) {
	s := newSpace(t, nil)
	s.webhook(t)
	user, images, config := s.User(t, "admin"), s.images(t), s.file(t, "osbs.yaml", site)
	s.osbs(t, user, 0, "install", config, "--images", images)
	patch := []byte(`{"spec":{"replicas":3}}`)
	_, err := s.Kube.AppsV1().Deployments(s.Name).Patch(t.Context(), "osbs-imagewatch", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
	refused := s.osbs(t, user, 6, "install", config, "--images", images)
	if f := refused.finding("Deployment osbs-imagewatch"); !strings.Contains(f.What, "somebody") || !strings.Contains(f.Do, "--force-conflicts") {
		t.Errorf("%+v", f)
	}
	s.osbs(t, user, 0, "install", config, "--images", images, "--force-conflicts")
	d, err := s.Kube.AppsV1().Deployments(s.Name).Get(t.Context(), "osbs-imagewatch", metav1.GetOptions{})
	if err != nil || *d.Spec.Replicas != 1 {
		t.Errorf("%v %v", d.Spec.Replicas, err)
	}
}

// TestViewer: who may only look is told so, and changes nothing.
func TestViewer(t *testing.T) {
	s := newSpace(t, nil)
	s.webhook(t)
	viewer, admin, images, config := s.User(t, "view"), s.User(t, "admin"), s.images(t), s.file(t, "osbs.yaml", site)
	refused := s.osbs(t, viewer, 5, "install", config, "--images", images)
	f := refused.finding("your rights")
	if f.Level != preflight.Error || !strings.Contains(f.What, "create/patch pipelines.tekton.dev") || !strings.Contains(f.Do, "admin") {
		t.Errorf("%+v", f)
	}
	if refused.Failure == nil || refused.count(deploy.Created) > 0 {
		t.Errorf("%+v", refused)
	}
	s.osbs(t, viewer, 5, "install", config, "--images", images, "--skip-preflight")
	s.osbs(t, admin, 0, "install", config, "--images", images)
	before := s.objects(t)
	s.osbs(t, viewer, 5, "uninstall")
	if diff := cmp.Diff(before, s.objects(t)); diff != "" {
		t.Errorf("a viewer has changed:\n%s", diff)
	}
}

// TestPodSecurity: what a namespace refuses is told before anything is installed, with what to do about it.
func TestPodSecurity(t *testing.T) {
	for _, test := range []struct {
		name, level, config string
		code                int
		what, do            string
	}{
		{"restricted", "restricted", site, 5, "where the build stage cannot run", "enforce=baseline"},
		{"baseline", "baseline", site, 5, "baseline", "build_security: capabilities"},
		{"capabilities", "baseline", site + "build_security: capabilities\n", 0, "", ""},
		{"privileged", "privileged", site, 0, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSpace(t, map[string]string{"pod-security.kubernetes.io/enforce": test.level})
			s.webhook(t)
			out := s.osbs(t, s.User(t, "admin"), test.code, "install", s.file(t, "osbs.yaml", test.config), "--images", s.images(t), "--dry-run")
			f := out.finding("pod of the task build")
			if !strings.Contains(f.What, test.what) || !strings.Contains(f.Do, test.do) || (f.Level == preflight.Error) != (test.what != "") {
				t.Errorf("%+v", f)
			}
			for _, stage := range []string{"clone", "prepare", "push", "lock"} {
				if f := out.finding("pod of the task " + stage); f.Level != "" {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

// TestWhatIsMissing: each thing that a namespace lacks is named.
func TestWhatIsMissing(t *testing.T) {
	s := newSpace(t, nil)
	wrong := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "osbs-registry"}, StringData: map[string]string{"password": "x"}}
	if _, err := s.Kube.CoreV1().Secrets(s.Name).Create(t.Context(), wrong, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := s.file(t, "osbs.yaml", site+"registry_ca: {config_map: registry-ca, key: ca.crt}\n")
	out := s.osbs(t, s.User(t, "admin"), 3, "install", config, "--images", s.images(t))
	for subject, want := range map[string]string{
		"Secret osbs-webhook": "does not exist", "Secret osbs-registry": "its type is Opaque", "ConfigMap registry-ca": "does not exist",
	} {
		if f := out.finding(subject); f.Level != preflight.Error || !strings.Contains(f.What, want) || f.Do == "" {
			t.Errorf("%s: %+v", subject, f)
		}
	}
	if f := out.finding("Secret osbs-git"); f.Level != preflight.Warning {
		t.Errorf("%+v", f)
	}
	if len(out.Changes) > 0 && out.count(deploy.Created) != len(out.Changes) || out.Failure == nil {
		t.Errorf("%+v", out.Changes)
	}
	missing := s.osbs(t, s.User(t, "edit"), 5, "install", "--namespace", "osbs-no-such-namespace", config, "--images", s.images(t))
	if missing.Failure == nil {
		t.Errorf("%+v", missing)
	}
}

// TestSideBySide: two namespaces do not see each other.
func TestSideBySide(t *testing.T) {
	a, b := newSpace(t, nil), newSpace(t, nil)
	for _, s := range []*space{a, b} {
		s.webhook(t)
		s.osbs(t, s.User(t, "admin"), 0, "install", s.file(t, "osbs.yaml", site), "--images", s.images(t))
	}
	before := b.objects(t)
	a.osbs(t, a.User(t, "edit"), 5, "uninstall") // edit may not remove roles
	if diff := cmp.Diff(before, b.objects(t)); diff != "" {
		t.Errorf("the other namespace has changed:\n%s", diff)
	}
}
