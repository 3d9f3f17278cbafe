//go:build e2e

package state

import (
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/clusterstore"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestBuildConfigs(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	store, ctx := clusterstore.New(s.client(t)), t.Context()
	_, err := store.Get(ctx, "app")
	wantKind(t, err, failure.NotFound)
	created, err := store.Create(ctx, &buildconfig.BuildConfig{
		Name: "app", GitURL: "https://git.example.com/team/app.git", GitBranch: "main", Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:latest"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Create(ctx, &buildconfig.BuildConfig{Name: "app"})
	wantKind(t, err, failure.Conflict)
	maps := s.Kube.CoreV1().ConfigMaps(s.Name)
	patch := []byte(`{"metadata":{"labels":{"team":"a"},"annotations":{"note":"n"}},"data":{"extra":"e"}}`)
	if _, err := maps.Patch(ctx, "app", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	created.GitCommit = "c0ffee"
	_, err = store.Update(ctx, created)
	wantKind(t, err, failure.Conflict)
	updated, err := buildconfig.Change(ctx, store, "app", func(bc *buildconfig.BuildConfig) error { bc.GitCommit = "c0ffee"; return nil })
	if err != nil || updated.Triggers[0].ImageStreamTag != "base:latest" {
		t.Fatal(updated, err)
	}
	cm, err := maps.Get(ctx, "app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if cm.Labels["team"] != "a" || cm.Annotations["note"] != "n" || cm.Data["extra"] != "e" || cm.Data["git-commit"] != "c0ffee" {
		t.Errorf("what others stored is not kept: %+v", cm)
	}
	if _, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = store.Get(ctx, "other")
	wantKind(t, err, failure.InvalidInput)
	_, err = store.List(ctx) // not a right of the stages
	wantKind(t, err, failure.Unauthorized)
	admin := clusterstore.New(s.administrator(t))
	if all, err := admin.List(ctx); err != nil || len(all) != 1 || all[0].Name != "app" {
		t.Errorf("got %v, %v", all, err)
	}
	if err := admin.Delete(ctx, "app"); err != nil {
		t.Error(err)
	}
}

// Ten programs change one build config; no change is lost.
func TestBuildConfigRaces(t *testing.T) {
	t.Parallel()
	const writers, increments = 10, 5
	s := newSpace(t)
	if _, err := clusterstore.New(s.client(t)).Create(t.Context(), &buildconfig.BuildConfig{Name: "counter", GitCommit: "0"}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range writers {
		store := clusterstore.New(s.client(t))
		wg.Go(func() {
			for range increments {
				_, err := buildconfig.Change(t.Context(), store, "counter", func(bc *buildconfig.BuildConfig) error {
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
	bc, err := clusterstore.New(s.client(t)).Get(t.Context(), "counter")
	if err != nil || bc.GitCommit != strconv.Itoa(writers*increments) {
		t.Errorf("counter is %v, %v", bc, err)
	}
}

// More build configs than one page of a list has.
func TestBuildConfigPages(t *testing.T) {
	t.Parallel()
	const many = 260
	s := newSpace(t)
	admin := clusterstore.New(s.administrator(t))
	var wg sync.WaitGroup
	for part := range 10 {
		wg.Go(func() {
			for i := part; i < many; i += 10 {
				if _, err := admin.Create(t.Context(), &buildconfig.BuildConfig{Name: "app-" + strconv.Itoa(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if all, err := admin.List(t.Context()); err != nil || len(all) != many {
		t.Errorf("%d build configs, %v", len(all), err)
	}
}
