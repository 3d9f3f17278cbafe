package imagewatch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	imagev1 "github.com/openshift/api/image/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// caches are what the watcher knows of the cluster. Every change of them calls notify.
type caches struct {
	namespace string
	// mark is the key of the ConfigMap that says that all is paused.
	mark                                  string
	configs, streams, runs, leases, pause cache.SharedIndexInformer
	// others are ImageStreams of other namespaces; one that may not be read does not stop the rest.
	others map[string]cache.SharedIndexInformer
	// named are all, by what they are called in the log and in metrics.
	named map[string]cache.SharedIndexInformer
	// denied are what the API forbids to read, until it allows it, each with the resource version that was read last.
	denied  sync.Map
	started atomic.Bool
}

func newCaches(o Options, c situation.Clients, notify func()) (*caches, error) {
	kube, image := c.Kube, c.Image
	configs := kube.CoreV1().ConfigMaps(o.Namespace)
	leases := kube.CoordinationV1().Leases(o.Namespace)
	var errs []error
	out := &caches{namespace: o.Namespace, mark: o.Namespace + "/" + installation.Paused(o.Name), others: map[string]cache.SharedIndexInformer{}, named: map[string]cache.SharedIndexInformer{}}
	add := func(what string, lw cache.ListerWatcher, object runtime.Object) cache.SharedIndexInformer {
		informer := cache.NewSharedIndexInformerWithOptions(lw, object, cache.SharedIndexInformerOptions{ObjectDescription: what})
		out.named[what] = informer
		errs = append(errs, informer.SetTransform(situation.Trim), informer.SetWatchErrorHandlerWithContext(out.tell(o, what)))
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(before, now any) { notifyOfChange(before, now, notify) },
			DeleteFunc: func(any) { notify() },
		})
		errs = append(errs, err)
		return informer
	}
	out.configs = add("ConfigMaps", listWatch(kube, configs.List, configs.Watch, func(l *metav1.ListOptions) {
		l.LabelSelector = configmap.Selector
	}), &corev1.ConfigMap{})
	out.pause = add("ConfigMap "+installation.Paused(o.Name), listWatch(kube, configs.List, configs.Watch, func(l *metav1.ListOptions) {
		l.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, installation.Paused(o.Name)).String()
	}), &corev1.ConfigMap{})
	out.leases = add("Leases", listWatch(kube, leases.List, leases.Watch, nil), &coordinationv1.Lease{})
	out.runs = add("PipelineRuns", c.Runs, &situation.PipelineRun{})
	addStreams := func(namespace string) cache.SharedIndexInformer {
		streams := image.ImageV1().ImageStreams(namespace)
		return add("ImageStreams of "+namespace, listWatch(image, streams.List, streams.Watch, nil), &imagev1.ImageStream{})
	}
	out.streams = addStreams(o.Namespace)
	for _, namespace := range o.WatchNamespaces {
		if namespace != o.Namespace {
			out.others[namespace] = addStreams(namespace)
		}
	}
	for _, err := range errs {
		if err != nil {
			return nil, failure.New(failure.Internal, "preparing to watch: %w", err)
		}
	}
	return out, nil
}

// listWatch is a ListerWatcher of a typed client's List and Watch. What may be large is listed page by page.
func listWatch[L runtime.Object](
	client any, list func(context.Context, metav1.ListOptions) (L, error), watchThem func(context.Context, metav1.ListOptions) (watch.Interface, error),
	tweak func(*metav1.ListOptions),
) cache.ListerWatcher {
	if tweak == nil {
		tweak = func(*metav1.ListOptions) {}
	}
	return cache.ToListWatcherWithWatchListSemantics(situation.Paged(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			tweak(&o)
			return list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			tweak(&o)
			return watchThem(ctx, o)
		},
	}), client)
}

