package preflight

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

const (
	buildStage     = "build"
	levelBaseline  = "baseline"
	levelRestrict  = "restricted"
	defaultAccount = "default"
)

// first is the first object of a kind that will be applied.
func (c *check) first(kind string) *unstructured.Unstructured {
	for _, o := range c.Objects {
		if o.GetKind() == kind {
			return o
		}
	}
	return nil
}

// run are the Pipeline and the template of its runs, nil if they are not among the objects or cannot be read.
func (c *check) run() (*v1.Pipeline, *v1.PipelineRun) {
	for _, o := range c.Objects {
		text, found, _ := unstructured.NestedString(o.Object, "data", installation.TemplateKey)
		if o.GetKind() != "ConfigMap" || !found {
			continue
		}
		run, pipeline := &v1.PipelineRun{}, &v1.Pipeline{}
		if yaml.Unmarshal([]byte(text), run) != nil || run.Spec.PipelineRef == nil {
			return nil, nil
		}
		for _, p := range c.Objects {
			if p.GetKind() != "Pipeline" || p.GetName() != run.Spec.PipelineRef.Name {
				continue
			}
			data, err := p.MarshalJSON()
			if err != nil || yaml.Unmarshal(data, pipeline) != nil {
				return nil, nil
			}
			return pipeline, run
		}
	}
	return nil, nil
}

// storage looks for a class for the claims that name none.
func (c *check) storage(ctx context.Context) {
	_, run := c.run()
	if run == nil {
		return
	}
	for _, w := range run.Spec.Workspaces {
		if w.VolumeClaimTemplate == nil {
			continue
		}
		if class := w.VolumeClaimTemplate.Spec.StorageClassName; class != nil {
			c.storageClass(ctx, *class)
		} else {
			c.defaultClass(ctx)
		}
	}
}

const whyStorage = "each build makes a claim for its workspace"

func (c *check) storageClass(ctx context.Context, name string) {
	subject := "StorageClass " + name
	switch _, err := c.Kubernetes.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{}); {
	case apierrors.IsNotFound(err):
		c.fail(failure.NotFound, subject, "it does not exist", whyStorage, "name another one: workspace: {storage_class: NAME}; kubectl get storageclass lists them")
	case err != nil:
		c.warn(subject, "it cannot be looked at: "+reason(err), whyStorage, "make sure that it is there")
	default:
		c.ok(subject, "it is there")
	}
}

func (c *check) defaultClass(ctx context.Context) {
	const subject, annotation = "StorageClass", "storageclass.kubernetes.io/is-default-class"
	list, err := c.Kubernetes.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
	if err != nil {
		c.warn(subject, "whether one is the default cannot be told: "+reason(err), whyStorage, "make sure that one is, or name one: workspace: {storage_class: NAME}")
		return
	}
	for _, class := range list.Items {
		if class.Annotations[annotation] == "true" {
			c.ok(subject, "%s is the default", class.Name)
			return
		}
	}
	c.warn(subject, "none is the default, so claims wait for a volume that fits", whyStorage, "name one: workspace: {storage_class: NAME}; or use the layout fused, which has no claim")
}

// pods has the API server look at a pod like that of each task of the Pipeline.
func (c *check) pods(ctx context.Context) {
	pipeline, run := c.run()
	if pipeline == nil {
		return
	}
	const subject = "pods of the stages"
	allowed, err := c.allowed(ctx, "create", schema.GroupVersionResource{Version: "v1", Resource: "pods"})
	if err != nil || !allowed {
		c.warn(subject, "you may not create pods, so whether the namespace accepts them could not be tried", "Pod Security or an SCC may refuse them", "build something to see")
		return
	}
	refused := false
	for _, task := range append(slices.Clone(pipeline.Spec.Tasks), pipeline.Spec.Finally...) {
		if task.TaskSpec == nil {
			continue
		}
		pod := podOf(&task, run)
		if c.account(ctx, pod) != nil || ctx.Err() != nil {
			return
		}
		refused = c.pod(ctx, pod, task.Name) || refused
	}
	if !refused {
		c.ok(subject, "the namespace accepts them")
	}
	c.ownContainers(ctx)
}

