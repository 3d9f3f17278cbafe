package forecast

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

var update = golden.Flag()

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func digest(n int) string { return "sha256:" + strings.Repeat(fmt.Sprintf("%02x", n*16+10-n), 32) }

// config builds NAME:1 and is up to date with its bases, which have the digest 1.
func config(name string, bases ...string) rebuild.Config {
	c := rebuild.Config{Name: name + "-main", Produces: []string{name + ":1", name + ":latest"}, Enabled: true}
	for _, base := range bases {
		c.Bases = append(c.Bases, rebuild.Base{Tag: base, Built: digest(1), Tried: digest(1)})
	}
	return c
}

// outlook has all verdicts: base:1 has moved.
//
//	base:1 ─ a ─ b ─ ready, running, ...
func outlook() *osbs.Outlook {
	o := &osbs.Outlook{
		Namespace: "team", Images: map[string]osbs.Image{}, Bounds: &osbs.Bounds{Concurrent: 2, Rate: 60}, HomeRegistries: []string{"r.example.com"},
		Configs: []rebuild.Config{
			config("ready", "base:1"), config("queued", "base:1"), config("running", "base:1"), config("waiting", "ready:1", "running:1", "still:1"),
			config("failed", "base:1"), config("below", "failed:1"), config("skipped", "base:1"), config("paused", "base:1"), config("off", "base:1"),
			config("circle", "round:1"), config("round", "circle:1"), config("fresh", "still:1"), config("foreign", "shared/tools:2"),
		},
		State: rebuild.State{
			Budget: 2, Tags: map[string]rebuild.Tag{
				"base:1": {Digest: digest(2), By: "base-main-1"}, "still:1": {Digest: digest(1)}, "shared/tools:2": {Digest: digest(1)}, "round:1": {Digest: digest(3)},
				"ready:1": {Digest: digest(1)}, "unused:1": {Digest: digest(1)}, "base:2": {Digest: digest(9)},
			},
			Builds: []rebuild.Build{
				{Config: "running-main", Name: "running-main-1", State: rebuild.BuildRunning, Created: noon.Add(-time.Minute)},
				{Config: "failed-main", Name: "failed-main-1", State: rebuild.BuildFailed, Digests: map[string]string{"base:1": digest(2)}},
				{Config: "skipped-main", Name: "skipped-main-1", State: rebuild.BuildSkipped, Digests: map[string]string{"base:1": digest(2)}},
			},
		},
		Unread: []string{"listing ImageStreams in namespace closed: forbidden"},
	}
	for i := range o.Configs {
		c := &o.Configs[i]
		c.Paused, c.Enabled = c.Name == "paused-main", c.Name != "off-main"
		o.Images[c.Name] = osbs.Image{BuildConfig: &buildconfig.BuildConfig{Name: c.Name}, Took: time.Duration(i+1) * 30 * time.Second, TookBuild: c.Name + "-0"}
	}
	o.Images["waiting-main"] = osbs.Image{BuildConfig: &buildconfig.BuildConfig{Name: "waiting-main"}}
	o.Images["odd"] = osbs.Image{Malformed: "the annotation is no JSON"}
	return o
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The documents are what programs rely on; package report shows these files as text.
func TestDocuments(t *testing.T) {
	t.Parallel()
	preview, err := NewPreview(outlook(), "r.example.com/base:1@"+digest(7), noon)
	if err != nil {
		t.Fatal(err)
	}
	graph, err := NewGraph(outlook(), "")
	if err != nil {
		t.Fatal(err)
	}
	paused := outlook()
	paused.Paused, paused.Bounds, paused.State.Budget = &osbs.Pause{Since: noon, By: "kim"}, nil, 0
	nothing := &osbs.Outlook{}
	for name, document := range map[string]any{
		"plan": NewPlan(outlook(), noon), "preview": preview, "graph": graph, "paused": NewPlan(paused, noon), "nothing": NewPlan(nothing, noon),
	} {
		golden.Check(t, *update, filepath.Join("testdata", name+".json"), asJSON(t, document))
	}
}

// verdicts of a plan, with their waves.
func verdicts(p *Plan) map[string]string {
	out := map[string]string{}
	for _, r := range p.Rebuilds {
		out[strings.TrimSuffix(r.BuildConfig, "-main")] = fmt.Sprintf("%s %d", r.Verdict, r.Wave)
	}
	return out
}

func TestPlan(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"queued": "ready 1", "ready": "queued 1", "running": "running 1", "waiting": "waiting 2", "failed": "failed 0", "below": "parent-failed 0",
		"skipped": "skipped 0", "paused": "paused 0", "off": "disabled 0", "circle": "cycle 0",
	}
	if diff := cmp.Diff(want, verdicts(NewPlan(outlook(), noon))); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]map[string]string{
		"still:1":                     {"waiting": "ready 1", "fresh": "ready 1"},
		"team/still:1":                {"waiting": "ready 1", "fresh": "ready 1"},
		"r.example.com/still:1":       {"waiting": "ready 1", "fresh": "ready 1"},
		"still:1@" + digest(1):        {},
		"shared/tools:2":              {"foreign": "ready 1"},
		"shared/tools:2@" + digest(4): {"foreign": "ready 1"},
		"unused:1":                    {},
		"failed:1":                    {"below": "ready 1"},
	} {
		p, err := NewPreview(outlook(), base, noon)
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		if diff := cmp.Diff(want, verdicts(p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", base, diff)
		}
	}
	p, err := NewPreview(outlook(), "base:2", noon)
	if err != nil || len(p.Rebuilds) != 0 || cmp.Diff([]string{"base:1"}, p.Base.OtherTags) != "" {
		t.Errorf("%+v %v", p, err)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]struct {
		kind failure.Kind
		text string
	}{
		"still":                     {failure.NotFound, "no image is known as still:latest\nhint: did you mean still:1?"},
		"stil:1":                    {failure.NotFound, "did you mean still:1?"},
		"docker.io/library/still:1": {failure.NotFound, "no image is known as library-still-"},
		"zzzzzzzzzzzzzzzzzzzz":      {failure.NotFound, "osbs graph lists the images"},
		"ready-main":                {failure.NotFound, "ready-main is a build config; it builds ready:1, ready:latest"},
		"ready":                     {"", ""},
		"still:1@sha256:x":          {failure.Usage, "is not a digest"},
		"still:1@":                  {failure.Usage, "is not a digest"},
		"Upper:1":                   {failure.Usage, "ImageStream"},
		":":                         {failure.Usage, "base image"},
	} {
		_, err := NewPreview(outlook(), base, noon)
		if failure.KindOf(err) != want.kind || err != nil && !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", base, err)
		}
	}
	if _, err := NewPreview(&osbs.Outlook{}, "base:1", noon); !strings.Contains(fmt.Sprint(err), "nothing has been built yet") {
		t.Errorf("error %v", err)
	}
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	// Two of a minute each, and a third that waits for both.
	o := &osbs.Outlook{Images: map[string]osbs.Image{}, Configs: []rebuild.Config{config("a", "base:1"), config("b", "base:1"), config("c", "a:1", "b:1")},
		State: rebuild.State{Tags: map[string]rebuild.Tag{"base:1": {Digest: digest(2)}}}}
	estimated := func() float64 {
		if e := NewPlan(o, noon).Estimate; e != nil {
			return e.Seconds
		}
		return -1
	}
	if got := estimated(); got != -1 {
		t.Errorf("%v with no time that is known", got)
	}
	for name, seconds := range map[string]int{"a-main": 60, "b-main": 60, "c-main": 30} {
		o.Images[name] = osbs.Image{Took: time.Duration(seconds) * time.Second, BuildConfig: &buildconfig.BuildConfig{}}
	}
	if got := estimated(); got != 90 {
		t.Errorf("%v without a bound, want 90", got)
	}
	o.State.Budget = 1
	if got := estimated(); got != 150 {
		t.Errorf("%v one by one, want 150", got)
	}
	o.State.Budget, o.Bounds = 0, &osbs.Bounds{Rate: 1}
	if got := estimated(); got != 120+30 { // the second starts after a minute, the third after two
		t.Errorf("%v with one a minute, want 150", got)
	}
	o.Bounds = nil
	o.State.Builds = []rebuild.Build{{Config: "a-main", Name: "a-1", State: rebuild.BuildRunning, Created: noon.Add(-45 * time.Second)}}
	o.State.Budget = 1
	if got := estimated(); got != 15+60+30 {
		t.Errorf("%v while one runs, want 105", got)
	}
	delete(o.Images, "c-main")
	o.State.Builds = nil
	e := NewPlan(o, noon).Estimate
	if e.Unknown != 1 || e.AssumedSeconds != 60 || e.Seconds != 180 {
		t.Errorf("%+v", e)
	}
}

