package situation

import (
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// What a rebuild was made for is done again, by another name, only when a later build has put an image on an older base in its place.
func TestPlanOfWhatWasAskedForAlready(t *testing.T) {
	t.Parallel()
	asked := planned(t, nil, nil)
	if asked.Verdict != rebuild.Ready {
		t.Fatalf("it is %s", asked.Verdict)
	}
	done := run(asked.Build, "app", 1, metav1.ConditionTrue) // ends at 12:03
	running := run(asked.Build, "app", 1, "")
	last := func(name string, minutes int) *buildconfig.LastBuild {
		return &buildconfig.LastBuild{Name: name, Outcome: buildconfig.Succeeded, Ended: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	for name, test := range map[string]struct {
		run  PipelineRun
		last *buildconfig.LastBuild
		want rebuild.Verdict
	}{
		"what it did is not seen yet":         {done, last("app-0", 1), rebuild.Queued},
		"nothing is known of the last build":  {done, nil, rebuild.Queued},
		"a later build, on an older base":     {done, last("by-hand", 9), rebuild.Ready},
		"it runs, and the clocks are not one": {running, last("by-hand", 9), rebuild.Running},
	} {
		got := planned(t, &test.run, test.last)
		if got.Verdict != test.want || test.want == rebuild.Ready && got.Build == asked.Build {
			t.Errorf("%s: it is %s, by the name %q", name, got.Verdict, got.Build)
		}
	}
}

// planned is what is said of app, which is on an old base, with a run and with what its build config says of the last build.
func planned(t *testing.T, r *PipelineRun, last *buildconfig.LastBuild) rebuild.Item {
	t.Helper()
	cm, err := configmap.To(&buildconfig.BuildConfig{
		Name: "app", GitURL: "https://git.example.com/app", GitBranch: "main", LastBuild: last,
		Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:1", LastTriggeredImage: "r.example.com/x@sha256:b1", LastBuiltImage: "r.example.com/x@sha256:b1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	cm.Namespace = space
	o := Objects{Configs: []*corev1.ConfigMap{cm}, Streams: []*imagev1.ImageStream{stream(space, "base", "sha256:b2")}, Run: func(string) *PipelineRun { return nil }}
	if r != nil {
		kept := trimRun(r)
		o.Runs = []*PipelineRun{kept}
		o.Run = func(name string) *PipelineRun {
			if name != kept.Name {
				return nil
			}
			return kept
		}
	}
	reader := Reader{Namespace: space}
	s := reader.Read(o)
	plan := s.Plan(0, nil, map[string]bool{})
	if len(plan.Items) != 1 {
		t.Fatalf("the plan is %+v", plan)
	}
	return plan.Items[0]
}
