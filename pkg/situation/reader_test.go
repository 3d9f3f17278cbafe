package situation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// shifting is what the API has, while it changes.
type shifting struct {
	t       *testing.T
	r       *rand.Rand
	version int
	configs map[string]*corev1.ConfigMap
	streams map[string]*imagev1.ImageStream
	runs    map[string]*PipelineRun
	holders map[string]string
}

func (s *shifting) name() string   { return fmt.Sprintf("img%d", s.r.IntN(8)) }
func (s *shifting) digest() string { return fmt.Sprintf("sha256:%064x", s.r.IntN(3)) }

func (s *shifting) objects() Objects {
	o := Objects{
		Configs: slices.Collect(maps.Values(s.configs)), Streams: slices.Collect(maps.Values(s.streams)), Runs: slices.Collect(maps.Values(s.runs)),
		Holders: maps.Clone(s.holders),
	}
	runs := maps.Clone(s.runs)
	o.Run = func(name string) *PipelineRun { return runs[name] }
	return o
}

func (s *shifting) setConfig(name string) {
	bc := &buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", ImageStream: name, Tags: []string{"latest"}, Paused: s.r.IntN(5) == 0,
	}
	if s.r.IntN(3) == 0 {
		bc.ImageStream = "shared"
	}
	for _, base := range slices.Compact(slices.Sorted(slices.Values([]string{s.name(), s.name()}))) {
		t := buildconfig.Trigger{ImageStreamTag: base + ":latest", LastTriggeredImage: "r.example.com/x@" + s.digest(), LastBuiltImage: "r.example.com/x@" + s.digest()}
		if s.r.IntN(4) == 0 {
			t.Namespace = []string{space, "other"}[s.r.IntN(2)]
		}
		bc.Triggers = append(bc.Triggers, t)
	}
	cm, err := configmap.To(bc)
	if err != nil {
		s.t.Fatal(err)
	}
	s.version++
	cm.Namespace, cm.ResourceVersion = space, fmt.Sprint(s.version)
	if s.r.IntN(10) == 0 {
		for key := range cm.Data {
			cm.Data[key] = "\x00"
		}
		cm.Annotations["image.openshift.io/triggers"] = "{"
	}
	s.configs[name] = cm
}

func (s *shifting) setStream(namespace, name string) {
	stream := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, tag := range []string{"latest", "1"} {
		if s.r.IntN(4) > 0 {
			stream.Status.Tags = append(stream.Status.Tags, imagev1.NamedTagEventList{Tag: tag, Items: []imagev1.TagEvent{{Image: s.digest()}}})
		}
	}
	s.streams[namespace+"/"+name] = stream
}

func (s *shifting) setRun(name string) {
	run := &PipelineRun{}
	run.Name, run.Namespace, run.UID = name, space, types.UID("uid-"+name)
	run.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 0, 0, s.r.IntN(5), 0, time.UTC))
	run.Facts = Facts{
		BuildConfig: s.name(), State: []RunState{Running, Succeeded, Failed, Skipped}[s.r.IntN(4)], Throwaway: s.r.IntN(10) == 0,
		BaseDigest: s.name() + ":latest=" + s.digest(), Autorebuild: true,
	}
	if run.Facts.State == Succeeded {
		run.Facts.Digest = s.digest()
	}
	if s.r.IntN(4) == 0 {
		run.Facts.BuildConfig = "" // made by hand
	}
	s.runs[name] = run
}

func (s *shifting) change() {
	run := fmt.Sprintf("run-%d", s.r.IntN(20))
	namespace := []string{space, space, "other"}[s.r.IntN(3)]
	switch s.r.IntN(12) {
	case 0, 1:
		s.setConfig(s.name())
	case 2:
		delete(s.configs, s.name())
	case 3, 4:
		s.setStream(namespace, s.name())
	case 5:
		s.setStream(space, "shared")
	case 6:
		delete(s.streams, namespace+"/"+s.name())
	case 7, 8:
		s.setRun(run)
	case 9:
		delete(s.runs, run)
	case 10:
		s.holders["uid-"+run] = s.name()
	default:
		delete(s.holders, "uid-"+run)
	}
}

// facts are what there is to compare of a situation.
func facts(s *Situation) map[string]any {
	newest, malformed, builds := map[string]string{}, map[string]bool{}, map[string][]rebuild.Build{}
	for name, run := range s.Newest {
		newest[name] = run.Name
	}
	for name, c := range s.Configs {
		malformed[name] = c.Err != nil
	}
	for config, all := range s.builds {
		builds[config] = slices.SortedFunc(slices.Values(all), func(a, b rebuild.Build) int { return strings.Compare(a.Name, b.Name) })
	}
	plan := s.Plan(0, nil, map[string]bool{})
	for i := range plan.Items { // of two builds that failed on one state either may explain it
		if plan.Items[i].Verdict == rebuild.Failed || plan.Items[i].Verdict == rebuild.Skipped {
			plan.Items[i].HeldBy = nil
		}
	}
	return map[string]any{"newest": newest, "malformed": malformed, "builds": builds, "tags": s.State.Tags, "plan": plan}
}

