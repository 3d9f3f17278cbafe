package tekton

import (
	"context"
	"maps"
	"slices"
	"strconv"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// Create implements osbs.Instance: it creates a PipelineRun from the run template of the namespace.
func (i *Instance) Create(ctx context.Context, r osbs.Request) (*osbs.Build, error) {
	if err := checkRequest(r); err != nil {
		return nil, err
	}
	if err := i.refuseWhilePaused(ctx); err != nil {
		return nil, err
	}
	run, err := i.template(ctx)
	if err != nil {
		return nil, err
	}
	if err := i.fill(ctx, run, r); err != nil {
		return nil, err
	}
	created, err := i.conf.Pipelines.TektonV1().PipelineRuns(i.conf.Namespace).Create(ctx, run, metav1.CreateOptions{})
	if err != nil {
		return nil, classify("creating PipelineRun "+run.Name+" in namespace "+i.conf.Namespace, err)
	}
	i.mu.Lock()
	i.started = append(i.started, created.Name)
	i.mu.Unlock()
	b := buildOf(created, nil)
	return &b, nil
}

// checkRequest refuses what cannot be built here. A cluster has its git credentials in a Secret; those of a URL would end up in the
// PipelineRun, where everybody in the namespace may read them.
func checkRequest(r osbs.Request) error {
	u, err := giturl.Parse(r.GitURL)
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	switch {
	case u.Scheme != giturl.SSH && u.User+u.Password != "":
		return failure.WithHint(failure.New(failure.Usage, "the URL of %s holds credentials, which would be written into the PipelineRun", u),
			"store them in the Secret that git_secret names, of the type kubernetes.io/basic-auth")
	case u.Scheme == giturl.File:
		return failure.New(failure.Usage, "git URL %s: a pod cannot reach the files of this machine", u)
	case r.NoRebuild:
		return failure.WithHint(failure.New(failure.Usage, "on a cluster the watcher starts rebuilds, not this program: --no-rebuild has no meaning"),
			"build with --scratch or --isolated, or pause rebuilds with osbs pause-builds")
	}
	if r.LockPolicy != "" {
		_, err = lock.ParsePolicy(r.LockPolicy)
	}
	return err
}

// template reads the PipelineRun that the generator rendered for this namespace.
func (i *Instance) template(ctx context.Context) (*v1.PipelineRun, error) {
	name := installation.Template(i.conf.Name)
	stored, err := i.conf.Kubernetes.CoreV1().ConfigMaps(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, failure.WithHint(failure.New(failure.NotFound, "namespace %s has no ConfigMap %s, which says how to start a build", i.conf.Namespace, name),
			"install the pipeline there: osbs install; or name another namespace with --namespace")
	}
	if err != nil {
		return nil, classify("reading ConfigMap "+name, err)
	}
	run := &v1.PipelineRun{}
	if err := yaml.UnmarshalStrict([]byte(stored.Data[installation.TemplateKey]), run); err != nil {
		return nil, failure.New(failure.InvalidInput, "ConfigMap %s/%s: key %s is not a PipelineRun: %w", i.conf.Namespace, name, installation.TemplateKey, err)
	}
	return run, nil
}

// fill makes of the template the build that r asks for.
func (i *Instance) fill(ctx context.Context, run *v1.PipelineRun, r osbs.Request) error {
	config := buildconfig.Name(r.GitURL, r.GitBranch)
	name, err := osbs.NewName(config)
	if err != nil {
		return err
	}
	run.Name, run.GenerateName, run.Namespace = name, "", i.conf.Namespace
	if run.Labels == nil {
		run.Labels = map[string]string{}
	}
	run.Labels[event.LabelBuildConfig], run.Labels[event.LabelAutorebuild] = config, "false"
	params := maps.Clone(i.conf.Params)
	if params == nil {
		params = map[string]string{}
	}
	maps.Copy(params, requestParams(r))
	pipeline, err := i.pipeline(ctx, run)
	if err != nil {
		return err
	}
	declared := declaredParams(pipeline)
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] == "" {
			continue
		}
		if !declared[name] {
			return failure.WithHint(failure.New(failure.Usage, "Pipeline %s has no param %s", run.Spec.PipelineRef.Name, name),
				"its params are listed by: tkn pipeline describe %s", run.Spec.PipelineRef.Name)
		}
		setParam(run, v1.Param{Name: name, Value: *v1.NewStructuredValues(params[name])})
	}
	if len(r.BuildArgs) > 0 {
		setParam(run, v1.Param{Name: "build-arg", Value: v1.ParamValue{Type: v1.ParamTypeArray, ArrayVal: r.BuildArgs}})
	}
	return limit(run, pipeline, r)
}

