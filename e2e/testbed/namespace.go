//go:build e2e

package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
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
)

// keepVariable leaves the namespaces of failed tests, to be looked at.
const keepVariable = "OSBS_E2E_KEEP"

// Namespace is one of a test's own, which goes away with the test.
type Namespace struct {
	Name  string
	Admin *rest.Config
	Kube  kubernetes.Interface
}

// NewNamespace makes a namespace whose name begins with a prefix, and waits until pods can be in it.
func NewNamespace(t testing.TB, prefix string, labels map[string]string) *Namespace {
	t.Helper()
	n := &Namespace{Name: fmt.Sprintf("%s-%08x", prefix, rand.Uint32()), Admin: Admin(t)}
	var err error
	if n.Kube, err = kubernetes.NewForConfig(n.Admin); err != nil {
		t.Fatal(err)
	}
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels}}
	if _, err := n.Kube.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.remove(t) })
	Until(t, "the account default of "+n.Name, time.Minute, func(ctx context.Context) (bool, error) {
		_, err := n.Kube.CoreV1().ServiceAccounts(n.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	return n
}

func (n *Namespace) remove(t testing.TB) {
	if t.Failed() && os.Getenv(keepVariable) != "" {
		t.Logf("the namespace %s stays", n.Name)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := n.Kube.CoreV1().Namespaces().Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil {
		t.Errorf("the namespace %s stays: %v", n.Name, err)
	}
}

// User is a kubeconfig of somebody who has a role of the cluster, such as admin, edit or view, in the namespace, and nothing else.
func (n *Namespace) User(t testing.TB, role string) (kubeconfig string) {
	t.Helper()
	ctx, name := t.Context(), "a-"+role
	if _, err := n.Kube.CoreV1().ServiceAccounts(n.Name).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: n.Name}},
	}
	if _, err := n.Kube.RbacV1().RoleBindings(n.Name).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return n.Login(t, name)
}

// Login is a kubeconfig of a service account of the namespace.
func (n *Namespace) Login(t testing.TB, account string) (kubeconfig string) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: n.Admin.Host, CertificateAuthorityData: n.Admin.CAData, CertificateAuthority: n.Admin.CAFile, InsecureSkipTLSVerify: n.Admin.Insecure,
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: n.Token(t, account)}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: n.Name}
	config.CurrentContext = "x"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// Token is one of a service account of the namespace, for an hour or longer.
func (n *Namespace) Token(t testing.TB, account string) string {
	t.Helper()
	seconds := int64(2 * 3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := n.Kube.CoreV1().ServiceAccounts(n.Name).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}
