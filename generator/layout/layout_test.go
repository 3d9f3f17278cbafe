package layout_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/layout"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// of is a chain of the links that are named, each with one step; a word after a colon says what else is special about it.
func of(t *testing.T, links ...string) *chain.Chain {
	t.Helper()
	c := &chain.Chain{Pod: chain.Pod{ServiceAccount: "plain", Template: yaml.MustParse("automountServiceAccountToken: false")}}
	for _, text := range links {
		name, special, _ := strings.Cut(text, ":")
		l := &chain.Link{Name: name, Stage: name, Origin: name + ".yaml"}
		if special != "ref" {
			l.Task = yaml.MustParse("spec: {results: [{name: out}], steps: [{name: " + name + ", image: " + name + ", args: [-results-dir=/tekton/results]}]}")
		}
		switch special {
		case "extra":
			l.Stage = ""
		case "ref":
			l.Stage, l.TaskRef = "", yaml.MustParse("name: elsewhere")
		case "beside":
			l.Stage, l.Parallel = "build", true
		}
		c.Links = append(c.Links, l)
	}
	return c
}

func TestPods(t *testing.T) {
	stages := []string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import"}
	for name, tc := range map[string]struct {
		links  []string
		layout config.Layout
		want   string
	}{
		"chained":                   {stages, config.Layout{Name: config.Chained}, "clone, detect-base, lock, prepare, build, push, sync, import"},
		"balanced":                  {stages, config.Layout{Name: config.Balanced}, "before-build, build, after-build"},
		"fused":                     {stages, config.Layout{Name: config.Fused}, "build-image"},
		"any":                       {stages, config.Layout{Pods: [][]string{{"clone", "detect-base", "lock", "prepare"}, {"build"}, {"push", "sync"}, {"import"}}}, "clone-to-prepare, build, push-to-sync, import"},
		"a stage that is not there": {[]string{"clone", "push", "import"}, config.Layout{Pods: [][]string{{"clone"}, {"push", "sync", "import"}}}, "clone, push-to-import"},
		"one before the build":      {[]string{"prepare", "build", "push"}, config.Layout{Name: config.Balanced}, "prepare, build, push"},
		"inserted":                  {[]string{"prepare", "extra:extra", "build", "push", "scan:extra"}, config.Layout{Name: config.Balanced}, "before-build, build, after-build"},
		"inserted first":            {[]string{"extra:extra", "clone", "build"}, config.Layout{Pods: [][]string{{"clone"}, {"build"}}}, "extra-to-clone, build"},
		"inserted, chained":         {[]string{"clone", "extra:extra", "build"}, config.Layout{Name: config.Chained}, "clone, extra, build"},
		"named":                     {[]string{"clone", "extra:extra", "build"}, config.Layout{Pods: [][]string{{"clone"}, {"extra", "build"}}}, "clone, extra-to-build"},
		"a reference splits":        {[]string{"clone", "lock", "other:ref", "build", "push"}, config.Layout{Name: config.Fused}, "clone-to-lock, other, build-to-push"},
		"platforms split":           {[]string{"clone", "lock", "build", "build-2:beside", "push", "import"}, config.Layout{Name: config.Fused}, "clone-to-lock, build, build-2, push-to-import"},
		"behind platforms":          {[]string{"lock", "build", "build-2:beside", "scan:extra", "push"}, config.Layout{Name: config.Balanced}, "lock, build, build-2, after-build"},
		"a task has the name":       {[]string{"clone", "lock", "build", "push", "import", "after-build:ref"}, config.Layout{Name: config.Balanced}, "before-build, build, push-to-import, after-build"},
	} {
		t.Run(name, func(t *testing.T) {
			c := of(t, tc.links...)
			if err := layout.Arrange(c, tc.layout); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range c.Links {
				got = append(got, l.Name)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestApart gives a link a pod of its own that may be left out although something else needs its result.
func TestApart(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(c *chain.Chain)
		want   string
	}{
		"no condition":      {func(c *chain.Chain) { c.Links[2].When = nil }, "build-image"},
		"needed nowhere":    {func(*chain.Chain) {}, "build-image"},
		"needed in its pod": {func(c *chain.Chain) { bind(c, 3, "$(tasks.extra.results.out)") }, "build-image"},
		"needed at the end": {func(c *chain.Chain) {
			c.Finally = of(t, "bye:extra").Links
			c.Finally[0].Params = []chain.Param{{Name: "p", Value: yaml.NewStringRNode("$(tasks.extra.results.out)")}}
		}, "build-image"},
		"the Pipeline's": {func(c *chain.Chain) { c.Results = extraOut() }, "clone-to-prepare, extra, build"},
		"needed in another": {func(c *chain.Chain) {
			c.Links[3] = of(t, "build:ref").Links[0]
			c.Links[3].Stage = "build"
			bind(c, 3, "$(tasks.extra.results.out)")
		}, "clone-to-prepare, extra, build"},
		"condition of a pod": {func(c *chain.Chain) {
			for _, l := range c.Links {
				l.When = []*yaml.RNode{yaml.MustParse("{input: $(params.x), operator: in, values: [a]}")}
			}
			c.Results = extraOut()
		}, "build-image"},
	} {
		t.Run(name, func(t *testing.T) {
			c := of(t, "clone", "prepare", "extra:extra", "build")
			c.Links[2].When = []*yaml.RNode{yaml.MustParse("{input: $(tasks.clone.results.out), operator: in, values: [a]}")}
			c.Links[3].Task = task("params: [{name: p}]")
			tc.change(c)
			if err := layout.Arrange(c, fused()); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range c.Links {
				got = append(got, l.Name)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFaults changes a chain of clone, prepare, extra and build, and says what is wrong with its being fused.
func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(c *chain.Chain)
		layout config.Layout
		want   []string
	}{
		"unknown layout":   {nil, config.Layout{Name: "round"}, []string{`layout "round"`, "accepted are chained, balanced, fused"}},
		"unknown stage":    {nil, config.Layout{Pods: [][]string{{"clone", "cook"}}}, []string{`no stage and no task "cook"`}},
		"stage twice":      {nil, config.Layout{Pods: [][]string{{"clone"}, {"clone"}}}, []string{"clone is in two pods"}},
		"stage missing":    {nil, config.Layout{Pods: [][]string{{"clone"}}}, []string{"in which pod stage prepare runs"}},
		"not in a row":     {nil, config.Layout{Pods: [][]string{{"clone", "build"}, {"prepare"}}}, []string{"clone cannot have build too", "prepare runs between"}},
		"dangling":         {func(c *chain.Chain) { bind(c, 2, "$(tasks.gone.results.out)") }, fused(), []string{"extra (extra.yaml)", "gone, which is not in the chain"}},
		"no such result":   {func(c *chain.Chain) { bind(c, 2, "$(tasks.clone.results.in)") }, fused(), []string{"result in of clone (clone.yaml)"}},
		"too early":        {func(c *chain.Chain) { bind(c, 1, "$(tasks.build.results.out)") }, fused(), []string{"build, which does not run before it"}},
		"retries":          {func(c *chain.Chain) { c.Links[2].Retries = 2 }, fused(), []string{"extra (extra.yaml)", "2 times again", "clone, prepare, build"}},
		"bad timeout":      {func(c *chain.Chain) { c.Links[2].Timeout = "soon" }, fused(), []string{"timeout of extra", "soon"}},
		"service accounts": {func(c *chain.Chain) { c.Links[0].Pod.ServiceAccount, c.Links[3].Pod.ServiceAccount = "a", "b" }, fused(), []string{"clone (clone.yaml) and build (build.yaml)", "service account: a and b"}},
		"nodes": {func(c *chain.Chain) {
			c.Links[0].Pod.Template = yaml.MustParse("nodeSelector: {disk: fast}")
			c.Links[1].Pod.Template = yaml.MustParse("nodeSelector: {zone: a}")
			c.Links[3].Pod.Template = yaml.MustParse("nodeSelector: {disk: big}")
		}, fused(), []string{"clone (clone.yaml) and build (build.yaml)", "nodeSelector.disk", `"fast" and "big"`}},
		"users": {func(c *chain.Chain) {
			c.Links[0].Pod.Template, c.Links[3].Pod.Template = yaml.MustParse("hostUsers: true"), yaml.MustParse("hostUsers: false")
		}, fused(), []string{"hostUsers"}},
		"types": {func(c *chain.Chain) {
			c.Links[0].Task = task("params: [{name: p}]")
			c.Links[2].Task = task("params: [{name: p, type: array}]")
		}, fused(), []string{"param p is a string for clone (clone.yaml), but a array for extra (extra.yaml)"}},
		"defaults": {func(c *chain.Chain) {
			c.Links[0].Task = task("params: [{name: p, default: a}]")
			c.Links[2].Task = task("params: [{name: p, default: b}]")
		}, fused(), []string{`default "a" for clone (clone.yaml), but "b" for extra (extra.yaml)`}},
		"result in an image": {func(c *chain.Chain) {
			c.Links[2].Task = yaml.MustParse("spec: {params: [{name: p}], steps: [{name: s, image: $(params.p)}]}")
			bind(c, 2, "$(tasks.clone.results.out)")
		}, fused(), []string{"extra (extra.yaml)", "only args, command and env"}},
		"result of several steps": {func(c *chain.Chain) {
			c.Links[0].Task = yaml.MustParse("spec: {results: [{name: out}], steps: [{name: a, image: a, args: [$(results.out.path)]}, {name: b, image: b, args: [$(results.out.path)]}]}")
			c.Links[2].Task = yaml.MustParse("spec: {params: [{name: p}], steps: [{name: s, image: s, args: [$(params.p)]}]}")
			bind(c, 2, "$(tasks.clone.results.out)")
		}, fused(), []string{"result out of clone", "several steps write it"}},
		"mixed condition": {func(c *chain.Chain) {
			c.Links[2].When = []*yaml.RNode{yaml.MustParse("{input: $(tasks.clone.results.out)$(params.x), operator: in, values: [a]}")}
		}, fused(), []string{"condition", "make two of it"}},
		"list in a condition": {func(c *chain.Chain) {
			c.Links[2].When = []*yaml.RNode{yaml.MustParse("{input: a, operator: in, values: ['$(params.x[*])']}")}
		}, fused(), []string{"whole list"}},
		"workspaces in one place": {func(c *chain.Chain) {
			c.Links[0].Task = task("workspaces: [{name: a, mountPath: /x}]")
			c.Links[2].Task = task("workspaces: [{name: b, mountPath: /x}]")
		}, fused(), []string{"clone (clone.yaml) and extra (extra.yaml)", "different workspaces in /x"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := of(t, "clone", "prepare", "extra:extra", "build")
			if tc.change != nil {
				tc.change(c)
			}
			before := len(c.Links)
			err := layout.Arrange(c, tc.layout)
			if failure.KindOf(err) != failure.Usage || len(c.Links) != before {
				t.Fatalf("%v, %d links", err, len(c.Links))
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
		})
	}
}

func extraOut() []chain.Result { return []chain.Result{{Name: "R", Link: "extra", Of: "out"}} }

func fused() config.Layout { return config.Layout{Name: config.Fused} }

func task(more string) *yaml.RNode {
	return yaml.MustParse("spec:\n  " + more + "\n  steps: [{name: s, image: i}]\n")
}

// bind gives the param p of a link a value.
func bind(c *chain.Chain, link int, value string) {
	c.Links[link].Params = append(c.Links[link].Params, chain.Param{Name: "p", Value: yaml.NewStringRNode(value)})
}

// TestAfter keeps the order of the chain where a task says itself what it runs after.
func TestAfter(t *testing.T) {
	c := of(t, "clone", "prepare", "extra:extra", "build", "build-2:beside", "push")
	c.Links[2].After = []string{"clone"}
	if err := layout.Arrange(c, config.Layout{Name: config.Chained}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range c.Links {
		got[l.Name] = strings.Join(l.After, " ")
	}
	want := map[string]string{"clone": "", "prepare": "clone", "extra": "clone", "build": "prepare extra", "build-2": "prepare extra", "push": "build build-2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