// requestParams are the params of the Pipeline that a request sets; what is empty is left to the Pipeline's defaults.
func requestParams(r osbs.Request) map[string]string {
	return map[string]string{
		"git-url": r.GitURL, "git-branch": r.GitBranch, "git-commit": r.GitCommit, "user": r.User, "component": r.Component,
		"target": r.Target, "architecture": r.Architecture, "platform": r.Platform, "release": r.Release, "dockerfile": r.Dockerfile,
		"dockerfile-target": r.DockerfileTarget, "lock-policy": r.LockPolicy,
		"scratch": trueOnly(r.Scratch), "isolated": trueOnly(r.Isolated),
	}
}

func trueOnly(b bool) string {
	if !b {
		return ""
	}
	return strconv.FormatBool(b)
}

// pipeline reads the Pipeline that the run names.
func (i *Instance) pipeline(ctx context.Context, run *v1.PipelineRun) (*v1.Pipeline, error) {
	if run.Spec.PipelineRef == nil || run.Spec.PipelineRef.Name == "" {
		return nil, failure.New(failure.InvalidInput, "the run template of namespace %s names no Pipeline", i.conf.Namespace)
	}
	name := run.Spec.PipelineRef.Name
	p, err := i.conf.Pipelines.TektonV1().Pipelines(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, failure.WithHint(failure.New(failure.NotFound, "namespace %s has no Pipeline %s", i.conf.Namespace, name), "install it: osbs install")
	}
	if err != nil {
		return nil, classify("reading Pipeline "+name, err)
	}
	return p, nil
}

func declaredParams(p *v1.Pipeline) map[string]bool {
	out := map[string]bool{}
	for _, param := range p.Spec.Params {
		out[param.Name] = true
	}
	return out
}

func setParam(run *v1.PipelineRun, param v1.Param) {
	for n := range run.Spec.Params {
		if run.Spec.Params[n].Name == param.Name {
			run.Spec.Params[n] = param
			return
		}
	}
	run.Spec.Params = append(run.Spec.Params, param)
}

// limit sets the compute resources that the request allows the build stage at most, in every task that has it as a step.
func limit(run *v1.PipelineRun, pipeline *v1.Pipeline, r osbs.Request) error {
	limits := corev1.ResourceList{}
	for _, l := range []struct {
		flag, value string
		name        corev1.ResourceName
	}{{"--cpu-limit", r.CPULimit, corev1.ResourceCPU}, {"--memory-limit", r.MemoryLimit, corev1.ResourceMemory}} {
		if l.value == "" {
			continue
		}
		q, err := resource.ParseQuantity(l.value)
		if err != nil {
			return failure.New(failure.Usage, "%s %q: %w", l.flag, l.value, err)
		}
		limits[l.name] = q
	}
	if len(limits) == 0 {
		return nil
	}
	for _, task := range pipeline.Spec.Tasks {
		if task.TaskSpec == nil || !slices.ContainsFunc(task.TaskSpec.Steps, func(s v1.Step) bool { return s.Name == buildStage }) {
			continue
		}
		spec := taskRunSpec(run, task.Name)
		spec.StepSpecs = append(spec.StepSpecs, v1.TaskRunStepSpec{Name: buildStage, ComputeResources: corev1.ResourceRequirements{Limits: limits}})
	}
	return nil
}

// taskRunSpec is what the run says about one task, made if it says nothing yet.
func taskRunSpec(run *v1.PipelineRun, task string) *v1.PipelineTaskRunSpec {
	n := slices.IndexFunc(run.Spec.TaskRunSpecs, func(s v1.PipelineTaskRunSpec) bool { return s.PipelineTaskName == task })
	if n < 0 {
		run.Spec.TaskRunSpecs = append(run.Spec.TaskRunSpecs, v1.PipelineTaskRunSpec{PipelineTaskName: task})
		n = len(run.Spec.TaskRunSpecs) - 1
	}
	return &run.Spec.TaskRunSpecs[n]
}