// account has the pod tried with the service account of the namespace that every namespace has, as long as its own is not installed.
func (c *check) account(ctx context.Context, pod *corev1.Pod) error {
	_, err := c.Kubernetes.CoreV1().ServiceAccounts(c.namespace).Get(ctx, pod.Spec.ServiceAccountName, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	pod.Spec.ServiceAccountName = defaultAccount
	_, err = c.Kubernetes.CoreV1().ServiceAccounts(c.namespace).Get(ctx, defaultAccount, metav1.GetOptions{})
	if err != nil {
		c.warn("pods of the stages", "the service account "+defaultAccount+" cannot be read, so whether the namespace accepts them could not be tried: "+reason(err),
			"Pod Security or an SCC may refuse them", "build something to see")
	}
	return err
}

var violates = regexp.MustCompile(`violates PodSecurity "([a-z]+)`)

// pod says whether the API server refuses a pod.
func (c *check) pod(ctx context.Context, pod *corev1.Pod, task string) (refused bool) {
	subject := "pod of the task " + task
	made, err := c.Kubernetes.CoreV1().Pods(c.namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		if asked := pod.Spec.HostUsers; asked != nil && !*asked && made.Spec.HostUsers == nil {
			c.fail(failure.Unavailable, subject, "the API server does not know hostUsers: false, so the build stage would be root on its node",
				"build_security: user-namespace runs it in a user namespace", "set build_security: capabilities, "+profileNeeded)
			return true
		}
		return false
	}
	builds := slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == containerOf(buildStage) })
	level := ""
	if m := violates.FindStringSubmatch(err.Error()); m != nil {
		level = m[1]
	}
	usersNamespace := pod.Spec.HostUsers != nil && !*pod.Spec.HostUsers
	switch {
	case level == levelRestrict && builds:
		c.fail(failure.Unauthorized, subject, "the namespace enforces the Pod Security level restricted, where the build stage cannot run: "+err.Error(),
			"what runs a Dockerfile needs root inside its container", fmt.Sprintf(
				"ask whoever runs the cluster for a namespace for builds: with the level privileged for build_security: user-namespace, or with baseline for "+
					"build_security: capabilities (%s); kubectl label namespace %s %s=baseline --overwrite", profileNeeded, c.namespace, levelLabel))
	case level == levelBaseline && builds && usersNamespace:
		c.fail(failure.Unauthorized, subject, "the namespace enforces the Pod Security level baseline, which refuses the capabilities that the build stage has in its user namespace: "+err.Error(),
			"build_security: user-namespace needs the level privileged", "set build_security: capabilities, "+profileNeeded)
	case level != "":
		c.fail(failure.Unauthorized, subject, "the namespace enforces the Pod Security level "+level+": "+err.Error(), "the task would not start",
			"change the task in the overlay that makes it so, or ask for a namespace with another level")
	case strings.Contains(err.Error(), "security context constraint"):
		c.fail(failure.Unauthorized, subject, "no security context constraint allows it: "+err.Error(), "the task would not start", fmt.Sprintf(
			"ask whoever runs the cluster for an SCC like docs/install.md has, and: oc adm policy add-scc-to-user NAME -z %s -n %s", pod.Spec.ServiceAccountName, c.namespace))
	case apierrors.IsForbidden(err):
		c.fail(failure.Unauthorized, subject, err.Error(), "the task would not start", "look at quotas and policies of the namespace: kubectl describe namespace "+c.namespace)
	default:
		c.fail(failure.InvalidInput, subject, err.Error(), "the task would not start", "correct what the message names in the configuration or an overlay")
	}
	return true
}

const profileNeeded = "which needs the seccomp profile osbs/build.json on every node that builds: docs/build-engine.md"

// ownContainers says what restricted needs of Tekton itself, whose own containers would be refused too.
func (c *check) ownContainers(ctx context.Context) {
	if c.level != levelRestrict {
		return
	}
	const key = "set-security-context"
	for _, namespace := range tektonNamespaces() {
		flags, err := c.Kubernetes.CoreV1().ConfigMaps(namespace).Get(ctx, "feature-flags", metav1.GetOptions{})
		if err != nil {
			continue
		}
		if flags.Data[key] == "true" {
			return
		}
		break
	}
	c.warn("containers of Tekton", "it is not known to give its own containers a security context", "the level restricted refuses pods otherwise",
		"have "+key+" set to true in the ConfigMap feature-flags of Tekton")
}

func containerOf(step string) string { return "step-" + step }

// podOf is a pod that has of the task's all that admission looks at.
func podOf(task *v1.PipelineTask, run *v1.PipelineRun) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "osbs-preflight-"}}
	spec := &pod.Spec
	spec.RestartPolicy = corev1.RestartPolicyNever
	spec.ServiceAccountName = run.Spec.TaskRunTemplate.ServiceAccountName
	template := run.Spec.TaskRunTemplate.PodTemplate
	for _, s := range run.Spec.TaskRunSpecs {
		if s.PipelineTaskName != task.Name {
			continue
		}
		if s.ServiceAccountName != "" {
			spec.ServiceAccountName = s.ServiceAccountName
		}
		if s.PodTemplate != nil {
			template = s.PodTemplate
		}
	}
	if spec.ServiceAccountName == "" {
		spec.ServiceAccountName = defaultAccount
	}
	if template != nil {
		spec.HostUsers, spec.SecurityContext, spec.RuntimeClassName = template.HostUsers, template.SecurityContext, template.RuntimeClassName
		spec.NodeSelector, spec.Tolerations, spec.HostNetwork = template.NodeSelector, template.Tolerations, template.HostNetwork
		spec.AutomountServiceAccountToken = template.AutomountServiceAccountToken
		if template.PriorityClassName != nil {
			spec.PriorityClassName = *template.PriorityClassName
		}
	}
	for _, s := range task.TaskSpec.Steps {
		security := s.SecurityContext
		if security == nil && task.TaskSpec.StepTemplate != nil {
			security = task.TaskSpec.StepTemplate.SecurityContext
		}
		spec.Containers = append(spec.Containers, corev1.Container{
			Name: containerOf(s.Name), Image: s.Image, SecurityContext: security, Resources: s.ComputeResources,
		})
	}
	for _, v := range task.TaskSpec.Volumes { // the others are allowed everywhere, and may have names that only a run knows
		if v.HostPath != nil || v.NFS != nil {
			spec.Volumes = append(spec.Volumes, v)
		}
	}
	return pod
}
