package situation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	imagev1 "github.com/openshift/api/image/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// maxObjects bounds how many objects of one kind are read from one namespace.
const maxObjects = 1_000_000

// Once is a situation that was read for one question.
type Once struct {
	*Situation
	// Succeeded is the newest run of each build config that succeeded and is still there, throwaway ones left out.
	Succeeded map[string]*PipelineRun
	// Unread says what could not be read, each with its reason: ImageStreams of other namespaces that triggers name, and Leases, without
	// which a run that somebody made by hand belongs to no build config.
	Unread []string
}

// List reads the API once, page by page. Without build configs, the ImageStreams of their own namespace and PipelineRuns nothing can be
// said: that these cannot be read is an error, with the kind that package cluster gives it. Whether builds are paused is not read.
func List(ctx context.Context, c Clients, namespace string) (*Once, error) {
	var o Objects
	err := together(
		func() (err error) { o.Configs, err = c.configs(ctx, namespace); return err },
		func() (err error) { o.Streams, err = c.streams(ctx, namespace); return err },
		func() (err error) { o.Runs, err = c.runs(ctx, namespace); return err },
	)
	if err != nil {
		return nil, err
	}
	out := &Once{Succeeded: map[string]*PipelineRun{}}
	if slices.ContainsFunc(o.Runs, func(r *PipelineRun) bool { return r.Facts.BuildConfig == "" }) {
		leases, err := c.leases(ctx, namespace)
		if err != nil {
			out.Unread = append(out.Unread, err.Error())
		}
		o.Holders = Holders(leases)
	}
	reader := Reader{Namespace: namespace}
	for _, other := range otherNamespaces(reader.Read(o).Configs) {
		streams, err := c.streams(ctx, other)
		if err != nil {
			out.Unread = append(out.Unread, err.Error())
		}
		o.Streams = append(o.Streams, streams...)
	}
	byName := make(map[string]*PipelineRun, len(o.Runs))
	for _, run := range o.Runs {
		byName[run.Name] = run
	}
	o.Run = func(name string) *PipelineRun { return byName[name] }
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	out.Situation = reader.Read(o)
	for _, builds := range out.builds {
		out.State.Builds = append(out.State.Builds, builds...)
	}
	for _, run := range o.Runs {
		config := run.configIn(o.Holders)
		if config == "" || run.Facts.Throwaway || run.Facts.State != Succeeded {
			continue
		}
		if before := out.Succeeded[config]; before == nil || later(run, before) {
			out.Succeeded[config] = run
		}
	}
	return out, nil
}

// together does all at the same time and returns the first error, in their order.
func together(all ...func() error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, do := range all {
		wg.Go(func() { errs[i] = do() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// otherNamespaces are those that bases are in, besides the build configs' own.
func otherNamespaces(configs map[string]*Config) []string {
	found := map[string]bool{}
	for _, c := range configs {
		for _, base := range c.Planned.Bases {
			if namespace, _, isOther := strings.Cut(base.Tag, "/"); isOther {
				found[namespace] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func (c Clients) configs(ctx context.Context, namespace string) ([]*corev1.ConfigMap, error) {
	return listAll[*corev1.ConfigMap](ctx, "build configs in namespace "+namespace, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		o.LabelSelector = configmap.Selector
		return c.Kube.CoreV1().ConfigMaps(namespace).List(ctx, o)
	})
}

func (c Clients) leases(ctx context.Context, namespace string) ([]*coordinationv1.Lease, error) {
	return listAll[*coordinationv1.Lease](ctx, "Leases in namespace "+namespace, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Kube.CoordinationV1().Leases(namespace).List(ctx, o)
	})
}

func (c Clients) runs(ctx context.Context, namespace string) ([]*PipelineRun, error) {
	return listAll[*PipelineRun](ctx, "PipelineRuns in namespace "+namespace, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return cache.ToListerWithContext(c.Runs).ListWithContext(ctx, o)
	})
}

func (c Clients) streams(ctx context.Context, namespace string) ([]*imagev1.ImageStream, error) {
	return listAll[*imagev1.ImageStream](ctx, "ImageStreams in namespace "+namespace, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Image.ImageV1().ImageStreams(namespace).List(ctx, o)
	})
}

// maxExpired is how often a list is read again from its beginning because the API server has forgotten where the next page begins.
const maxExpired = 3

// listAll reads all pages of a list, and trims what is on them. what names them for people.
func listAll[T runtime.Object](ctx context.Context, what string, page pager.ListPageFunc) ([]T, error) {
	var out []T
	take := func(object runtime.Object) error {
		trimmed, err := Trim(object)
		if err != nil {
			return err
		}
		item, ok := trimmed.(T)
		if !ok {
			return fmt.Errorf("the API server lists a %T among them", object)
		}
		if len(out) == maxObjects {
			return failure.New(failure.Storage, "there are more than %d", maxObjects)
		}
		out = append(out, item)
		return nil
	}
	var err error
	for range maxExpired {
		out = nil
		if err = pager.New(page).EachListItemWithAlloc(ctx, metav1.ListOptions{}, take); !apierrors.IsResourceExpired(err) {
			break
		}
	}
	if err != nil {
		err = cluster.Classify(err)
		return nil, failure.New(failure.KindOf(err), "listing %s: %w", what, err)
	}
	return out, nil
}
