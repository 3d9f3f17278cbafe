package install_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	triggersv1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"github.com/tektoncd/triggers/pkg/template"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

const digest = "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"

func object[T any](t *testing.T, objects []*kyaml.RNode, kind string) T {
	t.Helper()
	var out T
	for _, o := range objects {
		if o.GetKind() == kind {
			if err := yaml.UnmarshalStrict([]byte(o.MustString()), &out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatalf("there is no %s", kind)
	return out
}

func anEvent() event.Event {
	bc := &buildconfig.BuildConfig{
		Name: "app-main-403eb", GitURL: "https://git.example.com/app.git", GitBranch: "main",
		Parameters: buildconfig.Parameters{
			BuildArgs: []string{`QUOTED="a,b"`, `BACK\SLASH=$(params.git-url)`}, Extra: map[string]string{"ticket": `say "hi" $(context.run)`},
		},
	}
	return event.New(bc, rebuild.Item{
		Build: "app-main-403eb-r-0123456789", Digests: map[string]string{"base:latest": digest},
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "base:latest", NewDigest: digest, CausedBy: "base-main-1"}},
	}, time.Unix(0, 0))
}

// resolve does with an event what the EventListener does after its interceptors.
func resolve(t *testing.T, objects []*kyaml.RNode, e event.Event) *pipelinev1.PipelineRun {
	t.Helper()
	binding := object[triggersv1.TriggerBinding](t, objects, "TriggerBinding")
	tt := object[triggersv1.TriggerTemplate](t, objects, "TriggerTemplate")
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	params, err := template.ResolveParams(template.ResolvedTrigger{TriggerTemplate: &tt, BindingParams: binding.Spec.Params}, body, http.Header{},
		map[string]any{}, template.NewTriggerContext("id"))
	if err != nil {
		t.Fatal(err)
	}
	made := template.ResolveResources(&tt, params)
	if len(made) != 1 {
		t.Fatalf("%d objects come of an event", len(made))
	}
	run := &pipelinev1.PipelineRun{}
	if err := yaml.UnmarshalStrict(made[0], run); err != nil {
		t.Fatalf("%v\n%s", err, made[0])
	}
	return run
}

// TestEventBecomesPipelineRun: Triggers' own code makes a valid PipelineRun of the watcher's event.
func TestEventBecomesPipelineRun(t *testing.T) {
	objects, err := install.Objects(config.Default(), testChain(t), parse(t, pipelineText))
	if err != nil {
		t.Fatal(err)
	}
	run := resolve(t, objects, anEvent())
	run.SetDefaults(t.Context())
	if err := run.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if run.Name != "app-main-403eb-r-0123456789" || run.GenerateName != "" || run.Spec.PipelineRef.Name != "osbs" {
		t.Errorf("name %q, generateName %q, Pipeline %q", run.Name, run.GenerateName, run.Spec.PipelineRef.Name)
	}
	got := map[string]any{}
	for _, p := range run.Spec.Params {
		got[p.Name] = p.Value.StringVal
		if p.Value.Type == pipelinev1.ParamTypeArray {
			got[p.Name] = p.Value.ArrayVal
		}
	}
	want := map[string]any{
		"git-url": "https://git.example.com/app.git", "git-branch": "main", "base-digest": "base:latest=" + digest, "dockerfile": "Containerfile",
		// Triggers writes $$( for $( so that Tekton leaves it alone.
		"build-arg":     []string{`["QUOTED=\"a,b\"","BACK\\SLASH=$$(params.git-url)"]`},
		"scanner-level": "high", "ticket": `say "hi" $$(context.run)`, "is-autorebuild": "true", "lock-policy": "wait",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("params (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{
		event.AnnotationBaseDigest: "base:latest=" + digest, event.AnnotationReason: "BaseMoved", event.AnnotationBase: "base:latest",
		event.AnnotationBaseNewDigest: digest, event.AnnotationBaseOldDigest: "", event.AnnotationCausedBy: "base-main-1",
	} {
		if run.Annotations[key] != want {
			t.Errorf("annotation %s is %q, want %q", key, run.Annotations[key], want)
		}
	}
	if context := run.Annotations[event.AnnotationSpanContext]; context != "" {
		t.Errorf("without a trace its context is %q", context)
	}
	if run.Labels[event.LabelBuildConfig] != "app-main-403eb" || run.Labels[event.LabelAutorebuild] != "true" {
		t.Errorf("labels %v", run.Labels)
	}
}

// TestTraceGoesOn: Tekton finds the trace of the event in the annotation, as it reads it.
func TestTraceGoesOn(t *testing.T) {
	objects, err := install.Objects(config.Default(), testChain(t), parse(t, pipelineText))
	if err != nil {
		t.Fatal(err)
	}
	e := anEvent()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e.SpanContext = `{"traceparent":"` + parent + `"}`
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	run := resolve(t, objects, e)
	carrier := propagation.MapCarrier{}
	if err := json.Unmarshal([]byte(run.Annotations[event.AnnotationSpanContext]), &carrier); err != nil {
		t.Fatal(err)
	}
	found := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), carrier))
	if found.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || found.SpanID().String() != "b7ad6b7169203331" || !found.IsSampled() {
		t.Errorf("Tekton finds %+v", found)
	}
}