func shown(g *Graph) string {
	var out []string
	for _, image := range g.Images {
		out = append(out, strings.TrimSuffix(image.Name, "-main"))
	}
	return strings.Join(out, " ")
}

func TestGraphOfOne(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"waiting:1":             "base:1 ready running still:1 waiting",
		"ready":                 "base:1 ready waiting",
		"still":                 "fresh still:1 waiting",
		"still:1":               "fresh still:1 waiting",
		"round-main":            "circle round",
		"shared/tools":          "foreign shared/tools:2",
		"r.example.com/still:1": "fresh still:1 waiting",
	} {
		g, err := NewGraph(outlook(), image)
		if err != nil || shown(g) != want {
			t.Errorf("%s: %v %v", image, shown(g), err)
		}
		if cycles := len(g.Cycles); cycles != strings.Count(want, "circle") {
			t.Errorf("%s: %d cycles", image, cycles)
		}
	}
	if _, err := NewGraph(outlook(), "nowhere"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("error %v", err)
	}
}

func lines(g *Graph) string {
	var out strings.Builder
	for _, b := range g.Tree() {
		again := ""
		if b.Again {
			again = " again"
		}
		fmt.Fprintf(&out, "%s%s%s\n", b.Lines, strings.TrimSuffix(g.Images[b.Image].Name, "-main"), again)
	}
	return out.String()
}

