package tekton

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

const (
	// labelRun is Tekton's: on a TaskRun it names the PipelineRun, and labelPipeline the Pipeline.
	labelRun      = "tekton.dev/pipelineRun"
	labelPipeline = "tekton.dev/pipeline"
	labelTask     = "tekton.dev/pipelineTask"
	// page is how many objects are asked for at once.
	page = 500
)

// Get implements osbs.Instance.
func (i *Instance) Get(ctx context.Context, name string) (*osbs.Build, error) {
	run, tasks, err := i.read(ctx, name)
	if err != nil {
		return nil, err
	}
	b := buildOf(run, tasks)
	return &b, nil
}

// read reads a PipelineRun and its TaskRuns.
func (i *Instance) read(ctx context.Context, name string) (*v1.PipelineRun, []v1.TaskRun, error) {
	run, err := i.pipelineRun(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	list, err := i.conf.Pipelines.TektonV1().TaskRuns(i.conf.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelRun + "=" + name})
	if err != nil {
		return nil, nil, classify("listing the TaskRuns of "+name, err)
	}
	return run, owned(list.Items, run), nil
}

// owned are the TaskRuns of this PipelineRun, not those of one that had the same name before.
func owned(tasks []v1.TaskRun, run *v1.PipelineRun) []v1.TaskRun {
	return slices.DeleteFunc(tasks, func(t v1.TaskRun) bool { return !metav1.IsControlledBy(&t, run) })
}

func (i *Instance) pipelineRun(ctx context.Context, name string) (*v1.PipelineRun, error) {
	notFound := failure.WithHint(failure.New(failure.NotFound, "there is no build %q in namespace %s", name, i.conf.Namespace), "osbs list-builds lists them")
	if !validName.MatchString(name) {
		return nil, notFound
	}
	run, err := i.conf.Pipelines.TektonV1().PipelineRuns(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, notFound
	}
	if err != nil {
		return nil, classify("reading PipelineRun "+name, err)
	}
	return run, nil
}

// List implements osbs.Instance. Builds are the PipelineRuns that say of which build config they are, and those of the instance's Pipeline
// that a person has started without saying it.
func (i *Instance) List(ctx context.Context, f osbs.Filter) ([]osbs.Build, error) {
	runs, err := i.runs(ctx)
	if err != nil {
		return nil, err
	}
	byRun, err := i.taskRuns(ctx)
	if err != nil {
		return nil, err
	}
	var out []osbs.Build
	for n := range runs {
		b := buildOf(&runs[n], owned(byRun[runs[n].Name], &runs[n]))
		if f.BuildConfig != "" && b.BuildConfig != f.BuildConfig || f.Running && b.State.Ended() {
			continue
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b osbs.Build) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.Name, a.Name))
	})
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, nil
}

// isBuild says whether a PipelineRun is a build of this instance.
func (i *Instance) isBuild(run *v1.PipelineRun) bool {
	if run.Labels[event.LabelBuildConfig] != "" {
		return true
	}
	return run.Labels[labelPipeline] == i.conf.Name || run.Spec.PipelineRef != nil && run.Spec.PipelineRef.Name == i.conf.Name
}

func (i *Instance) runs(ctx context.Context) ([]v1.PipelineRun, error) {
	var out []v1.PipelineRun
	for token := ""; ; {
		list, err := i.conf.Pipelines.TektonV1().PipelineRuns(i.conf.Namespace).List(ctx, metav1.ListOptions{Limit: page, Continue: token})
		if err != nil {
			return nil, classify("listing PipelineRuns in namespace "+i.conf.Namespace, err)
		}
		for n := range list.Items {
			if i.isBuild(&list.Items[n]) {
				out = append(out, list.Items[n])
			}
		}
		if token = list.Continue; token == "" {
			return out, nil
		}
	}
}

// taskRuns are all TaskRuns of PipelineRuns, by the name of the PipelineRun.
func (i *Instance) taskRuns(ctx context.Context) (map[string][]v1.TaskRun, error) {
	out := map[string][]v1.TaskRun{}
	for token := ""; ; {
		list, err := i.conf.Pipelines.TektonV1().TaskRuns(i.conf.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelRun, Limit: page, Continue: token})
		if err != nil {
			return nil, classify("listing TaskRuns in namespace "+i.conf.Namespace, err)
		}
		for n := range list.Items {
			name := list.Items[n].Labels[labelRun]
			out[name] = append(out[name], list.Items[n])
		}
		if token = list.Continue; token == "" {
			return out, nil
		}
	}
}

// Watch implements osbs.Instance.
func (i *Instance) Watch(ctx context.Context, name string) iter.Seq2[osbs.Event, error] {
	return func(yield func(osbs.Event, error) bool) {
		if name != "" {
			if _, err := i.pipelineRun(ctx, name); err != nil {
				yield(osbs.Event{}, err)
				return
			}
		}
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		w, err := i.watch(ctx, name)
		if err != nil {
			yield(osbs.Event{}, err)
			return
		}
		for {
			e, err := w.next(ctx)
			if err != nil {
				if ctx.Err() == nil {
					yield(osbs.Event{}, err)
				}
				return
			}
			if !yield(e, nil) || name != "" && e.Stage == "" && e.Build.State.Ended() {
				return
			}
		}
	}
}
