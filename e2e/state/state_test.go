//go:build e2e

package state

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// rules are the rights of the stages lock and import, and no more.
func rules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get", "create", "update"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}},
		{APIGroups: []string{"tekton.dev"}, Resources: []string{"pipelineruns"}, Verbs: []string{"get"}},
		{APIGroups: []string{"image.openshift.io"}, Resources: []string{"imagestreams"}, Verbs: []string{"get", "create"}},
		{APIGroups: []string{"image.openshift.io"}, Resources: []string{"imagestreamimports"}, Verbs: []string{"create"}},
	}
}

// space is a namespace of its own for one test.
type space struct {
	*testbed.Namespace
	all   dynamic.Interface
	token string
}

// serviceAccount is the account whose rights the tested code has.
const serviceAccount = "osbs"

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{Namespace: testbed.NewNamespace(t, "osbs-state", nil)}
	var err error
	if s.all, err = dynamic.NewForConfig(s.Admin); err != nil {
		t.Fatal(err)
	}
	s.authorize(t)
	return s
}

// authorize makes the service account, with its rights.
func (s *space) authorize(t *testing.T) {
	t.Helper()
	ctx, name := t.Context(), metav1.ObjectMeta{Name: serviceAccount}
	if _, err := s.Kube.CoreV1().ServiceAccounts(s.Name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: name}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Kube.RbacV1().Roles(s.Name).Create(ctx, &rbacv1.Role{ObjectMeta: name, Rules: rules()}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: serviceAccount},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: serviceAccount, Namespace: s.Name}},
	}
	if _, err := s.Kube.RbacV1().RoleBindings(s.Name).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.token = s.Token(t, serviceAccount)
}

// client is one of the service account, as another pod has it.
func (s *space) client(t *testing.T) *cluster.Client {
	t.Helper()
	config := rest.AnonymousClientConfig(s.Admin)
	config.BearerToken = s.token
	return s.newClient(t, config)
}

// clientAt is one of the service account that goes through a proxy.
func (s *space) clientAt(t *testing.T, url string) *cluster.Client {
	t.Helper()
	return s.newClient(t, &rest.Config{Host: url, BearerToken: s.token})
}

// administrator has all rights.
func (s *space) administrator(t *testing.T) *cluster.Client {
	t.Helper()
	return s.newClient(t, s.Admin)
}

func (s *space) newClient(t *testing.T, config *rest.Config) *cluster.Client {
	t.Helper()
	c, err := cluster.New(&cluster.Config{REST: config, Namespace: s.Name, Origin: "the test"}, step.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *space) locker(t *testing.T) *lock.Lease {
	t.Helper()
	return lock.NewLease(s.client(t), step.Env{})
}

// pipelineRuns are the namespace's.
func (s *space) pipelineRuns() dynamic.ResourceInterface {
	return s.all.Resource(schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}).Namespace(s.Name)
}

// run creates a PipelineRun that is pending, so that it lives without a pod, and returns the request of its build.
func (s *space) run(t *testing.T, name string) lock.Request {
	t.Helper()
	run := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"status":       "PipelineRunPending",
			"pipelineSpec": map[string]any{"tasks": []any{map[string]any{"name": "none", "taskRef": map[string]any{"name": "there-is-none"}}}},
		},
	}}
	var created *unstructured.Unstructured
	s.poll(t, "Tekton's webhook to accept a PipelineRun", func(ctx context.Context) (bool, error) {
		var err error
		created, err = s.pipelineRuns().Create(ctx, run, metav1.CreateOptions{})
		if apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) {
			return false, nil
		}
		return err == nil, err
	})
	return lock.Request{Holder: lock.Holder{Build: name, UID: string(created.GetUID())}, Policy: lock.Wait}
}

// cancel ends a PipelineRun as osbs cancel-build does.
func (s *space) cancel(t *testing.T, name string) {
	t.Helper()
	s.end(t, name, `{"spec":{"status":"CancelledRunFinally"}}`, "Cancelled")
}

// fail lets a PipelineRun start, which fails it: its Task does not exist.
func (s *space) fail(t *testing.T, name string) {
	t.Helper()
	s.end(t, name, `{"spec":{"status":null}}`, "CouldntGetTask")
}

// end changes a PipelineRun. Where Tekton does not run, the test does what its controller would.
func (s *space) end(t *testing.T, name, patch, reason string) {
	t.Helper()
	_, err := s.pipelineRuns().Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err == nil && os.Getenv(withoutTekton) != "" {
		status := fmt.Sprintf(`{"status":{"conditions":[{"type":"Succeeded","status":"False","reason":%q}]}}`, reason)
		_, err = s.pipelineRuns().Patch(t.Context(), name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
	}
	if err != nil {
		t.Error(err)
	}
}

func (s *space) remove(t *testing.T, name string) {
	t.Helper()
	if err := s.pipelineRuns().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// poll waits until done, at most a few minutes.
func (s *space) poll(t *testing.T, what string, done func(ctx context.Context) (bool, error)) {
	t.Helper()
	testbed.Until(t, what, 4*time.Minute, done)
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if got := failure.KindOf(err); got != want {
		t.Errorf("error %v has the kind %q, want %q", err, got, want)
	}
}
