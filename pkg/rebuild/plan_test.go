package rebuild

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// on is a build config that produces name:latest and was built on digest 1 of each base.
func on(name string, bases ...string) Config {
	c := Config{Name: name, Enabled: true, Produces: []string{name + ":latest"}}
	for _, b := range bases {
		c.Bases = append(c.Bases, Base{Tag: b + ":latest", Built: "1", Tried: "1"})
	}
	return c
}

func paused(c Config) Config { c.Paused = true; return c }

func disabled(c Config) Config { c.Enabled = false; return c }

// tried has been tried, without success, on the digest.
func tried(c Config, digest string) Config {
	for i := range c.Bases {
		c.Bases[i].Tried = digest
	}
	return c
}

// ended is the last build of c, which did not succeed.
func ended(c Config, build string, s BuildState) Config {
	c.LastBuild, c.LastState = build, s
	return c
}

// tags are name=digest.
func tags(pairs ...string) map[string]Tag {
	out := map[string]Tag{}
	for _, pair := range pairs {
		name, digest, _ := strings.Cut(pair, "=")
		out[name+":latest"] = Tag{Digest: digest, Since: noon}
	}
	return out
}

// lines shows a plan as "wave config verdict [held by]".
func lines(p Plan) []string {
	out := []string{}
	for _, i := range p.Items {
		line := fmt.Sprintf("%d %s %s", i.Wave, i.Config, i.Verdict)
		if len(i.HeldBy) > 0 {
			line += " " + strings.Join(i.HeldBy, ",")
		}
		out = append(out, line)
	}
	for _, c := range p.Cycles {
		out = append(out, "cycle "+strings.Join(c, ","))
	}
	return out
}

// asked are requests of a person for these build configs.
func asked(configs ...string) map[string]buildconfig.Request {
	out := map[string]buildconfig.Request{}
	for _, name := range configs {
		out[name] = buildconfig.Request{Time: noon, User: "anne"}
	}
	return out
}

