package tekton

import (
	"context"
	"reflect"
	"sync"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// byRun is the index of TaskRuns by the name of their PipelineRun.
const byRun = "run"

// watcher follows the PipelineRuns and TaskRuns of a namespace, or those of one build, through dropped connections and restarts of the
// API server, and tells what has become of the builds.
type watcher struct {
	instance *Instance
	name     string
	runs     cache.SharedIndexInformer
	tasks    cache.SharedIndexInformer

	// changed has a token when due may hold something; failed has the error that ends it all.
	changed chan struct{}
	failed  chan error

	mu  sync.Mutex
	due []string // names of builds that have changed, each once

	shown map[string]osbs.Build
	ready []osbs.Event
}

// watch begins to follow. It returns once the present state is known, so that nothing in between is missed.
func (i *Instance) watch(ctx context.Context, name string) (*watcher, error) {
	w := &watcher{instance: i, name: name, changed: make(chan struct{}, 1), failed: make(chan error, 1), shown: map[string]osbs.Build{}}
	runs, tasks := metav1.ListOptions{}, metav1.ListOptions{LabelSelector: labelRun}
	if name != "" {
		runs.FieldSelector, tasks.LabelSelector = "metadata.name="+name, labelRun+"="+name
	}
	client, namespace := i.conf.Pipelines.TektonV1(), i.conf.Namespace
	w.runs = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.PipelineRuns(namespace).List(ctx, with(o, runs))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.PipelineRuns(namespace).Watch(ctx, with(o, runs))
		},
	}, i.conf.Pipelines), &v1.PipelineRun{}, 0, cache.Indexers{})
	w.tasks = cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return client.TaskRuns(namespace).List(ctx, with(o, tasks))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.TaskRuns(namespace).Watch(ctx, with(o, tasks))
		},
	}, i.conf.Pipelines), &v1.TaskRun{}, 0, cache.Indexers{byRun: runOfTask})
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

func with(o, selected metav1.ListOptions) metav1.ListOptions {
	o.LabelSelector, o.FieldSelector = selected.LabelSelector, selected.FieldSelector
	return o
}

func runOfTask(object any) ([]string, error) {
	if task, ok := object.(*v1.TaskRun); ok {
		return []string{task.Labels[labelRun]}, nil
	}
	return nil, nil
}

func (w *watcher) start(ctx context.Context) error {
	for _, informer := range []cache.SharedIndexInformer{w.tasks, w.runs} {
		if err := informer.SetWatchErrorHandlerWithContext(w.refused); err != nil {
			return failure.New(failure.Internal, "watching builds: %w", err)
		}
		handler := cache.ResourceEventHandlerFuncs{
			AddFunc: w.mark, UpdateFunc: func(_, object any) { w.mark(object) }, DeleteFunc: w.mark,
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return failure.New(failure.Internal, "watching builds: %w", err)
		}
		go informer.RunWithContext(ctx)
	}
	synced := make(chan bool, 1)
	go func() { synced <- cache.WaitForCacheSync(ctx.Done(), w.tasks.HasSynced, w.runs.HasSynced) }()
	select {
	case err := <-w.failed:
		return err
	case ok := <-synced:
		if !ok {
			return ctx.Err()
		}
		return nil
	}
}

// refused ends the watch when the API server refuses it; anything else is tried again by the informer.
func (w *watcher) refused(_ context.Context, _ *cache.Reflector, err error) {
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		w.instance.conf.Log.Debug("watching builds is interrupted", "error", err)
		return
	}
	select {
	case w.failed <- classify("watching builds in namespace "+w.instance.conf.Namespace, err):
	default:
	}
}

// mark notes that a build has changed.
func (w *watcher) mark(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	var name string
	switch o := object.(type) {
	case *v1.PipelineRun:
		name = o.Name
	case *v1.TaskRun:
		name = o.Labels[labelRun]
	}
	w.mu.Lock()
	known := false
	for _, n := range w.due {
		known = known || n == name
	}
	if !known {
		w.due = append(w.due, name)
	}
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// next is the next event; ctx's error when ctx has ended.
func (w *watcher) next(ctx context.Context) (osbs.Event, error) {
	for len(w.ready) == 0 {
		select {
		case <-ctx.Done():
			return osbs.Event{}, ctx.Err()
		case err := <-w.failed:
			return osbs.Event{}, err
		case <-w.changed:
		}
		w.mu.Lock()
		due := w.due
		w.due = nil
		w.mu.Unlock()
		for _, name := range due {
			if err := w.look(name); err != nil {
				return osbs.Event{}, err
			}
		}
	}
	event := w.ready[0]
	w.ready = w.ready[1:]
	return event, nil
}

// look finds out what has happened to a build since it was last shown: its stages first, then the build itself.
func (w *watcher) look(name string) error {
	run, err := w.run(name)
	if err != nil || run == nil {
		return err
	}
	b := buildOf(run, w.taskRunsOf(run))
	before, known := w.shown[name]
	w.shown[name] = b
	for n, s := range b.Stages {
		if n >= len(before.Stages) || before.Stages[n].State != s.State {
			w.ready = append(w.ready, osbs.Event{Build: b, Stage: s.Name})
		}
	}
	if !known || before.State != b.State {
		w.ready = append(w.ready, osbs.Event{Build: b})
	} else if len(w.ready) == 0 && !reflect.DeepEqual(before, b) && !b.State.Ended() {
		w.ready = append(w.ready, osbs.Event{Build: b})
	}
	return nil
}

// run is the PipelineRun as it is known now, nil if it is no build. That the one build which is watched was deleted ends the watch.
func (w *watcher) run(name string) (*v1.PipelineRun, error) {
	object, exists, err := w.runs.GetStore().GetByKey(w.instance.conf.Namespace + "/" + name)
	if err != nil {
		return nil, failure.New(failure.Internal, "watching build %s: %w", name, err)
	}
	run, ok := object.(*v1.PipelineRun)
	if !exists || !ok {
		if w.name != "" {
			return nil, failure.New(failure.NotFound, "PipelineRun %s was deleted", w.name)
		}
		delete(w.shown, name)
		return nil, nil
	}
	if !w.instance.isBuild(run) && w.name == "" {
		return nil, nil
	}
	return run, nil
}

func (w *watcher) taskRunsOf(run *v1.PipelineRun) []v1.TaskRun {
	objects, err := w.tasks.GetIndexer().ByIndex(byRun, run.Name)
	if err != nil {
		return nil // the index exists: it was given to the informer
	}
	out := make([]v1.TaskRun, 0, len(objects))
	for _, object := range objects {
		if task, ok := object.(*v1.TaskRun); ok {
			out = append(out, *task.DeepCopy())
		}
	}
	return owned(out, run)
}
