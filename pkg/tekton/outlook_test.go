package tekton

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	imagefake "github.com/openshift/client-go/image/clientset/versioned/fake"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	pipelines "github.com/tektoncd/pipeline/pkg/client/clientset/versioned/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// outlooked is an instance in which app, built on base:1, is stale; watched says whether the watcher's Deployment is there.
func outlooked(t *testing.T, runs []situation.PipelineRun, more ...runtime.Object) *Instance {
	t.Helper()
	bc, err := configmap.To(&buildconfig.BuildConfig{
		Name: "app", GitURL: "https://git.example.com/app", GitBranch: "main", ImageStream: "app", Tags: []string{"1"},
		LastBuild: &buildconfig.LastBuild{Name: "app-0", Outcome: buildconfig.Succeeded},
		Triggers:  []buildconfig.Trigger{{ImageStreamTag: "base:1", LastTriggeredImage: "r.example.com/base@sha256:old"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	bc.Namespace = namespace
	stream := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "base", Namespace: namespace}}
	stream.Status.Tags = []imagev1.NamedTagEventList{{Tag: "1", Items: []imagev1.TagEvent{{Image: "sha256:new"}}}}
	pipeline := &v1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: "osbs", Namespace: namespace}}
	pipeline.Spec.Params = []v1.ParamSpec{
		{Name: "registry-uri", Default: v1.NewStructuredValues("a.example.com,b.example.com:5000/v2")},
		{Name: "home-registry", Default: v1.NewStructuredValues("old.example.com")},
	}
	return Open(Config{
		Namespace: namespace, Name: "osbs", Kubernetes: fake.NewClientset(append(more, bc)...), Pipelines: pipelines.NewSimpleClientset(pipeline),
		Images: imagefake.NewClientset(stream), Params: map[string]string{"source-registry-uri": "bases.example.com"},
		Runs: &cache.ListWatch{ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return &situation.PipelineRunList{Items: runs}, nil
		}},
	})
}

func TestOutlook(t *testing.T) {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: installation.Imagewatch("osbs"), Namespace: namespace}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "imagewatch", Args: []string{"-max-concurrent=3", "--rate", "20"}}}
	mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: installation.Paused("osbs"), Namespace: namespace}, Data: map[string]string{"paused-by": "kim"}}
	began := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	ended := metav1.NewTime(began.Add(90 * time.Second))
	done := situation.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "app-0", Namespace: namespace, Labels: map[string]string{event.LabelBuildConfig: "app"}}}
	done.Status.StartTime, done.Status.CompletionTime = &began, &ended
	done.Status.Conditions = []situation.Condition{{Type: "Succeeded", Status: metav1.ConditionTrue}}
	o, err := outlooked(t, []situation.PipelineRun{done}, deployment, mark).Outlook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.Unread != nil || o.Paused == nil || o.Paused.By != "kim" || o.State.Budget != 3 {
		t.Errorf("%+v", o)
	}
	if diff := cmp.Diff(&osbs.Bounds{Concurrent: 3, Rate: 20}, o.Bounds); diff != "" {
		t.Errorf("bounds (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"old.example.com", "a.example.com", "b.example.com:5000", "bases.example.com"}, o.HomeRegistries); diff != "" {
		t.Errorf("home registries (-want +got):\n%s", diff)
	}
	if app := o.Images["app"]; app.Took != 90*time.Second || app.TookBuild != "app-0" || app.BuildConfig.GitBranch != "main" {
		t.Errorf("image %+v", app)
	}
	plan := rebuild.New(o.Configs, o.State)
	if len(plan.Items) != 1 || plan.Items[0].Verdict != rebuild.Ready || plan.Items[0].Reasons[0].NewDigest != "sha256:new" {
		t.Errorf("plan %+v", plan)
	}
}

// What was asked for and has ended, but is not seen in the build config yet, is not ready again.
func TestOutlookAskedFor(t *testing.T) {
	o, err := outlooked(t, nil).Outlook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.Bounds != nil || o.Paused != nil || o.State.Budget != 0 {
		t.Errorf("%+v", o)
	}
	build := rebuild.New(o.Configs, o.State).Items[0].Build
	asked := situation.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: build, Namespace: namespace, Labels: map[string]string{event.LabelBuildConfig: "app"}}}
	asked.Status.Conditions = []situation.Condition{{Type: "Succeeded", Status: metav1.ConditionTrue}}
	o, err = outlooked(t, []situation.PipelineRun{asked}).Outlook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if item := rebuild.New(o.Configs, o.State).Items[0]; item.Verdict != rebuild.Queued {
		t.Errorf("%+v", item)
	}
}

func TestNumber(t *testing.T) {
	for what, test := range map[string]struct {
		container corev1.Container
		want      int
		ok        bool
	}{
		"joined":      {corev1.Container{Args: []string{"-rate=3"}}, 3, true},
		"two dashes":  {corev1.Container{Args: []string{"--rate=3"}}, 3, true},
		"apart":       {corev1.Container{Args: []string{"-rate", "0"}}, 0, true},
		"environment": {corev1.Container{Env: []corev1.EnvVar{{Name: "OSBS_RATE", Value: "7"}}}, 7, true},
		"both":        {corev1.Container{Args: []string{"-rate=3"}, Env: []corev1.EnvVar{{Name: "OSBS_RATE", Value: "7"}}}, 3, true},
		"none":        {corev1.Container{Args: []string{"rate=3", "-rated=3"}}, 0, false},
		"no number":   {corev1.Container{Args: []string{"-rate=many"}}, 0, false},
		"negative":    {corev1.Container{Args: []string{"-rate=-1"}}, -1, false},
	} {
		if got, ok := number(test.container, "rate"); got != test.want || ok != test.ok {
			t.Errorf("%s: %d %t", what, got, ok)
		}
	}
}