func TestTree(t *testing.T) {
	t.Parallel()
	o := &osbs.Outlook{Configs: []rebuild.Config{
		config("left", "base:1"), config("right", "base:1", "base:1"), config("top", "left:1", "right:1", "left:latest"), config("end", "top:1"),
		config("root"), config("x", "y:1"), config("y", "x:1"), config("self", "self:1"),
	}}
	g, err := NewGraph(o, "")
	if err != nil {
		t.Fatal(err)
	}
	want := `base:1
├─ left
│  └─ top
│     └─ end
└─ right
   └─ top again
root
self
└─ self again
x
└─ y
   └─ x again
`
	if diff := cmp.Diff(want, lines(g)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestDeepTree(t *testing.T) {
	t.Parallel()
	o := &osbs.Outlook{}
	for i := range 3000 {
		o.Configs = append(o.Configs, config(fmt.Sprintf("i%d", i), fmt.Sprintf("i%d:1", i-1)))
	}
	g, err := NewGraph(o, "")
	if err != nil || len(g.Tree()) != 3001 {
		t.Errorf("%d lines, %v", len(g.Tree()), err)
	}
}

// Every image is whole once, whatever the graph.
func TestTreeHasAll(t *testing.T) {
	t.Parallel()
	g, err := NewGraph(outlook(), "")
	if err != nil {
		t.Fatal(err)
	}
	whole := map[int]int{}
	for _, b := range g.Tree() {
		if !b.Again {
			whole[b.Image]++
		}
	}
	for i := range g.Images {
		if whole[i] != 1 {
			t.Errorf("%s is whole %d times", g.Images[i].Name, whole[i])
		}
	}
}

func TestDiagrams(t *testing.T) {
	t.Parallel()
	plan := NewPlan(outlook(), noon).Diagram()
	graph, err := NewGraph(outlook(), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer) error{
		"plan.mmd": plan.Mermaid, "plan.svg": plan.SVG, "graph.mmd": graph.Diagram().Mermaid, "graph.dot": graph.Diagram().DOT, "graph.svg": graph.Diagram().SVG,
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		golden.Check(t, *update, filepath.Join("testdata", name), out.String())
	}
}

// large has so many build configs, ten to each image that is built on one of a hundred bases which have all moved.
func large(n int) *osbs.Outlook {
	o := &osbs.Outlook{Images: map[string]osbs.Image{}, State: rebuild.State{Budget: 5, Tags: map[string]rebuild.Tag{}}, Bounds: &osbs.Bounds{Concurrent: 5}}
	for i := range n {
		name, base := fmt.Sprintf("image%d", i), fmt.Sprintf("base%d:1", i%100)
		if i%11 != 0 {
			base = fmt.Sprintf("image%d:1", i-i%11)
		}
		o.State.Tags[base] = rebuild.Tag{Digest: digest(2)}
		c := config(name, base)
		o.Configs = append(o.Configs, c)
		o.Images[c.Name] = osbs.Image{Took: time.Minute, TookBuild: "x", BuildConfig: &buildconfig.BuildConfig{}}
	}
	return o
}

func BenchmarkPlan10000(b *testing.B) {
	o := large(10_000)
	for b.Loop() {
		if p := NewPlan(o, noon); len(p.Rebuilds) != 10_000 {
			b.Fatal(len(p.Rebuilds))
		}
	}
}

func BenchmarkGraph10000(b *testing.B) {
	o := large(10_000)
	for b.Loop() {
		g, err := NewGraph(o, "")
		if err != nil || len(g.Tree()) < 10_000 {
			b.Fatal(err)
		}
	}
}
