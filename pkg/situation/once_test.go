package situation

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	imagefake "github.com/openshift/client-go/image/clientset/versioned/fake"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

const space = "team"

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func stream(namespace, name, digest string) *imagev1.ImageStream {
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "1", Items: []imagev1.TagEvent{{Image: digest, Created: metav1.NewTime(noon)}, {Image: "sha256:old"}}}}
	return s
}

func config(t *testing.T, name string, triggers ...buildconfig.Trigger) *corev1.ConfigMap {
	t.Helper()
	cm, err := configmap.To(&buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", ImageStream: name, Tags: []string{"1"}, Triggers: triggers,
		LastBuild: &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
	})
	if err != nil {
		t.Fatal(err)
	}
	cm.Namespace = space
	return cm
}

func on(namespace, tag, digest string) buildconfig.Trigger {
	return buildconfig.Trigger{ImageStreamTag: tag, Namespace: namespace, LastTriggeredImage: "r.example.com/x@" + digest}
}

// run began some minutes after noon and took two; status empty means that it runs.
func run(name, config string, minutes int, status metav1.ConditionStatus) PipelineRun {
	r := PipelineRun{}
	r.Name, r.Namespace, r.UID = name, space, types.UID("uid-of-"+name)
	began := metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute))
	r.CreationTimestamp, r.Status.StartTime = began, &began
	if config != "" {
		r.Labels = map[string]string{event.LabelBuildConfig: config}
	}
	if status != "" {
		ended := metav1.NewTime(began.Add(2 * time.Minute))
		r.Status.CompletionTime = &ended
		r.Status.Conditions = []Condition{{Type: "Succeeded", Status: status, Message: "no disk"}}
	}
	return r
}

// pages serves runs two by two; at first the second page has expired.
type pages struct {
	runs    []PipelineRun
	expired bool
	calls   int
}

func (p *pages) list(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
	p.calls++
	if o.Continue == "" {
		return &PipelineRunList{ListMeta: metav1.ListMeta{Continue: "next"}, Items: p.runs[:2]}, nil
	}
	if !p.expired {
		p.expired = true
		return nil, apierrors.NewResourceExpired("too old")
	}
	return &PipelineRunList{Items: p.runs[2:]}, nil
}

func TestList(t *testing.T) {
	t.Parallel()
	digest := func(name, value string) Param {
		text, _ := json.Marshal(value)
		return Param{Name: name, Value: text}
	}
	made := run("app-1", "app", 3, metav1.ConditionTrue)
	made.Status.Results = []Param{digest("IMAGE_DIGEST", "sha256:app")}
	scratch := run("app-2", "app", 4, metav1.ConditionTrue)
	scratch.Spec.Params = []Param{digest("scratch", "true")}
	served := &pages{runs: []PipelineRun{run("app-0", "app", 1, metav1.ConditionTrue), made, scratch, run("top-1", "top", 5, metav1.ConditionFalse), run("by-hand", "", 6, "")}}
	holder := "by-hand/uid-of-by-hand"
	bad := config(t, "bad")
	bad.Annotations[configmap.AnnotationTriggers] = "["
	kube := fake.NewClientset(
		config(t, "app", on("", "base:1", "sha256:b1"), on("shared", "tools:1", "sha256:t1"), on("closed", "x:1", "sha256:x1")),
		config(t, "top", on(space, "app:1", "sha256:app")), bad,
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "top", Namespace: space}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder}},
	)
	image := imagefake.NewClientset(stream(space, "base", "sha256:b2"), stream(space, "app", "sha256:app"), stream("shared", "tools", "sha256:t1"))
	image.PrependReactor("list", "imagestreams", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a.GetNamespace() == "closed" {
			return true, nil, apierrors.NewForbidden(imagev1.Resource("imagestreams"), "", errors.New("no right"))
		}
		return false, nil, nil
	})
	clients := Clients{Kube: kube, Image: image, Runs: &cache.ListWatch{ListWithContextFunc: served.list}}
	once, err := List(t.Context(), clients, space)
	if err != nil {
		t.Fatal(err)
	}
	if len(once.Unread) != 1 || !strings.Contains(once.Unread[0], "listing ImageStreams in namespace closed:") {
		t.Errorf("unread %q", once.Unread)
	}
	if once.Configs["bad"].Err == nil || len(once.Configs) != 3 || served.calls != 4 {
		t.Errorf("%d build configs, %d calls", len(once.Configs), served.calls)
	}
	want := map[string]rebuild.Tag{
		"app:1":          {Digest: "sha256:app", Since: noon, By: "app-1"},
		"base:1":         {Digest: "sha256:b2", Since: noon},
		"shared/tools:1": {Digest: "sha256:t1", Since: noon},
	}
	for name, tag := range once.State.Tags {
		tag.Since = tag.Since.UTC()
		once.State.Tags[name] = tag
	}
	if diff := cmp.Diff(want, once.State.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	got := map[string]rebuild.BuildState{}
	for _, b := range once.State.Builds {
		got[b.Config+" "+b.Name] = b.State
	}
	if diff := cmp.Diff(map[string]rebuild.BuildState{"top top-1": rebuild.BuildFailed, "top by-hand": rebuild.BuildRunning}, got); diff != "" {
		t.Errorf("builds (-want +got):\n%s", diff)
	}
	last := once.Succeeded["app"]
	if len(once.Succeeded) != 1 || last.Name != "app-1" || last.Facts.Ended.Sub(last.Facts.Started) != 2*time.Minute {
		t.Errorf("succeeded %v", once.Succeeded)
	}
	plan := once.Plan(0, nil, map[string]bool{})
	if len(plan.Items) != 2 || plan.Items[0].Config != "app" || plan.Items[0].Verdict != rebuild.Ready {
		t.Errorf("plan %+v", plan)
	}
}

func TestListRefused(t *testing.T) {
	t.Parallel()
	forbidden := func(context.Context, metav1.ListOptions) (runtime.Object, error) {
		return nil, apierrors.NewForbidden(corev1.Resource("pipelineruns"), "", errors.New("no right"))
	}
	_, err := List(t.Context(), Clients{Kube: fake.NewClientset(), Image: imagefake.NewClientset(), Runs: &cache.ListWatch{ListWithContextFunc: forbidden}}, space)
	if failure.KindOf(err) != failure.Unauthorized || !strings.Contains(err.Error(), "listing PipelineRuns in namespace team:") {
		t.Errorf("error %v", err)
	}
}
