package clusterstore

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const resource = "v1/configmaps"

func open(t *testing.T) (*Store, *apitest.Server, *faultproxy.Proxy) {
	t.Helper()
	s := apitest.Start(t, resource)
	p := faultproxy.Start(t, s.URL)
	return New(apitest.Client(t, p.URL)), s, p
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if got := failure.KindOf(err); got != want {
		t.Errorf("error %v has the kind %q, want %q", err, got, want)
	}
}

func create(t *testing.T, s *Store, bc buildconfig.BuildConfig) *buildconfig.BuildConfig {
	t.Helper()
	created, err := s.Create(t.Context(), &bc)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func TestLifeOfABuildConfig(t *testing.T) {
	t.Parallel()
	s, _, _ := open(t)
	ctx := t.Context()
	_, err := s.Get(ctx, "b")
	wantKind(t, err, failure.NotFound)
	wantKind(t, s.Delete(ctx, "b"), failure.NotFound)
	created := create(t, s, buildconfig.BuildConfig{Name: "b", GitURL: "u", ResourceVersion: "7"})
	create(t, s, buildconfig.BuildConfig{Name: "a"})
	_, err = s.Create(ctx, &buildconfig.BuildConfig{Name: "b"})
	wantKind(t, err, failure.Conflict)
	got, err := s.Get(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, got, cmpopts.IgnoreFields(buildconfig.BuildConfig{}, "Stored")); diff != "" {
		t.Errorf("-created +got:\n%s", diff)
	}
	got.GitURL = "v"
	updated, err := s.Update(ctx, got)
	if err != nil || updated.GitURL != "v" || !updated.CreationTime.Equal(created.CreationTime) {
		t.Errorf("updated %+v, %v", updated, err)
	}
	_, err = s.Update(ctx, created)
	wantKind(t, err, failure.Conflict)
	all, err := s.List(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "a" || all[1].GitURL != "v" {
		t.Errorf("List = %v, %v", all, err)
	}
	if err := s.Delete(ctx, "b"); err != nil {
		t.Error(err)
	}
	_, err = s.Update(ctx, updated)
	wantKind(t, err, failure.NotFound)
}

// Labels, annotations and data that other programs put beside a build config survive, also when the caller did not read it.
func TestOthersDataIsKept(t *testing.T) {
	t.Parallel()
	s, server, _ := open(t)
	create(t, s, buildconfig.BuildConfig{Name: "b", GitURL: "u"})
	bc, err := s.Get(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	cm := bc.Stored.(*corev1.ConfigMap).DeepCopy()
	cm.Labels["team"], cm.Annotations = "a", map[string]string{"note": "n"}
	cm.Data["extra"] = "e"
	server.Put(t, resource, cm)
	_, err = s.Update(t.Context(), bc)
	wantKind(t, err, failure.Conflict)
	if bc, err = s.Get(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	byHand := &buildconfig.BuildConfig{Name: "b", GitURL: "v", ResourceVersion: bc.ResourceVersion}
	updated, err := s.Update(t.Context(), byHand)
	if err != nil {
		t.Fatal(err)
	}
	got := updated.Stored.(*corev1.ConfigMap)
	if got.Labels["team"] != "a" || got.Annotations["note"] != "n" || got.Data["extra"] != "e" || got.Data["git-url"] != "v" {
		t.Errorf("got %+v", got)
	}
	_, err = s.Update(t.Context(), byHand)
	wantKind(t, err, failure.Conflict)
	byHand.ResourceVersion = ""
	_, err = s.Update(t.Context(), byHand)
	wantKind(t, err, failure.Internal)
}

func TestOnlyBuildConfigs(t *testing.T) {
	t.Parallel()
	s, server, _ := open(t)
	server.Put(t, resource, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}})
	bad := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Data: map[string]string{"parameters": "{"}}
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("List = %v, %v", all, err)
	}
	for name, op := range map[string]func() error{
		"get":    func() error { _, err := s.Get(t.Context(), "kube-root-ca.crt"); return err },
		"delete": func() error { return s.Delete(t.Context(), "kube-root-ca.crt") },
		"update": func() error {
			_, err := s.Update(t.Context(), &buildconfig.BuildConfig{Name: "kube-root-ca.crt", ResourceVersion: "1"})
			return err
		},
	} {
		err := op()
		wantKind(t, err, failure.InvalidInput)
		if err == nil || !strings.Contains(err.Error(), "is no build config") {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad.Labels = map[string]string{configmap.LabelManagedBy: configmap.ManagedBy, configmap.LabelKind: configmap.Kind}
	server.Put(t, resource, bad)
	_, err := s.Get(t.Context(), "bad")
	wantKind(t, err, failure.InvalidInput)
	_, err = s.List(t.Context())
	wantKind(t, err, failure.InvalidInput)
	if err := s.Delete(t.Context(), "bad"); err != nil {
		t.Errorf("a malformed build config cannot be deleted: %v", err)
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	const writers, increments = 8, 10
	s, _, p := open(t)
	create(t, s, buildconfig.BuildConfig{Name: "counter", GitCommit: "0"})
	conflict := apitest.Status(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	p.Add(faultproxy.Rule{Method: http.MethodPut, Skip: 5, Count: 20, Fault: conflict})
	p.Add(faultproxy.Rule{Method: http.MethodGet, Skip: 30, Count: 3, Fault: faultproxy.Status(http.StatusServiceUnavailable)})
	var wg sync.WaitGroup
	for range writers {
		own := New(apitest.Client(t, p.URL))
		wg.Go(func() {
			for range increments {
				_, err := buildconfig.Change(t.Context(), own, "counter", func(bc *buildconfig.BuildConfig) error {
					n, err := strconv.Atoi(bc.GitCommit)
					bc.GitCommit = strconv.Itoa(n + 1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := s.Get(t.Context(), "counter")
	if err != nil || got.GitCommit != strconv.Itoa(writers*increments) {
		t.Errorf("counter is %v, %v", got, err)
	}
}
