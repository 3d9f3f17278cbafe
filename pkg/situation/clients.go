package situation

import (
	"context"

	imageclient "github.com/openshift/client-go/image/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Clients reach the API.
type Clients struct {
	Kube  kubernetes.Interface
	Image imageclient.Interface
	// Runs lists and watches the PipelineRuns of the namespace; see Runs.
	Runs cache.ListerWatcher
}

// Connect makes the clients. It does not talk to the cluster yet. A config that is no good is failure.Usage.
func Connect(config *rest.Config, namespace string) (Clients, error) {
	var c Clients
	var err error
	if c.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return c, failure.New(failure.Usage, "making a client for Kubernetes: %w", err)
	}
	if c.Image, err = imageclient.NewForConfig(config); err != nil {
		return c, failure.New(failure.Usage, "making a client for ImageStreams: %w", err)
	}
	c.Runs, err = Runs(config, namespace)
	return c, err
}

// Runs lists and watches the PipelineRuns of a namespace.
func Runs(config *rest.Config, namespace string) (cache.ListerWatcher, error) {
	gv := schema.GroupVersion{Group: "tekton.dev", Version: "v1"}
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(gv, &PipelineRun{}, &PipelineRunList{})
	metav1.AddToGroupVersion(scheme, gv)
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &gv, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, failure.New(failure.Usage, "making a client for PipelineRuns: %w", err)
	}
	return Paged(cache.NewListWatchFromClient(client, "pipelineruns", namespace, fields.Everything())), nil
}

// Paged lists page by page where the server cannot stream a list: one answer with every old run could be gigabytes.
func Paged(lw *cache.ListWatch) *cache.ListWatch {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			if options.ResourceVersion == "0" { // the server's cache knows no pages
				options.ResourceVersion = ""
			}
			return lw.ListWithContext(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return lw.WatchWithContext(ctx, options)
		},
	}
}