// notifyOfChange leaves out what a resync repeats, and Leases that were only renewed.
func notifyOfChange(before, now any, notify func()) {
	old, okOld := before.(metav1.Object)
	current, okNow := now.(metav1.Object)
	if okOld && okNow && old.GetResourceVersion() == current.GetResourceVersion() {
		return
	}
	if lease, ok := now.(*coordinationv1.Lease); ok {
		if previous, ok := before.(*coordinationv1.Lease); ok && situation.Holder(previous) == situation.Holder(lease) {
			return
		}
	}
	notify()
}

// tell reports a watch that fails: what is forbidden once, until it is allowed.
func (c *caches) tell(o Options, what string) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, r *cache.Reflector, err error) {
		if !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsUnauthorized(err) {
			cache.DefaultWatchErrorHandler(ctx, r, err)
			return
		}
		if _, known := c.denied.LoadOrStore(what, c.named[what].LastSyncResourceVersion()); !known {
			o.Log.Error("may not be read; the rest goes on", "what", what, "error", err)
			o.Metrics.denied.WithLabelValues(what).Set(1)
		}
	}
}

// allowed clears what was forbidden and is not any more: something newer was read.
func (c *caches) allowed(o Options) {
	for what, informer := range c.named {
		before, known := c.denied.Load(what)
		if known && informer.HasSynced() && informer.LastSyncResourceVersion() != before {
			c.denied.Delete(what)
			o.Metrics.denied.WithLabelValues(what).Set(0)
			o.Log.Info("may be read now", "what", what)
		}
	}
}

// start runs all watches until ctx ends.
func (c *caches) start(ctx context.Context, wg *sync.WaitGroup) {
	for _, informer := range append(c.all(), c.otherInformers()...) {
		wg.Go(func() { informer.RunWithContext(ctx) })
	}
	c.started.Store(true)
}

// all are those without which nothing is decided.
func (c *caches) all() []cache.SharedIndexInformer {
	return []cache.SharedIndexInformer{c.configs, c.streams, c.runs, c.leases, c.pause}
}

func (c *caches) otherInformers() []cache.SharedIndexInformer {
	out := make([]cache.SharedIndexInformer, 0, len(c.others))
	for _, informer := range c.others {
		out = append(out, informer)
	}
	return out
}

// synced says whether all of the own namespace is known.
func (c *caches) synced() bool {
	for _, informer := range c.all() {
		if !informer.HasSynced() {
			return false
		}
	}
	return true
}

// wait waits until all of the own namespace is known.
func (c *caches) wait(ctx context.Context) error {
	for _, informer := range c.all() {
		select {
		case <-informer.HasSyncedChecker().Done():
		case <-ctx.Done():
			return fmt.Errorf("reading build configs, ImageStreams, PipelineRuns and Leases: %w", context.Cause(ctx))
		}
	}
	return nil
}

// objects are what the caches hold now.
func (c *caches) objects() situation.Objects {
	o := situation.Objects{}
	_, o.Paused, _ = c.pause.GetStore().GetByKey(c.mark)
	o.Configs = list[corev1.ConfigMap](c.configs)
	o.Runs = list[situation.PipelineRun](c.runs)
	o.Run = c.run
	for _, informer := range append(c.otherInformers(), c.streams) {
		o.Streams = append(o.Streams, list[imagev1.ImageStream](informer)...)
	}
	o.Holders = situation.Holders(list[coordinationv1.Lease](c.leases))
	return o
}

func (c *caches) run(name string) *situation.PipelineRun {
	object, exists, err := c.runs.GetStore().GetByKey(c.namespace + "/" + name)
	if run, ok := object.(*situation.PipelineRun); ok && exists && err == nil {
		return run
	}
	return nil
}

func list[T any](informer cache.SharedIndexInformer) []*T {
	stored := informer.GetStore().List()
	out := make([]*T, 0, len(stored))
	for _, object := range stored {
		if t, ok := object.(*T); ok {
			out = append(out, t)
		}
	}
	return out
}