func running(config string) Build {
	return Build{Config: config, Name: config + "-b", State: BuildRunning}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	moved := tags("base=2")
	diamond := []Config{on("left", "base"), on("right", "base"), on("bottom", "left", "right", "base")}
	for _, c := range []struct {
		name    string
		configs []Config
		state   State
		want    []string
	}{
		{"nothing moved", []Config{on("a", "base"), on("b", "a")}, State{Tags: tags("base=1", "a=1")}, nil},
		{"tag not known", []Config{on("a", "base")}, State{}, nil},
		{"a chain waits for its parents", []Config{on("c", "b"), on("b", "a"), on("a", "base")}, State{Tags: moved}, []string{
			"0 a ready", "1 b waiting a", "2 c waiting b",
		}},
		{"a diamond costs one build", diamond, State{Tags: moved}, []string{"0 left ready", "0 right ready", "1 bottom waiting left,right"}},
		{"a diamond, half done", diamond, State{Tags: tags("base=2", "left=2"), Builds: []Build{running("right")}}, []string{
			"0 left ready", "0 right running right-b", "1 bottom waiting left,right",
		}},
		{"every base of every stage counts", []Config{on("a", "base", "tools")}, State{Tags: tags("base=1", "tools=2")}, []string{"0 a ready"}},
		{"a base that runs holds what is built on it", []Config{on("a", "base"), on("b", "a", "tools")}, State{
			Tags: tags("base=1", "tools=2"), Builds: []Build{running("a")},
		}, []string{"0 a running a-b", "1 b waiting a"}},
		{"a failed parent holds those below", []Config{tried(on("a", "base"), "2"), on("b", "a", "base"), on("c", "b")}, State{
			Tags: moved, Builds: []Build{{Config: "a", Name: "a-7", State: BuildFailed, Digests: map[string]string{"base:latest": "2"}}},
		}, []string{"0 a failed a-7", "1 b parent-failed a", "2 c parent-failed b"}},
		{"tried without success, nobody knows the build", []Config{tried(on("a", "base"), "2")}, State{Tags: moved}, []string{"0 a failed"}},
		{"failed, then the base moved again", []Config{tried(on("a", "base"), "2")}, State{
			Tags: tags("base=3"), Builds: []Build{{Config: "a", Name: "a-7", State: BuildFailed, Digests: map[string]string{"base:latest": "2"}}},
		}, []string{"0 a ready"}},
		{"failed on a digest that the tag had before, and has again", []Config{on("a", "base")}, State{
			Tags: moved, Builds: []Build{{
				Config: "a", Name: "a-7", State: BuildFailed, Digests: map[string]string{"base:latest": "2"}, Created: noon.Add(-time.Hour),
			}},
		}, []string{"0 a ready"}},
		{"failed, but its parent moves now", []Config{tried(on("a", "base"), "2"), on("base", "root")}, State{Tags: tags("base=2", "root=2")}, []string{
			"0 base ready", "1 a waiting base",
		}},
		{"interrupted is tried again", []Config{tried(on("a", "base"), "2")}, State{
			Tags: moved, Builds: []Build{{Config: "a", Name: "a-7", State: BuildInterrupted}},
		}, []string{"0 a ready"}},
		{"skipped is not, and holds nobody", []Config{tried(on("a", "base"), "2"), on("b", "a", "base")}, State{
			Tags: moved, Builds: []Build{{Config: "a", Name: "a-7", State: BuildSkipped}},
		}, []string{"0 a skipped a-7", "0 b ready"}},
		{"paused and disabled hold nobody", []Config{paused(on("a", "base")), disabled(on("d", "base")), on("b", "a", "d", "base")}, State{Tags: moved}, []string{
			"0 a paused", "0 b ready", "0 d disabled",
		}},
		{"a cycle is named and not followed", []Config{on("a", "b", "base"), on("b", "a"), on("c", "b"), on("self", "self")}, State{
			Tags: tags("base=2", "self=2"),
		}, []string{"0 a ready", "0 self cycle", "cycle a,b", "cycle self"}},
		{"inside a cycle nothing is rebuilt for it", []Config{on("a", "b"), on("b", "a"), on("c", "b")}, State{Tags: tags("a=2", "b=1")}, []string{
			"0 b cycle", "cycle a,b",
		}},
		{"the budget", []Config{on("a", "base"), on("b", "base"), on("c", "base")}, State{
			Tags: moved, Budget: 2, Builds: []Build{running("other")},
		}, []string{"0 a ready", "0 b queued", "0 c queued"}},
		{"a postponed build takes nothing of the budget", []Config{on("a", "base"), on("b", "base"), on("c", "base")}, State{
			Tags: moved, Budget: 1, Postponed: map[string]bool{BuildName("a", moved, 0): true},
		}, []string{"0 a queued", "0 b ready", "0 c queued"}},
		{"skipped, and its record is gone", []Config{ended(tried(on("a", "base"), "2"), "a-7", BuildSkipped), on("b", "a", "base")}, State{Tags: moved}, []string{
			"0 a skipped a-7", "0 b ready",
		}},
		{"failed, and its record is gone", []Config{ended(tried(on("a", "base"), "2"), "a-7", BuildFailed), on("b", "a", "base")}, State{Tags: moved}, []string{
			"0 a failed a-7", "1 b parent-failed a",
		}},
		{"failed, and the base has moved away and back since", []Config{triedAt(ended(tried(on("a", "base"), "2"), "a-7", BuildFailed), noon.Add(-time.Hour))}, State{
			Tags: map[string]Tag{"base:latest": {Digest: "2", Since: noon}},
		}, []string{"0 a ready"}},
		{"failed, and the base has not moved since", []Config{triedAt(ended(tried(on("a", "base"), "2"), "a-7", BuildFailed), noon)}, State{
			Tags: map[string]Tag{"base:latest": {Digest: "2", Since: noon}},
		}, []string{"0 a failed a-7"}},
		{"two build configs produce one tag", []Config{
			{Name: "x", Enabled: true, Produces: []string{"img:latest"}, Bases: []Base{{Tag: "base:latest", Built: "1"}}},
			{Name: "y", Enabled: true, Produces: []string{"img:latest"}, Bases: []Base{{Tag: "tools:latest", Built: "1"}}}, on("z", "img"),
		}, State{Tags: tags("base=2", "tools=2")}, []string{"0 x ready", "0 y ready", "1 z waiting x,y"}},
		{"asked for, though nothing moved", []Config{on("a", "base"), on("b", "a")}, State{Tags: tags("base=1", "a=1"), Requests: asked("a")}, []string{
			"0 a ready", "1 b waiting a",
		}},
		{"asked for with its dependents, a diamond", diamond, State{Tags: tags("base=1"), Requests: asked("left", "right", "bottom")}, []string{
			"0 left ready", "0 right ready", "1 bottom waiting left,right",
		}},
		{"asked for, after it failed", []Config{tried(on("a", "base"), "2"), on("b", "a")}, State{
			Tags: moved, Requests: asked("a"),
			Builds: []Build{{Config: "a", Name: "a-7", State: BuildFailed, Digests: map[string]string{"base:latest": "2"}}},
		}, []string{"0 a ready", "1 b waiting a"}},
		{"asked for, though a parent failed: it is built on what there is", []Config{tried(on("a", "base"), "2"), on("b", "a", "base"), on("c", "b")}, State{
			Tags: moved, Requests: asked("b"),
			Builds: []Build{{Config: "a", Name: "a-7", State: BuildFailed, Digests: map[string]string{"base:latest": "2"}}},
		}, []string{"0 a failed a-7", "1 b ready", "2 c waiting b"}},
		{"asked for, and its parent is about to be rebuilt", []Config{on("a", "base"), on("b", "a")}, State{Tags: moved, Requests: asked("b")}, []string{
			"0 a ready", "1 b waiting a",
		}},
		{"asked for while a build runs", []Config{on("a", "base")}, State{Tags: tags("base=1"), Requests: asked("a"), Builds: []Build{running("a")}}, []string{
			"0 a running a-b",
		}},
		{"asked for, but paused since", []Config{paused(on("a", "base")), disabled(on("d", "base"))}, State{Tags: tags("base=1"), Requests: asked("a", "d")}, []string{
			"0 a paused", "0 d disabled",
		}},
		{"asked for, without a base", []Config{on("a"), on("b", "a")}, State{Requests: asked("a")}, []string{"0 a ready", "1 b waiting a"}},
		{"asked for, in a cycle", []Config{on("a", "b"), on("b", "a")}, State{Tags: tags("a=1", "b=2"), Requests: asked("a")}, []string{"0 a ready", "cycle a,b"}},
		{"what a person asked for goes first", []Config{on("a", "base"), on("b", "base"), on("z", "base")}, State{
			Tags: moved, Budget: 1, Requests: asked("z"),
		}, []string{"0 z ready", "0 a queued", "0 b queued"}},
		{"a request for what nobody knows", []Config{on("a", "base")}, State{Tags: tags("base=1"), Requests: asked("gone")}, nil},
		{"the same name twice", []Config{on("a", "base"), on("a", "tools")}, State{Tags: moved}, []string{"0 a ready"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := New(c.configs, c.state)
			if diff := cmp.Diff(c.want, lines(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, item := range got.Items {
				if (item.Verdict == Ready || item.Verdict == Queued) != (item.Build != "") {
					t.Errorf("%s is %s and has the build %q", item.Config, item.Verdict, item.Build)
				}
			}
		})
	}
}

func triedAt(c Config, at time.Time) Config {
	c.TriedAt = at
	return c
}

func TestReasons(t *testing.T) {
	t.Parallel()
	state := State{Tags: tags("base=2", "tools=9", "a=1")}
	state.Tags["tools:latest"] = Tag{Digest: "9", By: "tools-42"}
	got := New([]Config{on("a", "base"), on("b", "a", "tools"), on("base", "root")}, state)
	want := []Item{
		{Config: "a", Verdict: Ready, Reasons: []Reason{{Kind: BaseMoved, Base: "base:latest", OldDigest: "1", NewDigest: "2", CausedBy: "base"}}, Digests: map[string]string{"base:latest": "2"}},
		{Config: "b", Verdict: Waiting, Wave: 1, HeldBy: []string{"a"}, Reasons: []Reason{
			{Kind: BaseMoved, Base: "tools:latest", OldDigest: "1", NewDigest: "9", CausedBy: "tools-42"},
			{Kind: BaseRebuilt, Base: "a:latest", OldDigest: "1", CausedBy: "a"},
		}},
	}
	if diff := cmp.Diff(want, got.Items, cmpopts.IgnoreFields(Item{}, "Build")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if start := got.Start(); len(start) != 1 || start[0].Config != "a" {
		t.Errorf("start %v", start)
	}
}

// The registry moved before the stream did: a user's build saw the newer one, and is not rebuilt on the older one.
func TestStreamBehindTheRegistry(t *testing.T) {
	t.Parallel()
	c := on("a", "base")
	c.Bases[0].Built, c.Bases[0].Tried = "new", "new"
	for name, test := range map[string]struct {
		seen  time.Time
		stale bool
	}{
		"the stream's news is older than the build": {noon.Add(time.Hour), false},
		"it is newer": {noon.Add(-time.Hour), true},
		"in doubt, because clocks differ: rather rebuild": {noon.Add(30 * time.Second), true},
		"an event named the digest":                       {time.Time{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := c
			c.Bases = []Base{c.Bases[0]}
			c.Bases[0].SeenAt = test.seen
			if got := New([]Config{c}, State{Tags: tags("base=old")}); (len(got.Items) > 0) != test.stale {
				t.Errorf("got %v", lines(got))
			}
		})
	}
}

func TestIndexAndManifestAreOneImage(t *testing.T) {
	t.Parallel()
	c := on("a", "base")
	c.Bases[0].Manifest = "1m"
	if got := New([]Config{c}, State{Tags: tags("base=1m")}); len(got.Items) != 0 {
		t.Errorf("got %v", lines(got))
	}
}

func TestPausedTrigger(t *testing.T) {
	t.Parallel()
	c := on("a", "base", "b")
	c.Bases[0].Paused = true
	if got := New([]Config{c, on("base", "root")}, State{Tags: tags("base=2", "root=2")}); cmp.Diff([]string{"0 base ready"}, lines(got)) != "" {
		t.Errorf("got %v", lines(got))
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	g := NewGraph([]Config{on("a", "base"), on("b", "a"), on("c", "base", "b"), on("x", "tools"), paused(on("p", "base")), on("q", "p")})
	state := State{Tags: tags("base=1", "tools=2"), Builds: []Build{running("x"), {Config: "a", Name: "a-1", State: BuildFailed}}}
	want := []string{"0 a ready", "0 p paused", "1 b waiting a", "2 c waiting b"}
	for _, digest := range []string{"", "2"} {
		if diff := cmp.Diff(want, lines(g.Preview(state, "base:latest", digest))); diff != "" {
			t.Errorf("digest %q: -want +got:\n%s", digest, diff)
		}
	}
	for _, c := range []struct{ tag, digest string }{{"base:latest", "1"}, {"none:latest", ""}} {
		if got := g.Preview(state, c.tag, c.digest); len(got.Items) != 0 {
			t.Errorf("%v: got %v", c, lines(got))
		}
	}
}

func TestBuildName(t *testing.T) {
	t.Parallel()
	state := func(digest string, since time.Time) map[string]Tag {
		return map[string]Tag{"base:latest": {Digest: digest, Since: since}}
	}
	seen := map[string]bool{}
	for _, name := range []string{
		BuildName("app", state("A", noon), 0), BuildName("app", state("B", noon.Add(1)), 0), BuildName("app", state("A", noon.Add(2)), 0),
		BuildName("app", state("A", noon), 1), BuildName("app2", state("A", noon), 0), BuildName(strings.Repeat("x", 80), state("A", noon), 0),
		BuildName(strings.Repeat("x", 52)+"-y", state("A", noon), 0),
	} {
		if seen[name] || len(name) > 63 || strings.ToLower(name) != name || strings.Contains(name, "--") {
			t.Errorf("%q is not good, or was there before", name)
		}
		seen[name] = true
	}
	if a, b := BuildName("app", state("A", noon), 0), BuildName("app", state("A", noon.In(time.Local)), 0); a != b {
		t.Errorf("one state, two names: %s, %s", a, b)
	}
}

// A state that was built, and is stale again because of an older build, is built by another name; a failure of that is one.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	configs, state := []Config{on("a", "base")}, State{Tags: tags("base=2"), Overtaken: map[string]bool{}}
	seen := map[string]bool{}
	for range 3 {
		item := New(configs, state).Items[0]
		if item.Verdict != Ready || seen[item.Build] {
			t.Fatalf("%+v after %v", item, seen)
		}
		seen[item.Build] = true
		state.Overtaken[item.Build] = true
	}
	state.Builds = []Build{{Config: "a", Name: "a-x", State: BuildFailed, Digests: map[string]string{"base:latest": "2"}}}
	if item := New(configs, state).Items[0]; item.Verdict != Failed {
		t.Errorf("%+v", item)
	}
}

func TestRequestedReasonAndName(t *testing.T) {
	t.Parallel()
	state := State{Tags: tags("base=2"), Requests: asked("a")}
	got := New([]Config{on("a", "base")}, state).Items[0]
	want := Item{
		Config: "a", Verdict: Ready, Build: RequestName("a", noon, 0), Digests: map[string]string{"base:latest": "2"},
		Reasons: []Reason{{Kind: Requested, CausedBy: "anne", At: noon}, {Kind: BaseMoved, Base: "base:latest", OldDigest: "1", NewDigest: "2"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	state.Tags = tags("base=3")
	if again := New([]Config{on("a", "base")}, state).Items[0]; again.Build != got.Build {
		t.Errorf("one request, two names: %s, %s", got.Build, again.Build)
	}
	state.Builds = []Build{{Config: "a", Name: got.Build, State: BuildInterrupted, Requested: noon}}
	if again := New([]Config{on("a", "base")}, state).Items[0]; again.Build != RequestName("a", noon, 1) {
		t.Errorf("a build of the request was interrupted, the next is %s", again.Build)
	}
	names := map[string]bool{
		RequestName("a", noon, 0): true, RequestName("a", noon, 1): true, RequestName("a", noon.Add(1), 0): true, RequestName("b", noon, 0): true,
		BuildName("a", nil, 0): true,
	}
	if len(names) != 5 {
		t.Errorf("two of the names are one: %v", names)
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	r := &buildconfig.Request{Time: noon, User: "anne"}
	for name, c := range map[string]struct {
		requested *buildconfig.Request
		begun     []time.Time
		want      bool
	}{
		"nobody asked": {nil, nil, false}, "asked": {r, nil, true}, "begun": {r, []time.Time{noon.Add(1), noon.In(time.Local)}, false},
		"asked again": {r, []time.Time{noon.Add(-1)}, true}, "asked again, by one whose clock is behind": {r, []time.Time{noon.Add(1)}, true},
	} {
		if _, got := Pending(c.requested, c.begun); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBelow(t *testing.T) {
	t.Parallel()
	g := NewGraph([]Config{on("c", "b", "a"), on("b", "a"), on("a", "base"), on("x", "base"), on("l", "m"), on("m", "l")})
	for config, want := range map[string][]string{"a": {"b", "c"}, "b": {"c"}, "c": {}, "x": {}, "l": {"m"}, "gone": nil} {
		if diff := cmp.Diff(want, g.Below(config)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", config, diff)
		}
	}
}

func TestFromBuildConfig(t *testing.T) {
	t.Parallel()
	bc := &buildconfig.BuildConfig{
		Name: "app", ImageStream: "app", Tags: []string{"1", "latest"}, Paused: true,
		Triggers: []buildconfig.Trigger{
			{ImageStreamTag: "base:latest", LastTriggeredImage: "r/b@sha256:2", LastTriggeredManifest: "m", LastBuiltImage: "r/b@sha256:1", LastTriggerTime: noon},
			{ImageStreamTag: "ubi:9", Namespace: "openshift", Paused: true, LastTriggeredImage: "r/u@sha256:3"},
		},
	}
	want := Config{
		Name: "app", Produces: []string{"app:1", "app:latest"}, Enabled: true, Paused: true,
		Bases: []Base{
			{Tag: "base:latest", Built: "sha256:1", Tried: "sha256:2", Manifest: "m", SeenAt: noon},
			{Tag: "openshift/ubi:9", Paused: true, Tried: "sha256:3"},
		},
	}
	if diff := cmp.Diff(want, FromBuildConfig(bc)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	bc.LastBuild = &buildconfig.LastBuild{Outcome: buildconfig.Succeeded}
	want.Bases[1].Built = "sha256:3"
	if diff := cmp.Diff(want, FromBuildConfig(bc)); diff != "" {
		t.Errorf("after a success: -want +got:\n%s", diff)
	}
}
