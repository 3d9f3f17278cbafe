package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The oldest versions that are accepted.
const (
	// minPipelines is what the Tasks declare (tekton.dev/pipelines.minVersion): from 1.0 on, results of steps and their when-expressions
	// are on without a feature flag.
	minPipelines = "1.0.0"
	// minTriggers is the release that belongs to Pipelines 1.0: what comes before has not been looked at.
	minTriggers = "0.31.0"
)

// levelLabel is the label of a namespace that says which pods are refused there.
const levelLabel = "pod-security.kubernetes.io/enforce"

// namespaceExists looks for the namespace, and for its Pod Security level.
func (c *check) namespaceExists(ctx context.Context) {
	subject := "namespace " + c.namespace
	namespace, err := c.Kubernetes.CoreV1().Namespaces().Get(ctx, c.namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		c.fail(failure.NotFound, subject, "it does not exist", "everything is installed there", "create it, or have it created: kubectl create namespace "+c.namespace)
	case apierrors.IsForbidden(err): // many who may use a namespace may not read it
	case err != nil:
		c.fail(failure.Unavailable, subject, "reading it: "+err.Error(), "everything is installed there", "try again when the API server answers")
	default:
		c.level = namespace.Labels[levelLabel]
		c.ok(subject, "it exists%s", enforces(c.level))
	}
}

func enforces(level string) string {
	if level == "" {
		return ""
	}
	return ", and enforces the Pod Security level " + level
}

// served is an API that the installation or its builds use.
type served struct {
	group     string
	resources []string
	what, why string
	do        string
}

func (c *check) apis(ctx context.Context) {
	needed := []served{
		{"tekton.dev/v1", []string{"pipelines", "pipelineruns", "taskruns"}, "Tekton Pipelines", "it runs the builds",
			"have Tekton Pipelines " + minPipelines + " or newer installed; on OpenShift that is OpenShift Pipelines"},
		{"image.openshift.io/v1", []string{"imagestreams", "imagestreamimports"}, "the ImageStream API", "bases and built images are ImageStreams",
			"OpenShift has it; on another cluster have its image API server installed, as docs/cluster.md does"},
		{"coordination.k8s.io/v1", []string{"leases"}, "the Lease API", "the lock of a build config is a Lease", "have it enabled: every Kubernetes has it"},
	}
	if c.has("EventListener") {
		needed = slices.Insert(needed, 1, served{"triggers.tekton.dev/v1beta1", []string{"eventlisteners", "triggerbindings", "triggertemplates"},
			"Tekton Triggers", "it starts rebuilds", "have Tekton Triggers " + minTriggers + " or newer installed, or set autorebuild: {enabled: false}"})
	}
	for _, api := range needed {
		if ctx.Err() != nil {
			return
		}
		c.api(api)
	}
}

func (c *check) api(a served) {
	list, err := c.Kubernetes.Discovery().ServerResourcesForGroupVersion(a.group)
	switch {
	case apierrors.IsNotFound(err):
		c.fail(failure.NotFound, a.what, "the cluster does not serve "+a.group, a.why, a.do)
		return
	case err != nil:
		c.fail(failure.Unavailable, a.what, "the API "+a.group+" does not answer: "+err.Error(), a.why, "try again when it does; kubectl get apiservices says more")
		return
	}
	var missing []string
	for _, name := range a.resources {
		if !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == name }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		c.fail(failure.NotFound, a.what, a.group+" lacks "+strings.Join(missing, ", "), a.why, a.do)
		return
	}
	c.ok(a.what, "%s is served", a.group)
}

// has says whether an object of a kind will be applied.
func (c *check) has(kind string) bool { return c.first(kind) != nil }

// tektonNamespaces are where Tekton, and OpenShift Pipelines, live.
func tektonNamespaces() []string { return []string{"tekton-pipelines", "openshift-pipelines"} }

func (c *check) versions(ctx context.Context) {
	c.version(ctx, "Tekton Pipelines", "pipelines-info", minPipelines)
	if c.has("EventListener") {
		c.version(ctx, "Tekton Triggers", "triggers-info", minTriggers)
	}
}

// version reads a version where Tekton tells it to everybody who is logged in.
func (c *check) version(ctx context.Context, what, configMap, least string) {
	found := ""
	for _, namespace := range tektonNamespaces() {
		info, err := c.Kubernetes.CoreV1().ConfigMaps(namespace).Get(ctx, configMap, metav1.GetOptions{})
		if err == nil {
			found = info.Data["version"]
			break
		}
	}
	subject := "version of " + what
	parsed, err := version.ParseGeneric(found)
	switch {
	case found == "" || err != nil:
		c.warn(subject, "it cannot be told", "it must be "+least+" or newer", "ask who runs the cluster, or look for the ConfigMap "+configMap)
	case parsed.LessThan(version.MustParseGeneric(least)):
		c.fail(failure.Unavailable, subject, fmt.Sprintf("it is %s", found), "the stages are made for "+least+" or newer", "have "+what+" upgraded")
	default:
		c.ok(subject, "%s", found)
	}
}
