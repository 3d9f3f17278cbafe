//go:build deps

// Package depsholder keeps modules required while what uses them is being written.
package depsholder

import (
	_ "github.com/openshift/client-go/image/clientset/versioned"
	_ "github.com/openshift/client-go/image/informers/externalversions"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/santhosh-tekuri/jsonschema/v6"
	_ "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	_ "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1beta1"
	_ "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	_ "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	_ "github.com/tektoncd/triggers/pkg/client/clientset/versioned"
	_ "github.com/tektoncd/triggers/pkg/template"
	_ "k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/dynamic/fake"
	_ "k8s.io/client-go/informers"
	_ "k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/kubernetes/fake"
	_ "k8s.io/client-go/metadata"
	_ "k8s.io/client-go/metadata/fake"
	_ "k8s.io/client-go/metadata/metadatainformer"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/client-go/tools/leaderelection"
	_ "k8s.io/client-go/tools/watch"
	_ "sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	_ "sigs.k8s.io/kustomize/kyaml/yaml/merge3"
)
