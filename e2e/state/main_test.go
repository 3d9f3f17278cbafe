//go:build e2e

package state

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/osbs-tekton/osbs/pkg/cluster"
)

// withoutTekton is set in the environment by TestMain, for the tests, when the cluster does not have Tekton.
const withoutTekton = "OSBS_E2E_STATE_WITHOUT_TEKTON"

// labelOurs is on a definition of PipelineRuns that is not Tekton's. A run of these tests that was killed leaves it.
const labelOurs = "osbs.dev/e2e"

func TestMain(m *testing.M) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	remove, err := servePipelineRuns(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need a cluster:", err)
		os.Exit(1)
	}
	code := m.Run()
	cancel()
	remove()
	os.Exit(code)
}

// servePipelineRuns has an API server without Tekton keep PipelineRuns, and returns what ends that.
func servePipelineRuns(ctx context.Context) (remove func(), err error) {
	config, err := cluster.Find(cluster.Options{})
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config.REST)
	if err != nil {
		return nil, err
	}
	definitions := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	_, err = definitions.Create(ctx, definition(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		var stored *unstructured.Unstructured
		if stored, err = definitions.Get(ctx, definition().GetName(), metav1.GetOptions{}); err == nil && stored.GetLabels()[labelOurs] == "" {
			return func() {}, nil // Tekton's
		}
	}
	if err != nil {
		return nil, err
	}
	remove = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if err := definitions.Delete(ctx, definition().GetName(), metav1.DeleteOptions{}); err != nil {
			fmt.Fprintln(os.Stderr, "the definition of PipelineRuns stays:", err)
		}
	}
	runs := client.Resource(schema.GroupVersionResource{Group: "tekton.dev", Version: "v1", Resource: "pipelineruns"}).Namespace("default")
	for {
		if _, err := runs.List(ctx, metav1.ListOptions{}); err == nil {
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			remove()
			return nil, ctx.Err()
		}
	}
	return remove, os.Setenv(withoutTekton, "true")
}

// definition is that of PipelineRuns, as far as a lock needs it.
func definition() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "pipelineruns.tekton.dev", "labels": map[string]any{labelOurs: "state"}},
		"spec": map[string]any{
			"group": "tekton.dev", "scope": "Namespaced",
			"names": map[string]any{"kind": "PipelineRun", "listKind": "PipelineRunList", "plural": "pipelineruns", "singular": "pipelinerun"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true, "subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
			}},
		},
	}}
}