// A failed run that another one has finished is not in the way of a later rebuild from the same bases.
func TestAFinishedRunHasNotFailed(t *testing.T) {
	t.Parallel()
	failed := &PipelineRun{Facts: Facts{BuildConfig: "app", State: Failed}}
	failed.Name = "app-1"
	finishes := &PipelineRun{Facts: Facts{BuildConfig: "app", State: Succeeded, Resumes: "app-1"}}
	finishes.Name = "app-2"
	for _, test := range []struct {
		runs []*PipelineRun
		want int
	}{{[]*PipelineRun{failed}, 1}, {[]*PipelineRun{failed, finishes}, 0}, {[]*PipelineRun{failed}, 1}} {
		reader := Reader{Namespace: space}
		reader.Read(Objects{Runs: []*PipelineRun{failed}})
		if got := reader.Read(Objects{Runs: test.runs}).builds["app"]; len(got) != test.want {
			t.Errorf("of %d runs %d are known as failed", len(test.runs), len(got))
		}
	}
}

// Whatever changes between two readings, a Reader says what one says that sees it for the first time.
func TestReaderAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &shifting{
				t: t, r: rand.New(rand.NewPCG(seed, 3)), configs: map[string]*corev1.ConfigMap{}, streams: map[string]*imagev1.ImageStream{},
				runs: map[string]*PipelineRun{}, holders: map[string]string{},
			}
			again := Reader{Namespace: space}
			for range 100 {
				for range 1 + s.r.IntN(4) {
					s.change()
				}
				first := Reader{Namespace: space}
				if diff := cmp.Diff(facts(first.Read(s.objects())), facts(again.Read(s.objects())), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("-first +again:\n%s", diff)
				}
			}
		})
	}
}

// A build that was asked for counts as running until it is pending no more.
func TestPlanWithPending(t *testing.T) {
	t.Parallel()
	s := &shifting{t: t, r: rand.New(rand.NewPCG(1, 1)), configs: map[string]*corev1.ConfigMap{}, streams: map[string]*imagev1.ImageStream{}, runs: map[string]*PipelineRun{}}
	bc := &buildconfig.BuildConfig{
		Name: "app", GitURL: "https://git.example.com/app", GitBranch: "main", ImageStream: "app", Tags: []string{"latest"},
		Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:latest", LastTriggeredImage: "r/b@" + s.digest(), LastBuiltImage: "r/b@" + s.digest()}},
	}
	cm, err := configmap.To(bc)
	if err != nil {
		t.Fatal(err)
	}
	s.configs["app"] = cm
	s.streams["base"] = &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: space, Name: "base"}, Status: imagev1.ImageStreamStatus{
		Tags: []imagev1.NamedTagEventList{{Tag: "latest", Items: []imagev1.TagEvent{{Image: fmt.Sprintf("sha256:%064x", 9)}}}},
	}}
	reader := Reader{Namespace: space}
	now := reader.Read(s.objects())
	verdict := func(pending ...rebuild.Build) rebuild.Verdict {
		t.Helper()
		plan := now.Plan(0, pending, map[string]bool{})
		if len(plan.Items) != 1 {
			t.Fatalf("plan %+v", plan)
		}
		return plan.Items[0].Verdict
	}
	asked := rebuild.Build{Config: "app", Name: "app-1", State: rebuild.BuildRunning}
	for i, got := range []rebuild.Verdict{verdict(), verdict(asked), verdict(asked), verdict()} {
		if want := []rebuild.Verdict{rebuild.Ready, rebuild.Running, rebuild.Running, rebuild.Ready}[i]; got != want {
			t.Errorf("plan %d: %s, want %s", i, got, want)
		}
	}
	// The PipelineRun exists, and what it did is not seen yet.
	due := now.Plan(0, nil, map[string]bool{}).Items[0]
	made := &PipelineRun{}
	made.Name, made.Facts = due.Build, Facts{BuildConfig: "other", State: Succeeded, BaseDigest: event.FormatDigests(due.Digests)}
	s.runs[due.Build] = made
	now = reader.Read(s.objects())
	if got := verdict(); got != rebuild.Queued {
		t.Errorf("what was asked for already is %s", got)
	}
}
