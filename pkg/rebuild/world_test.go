package rebuild

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// world builds what the planner says, on a random graph of images, while bases move, builds fail, and users build and pause.
type world struct {
	t       *testing.T
	r       *rand.Rand
	now     time.Time
	configs []Config
	state   State
	// broken build configs fail until they are mended.
	broken  map[string]bool
	started map[string]bool
	built   map[string]int
	serial  int
	// requests are what people have asked for, as build configs say it: it is taken away late. begun are the times of those that
	// builds have begun for; asked and answered count requests and the builds of them that were not interrupted.
	requests        map[string]*buildconfig.Request
	begun           map[string][]time.Time
	asked, answered map[string]int
	// burst is how many builds end at once, when everything settles.
	burst int
}

// newWorld makes images img0000 and so on, each built on a few earlier ones or on one of three roots that nobody builds.
func newWorld(t *testing.T, seed uint64, images int) *world {
	t.Helper()
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 0)), now: noon, state: State{Tags: map[string]Tag{}, Budget: 4},
		broken: map[string]bool{}, started: map[string]bool{}, built: map[string]int{}, burst: 1,
		requests: map[string]*buildconfig.Request{}, begun: map[string][]time.Time{}, asked: map[string]int{}, answered: map[string]int{},
	}
	for i := range 3 {
		w.move(fmt.Sprintf("root%d:latest", i), "")
	}
	for i := range images {
		c := Config{Name: fmt.Sprintf("img%04d", i), Enabled: w.r.IntN(20) > 0, Produces: []string{fmt.Sprintf("img%04d:latest", i)}}
		bases := map[string]bool{}
		for range 1 + w.r.IntN(3) {
			base := fmt.Sprintf("root%d:latest", w.r.IntN(3))
			if i > 0 && w.r.IntN(4) > 0 {
				base = fmt.Sprintf("img%04d:latest", w.r.IntN(i))
			}
			if !bases[base] {
				bases[base] = true
				digest := w.state.Tags[base].Digest
				c.Bases = append(c.Bases, Base{Tag: base, Built: digest, Tried: digest})
			}
		}
		w.configs = append(w.configs, c)
		w.move(c.Produces[0], "")
	}
	return w
}

// move gives a tag a digest that nothing had before.
func (w *world) move(tag, by string) {
	w.serial++
	w.now = w.now.Add(time.Second)
	w.state.Tags[tag] = Tag{Digest: fmt.Sprintf("d%d", w.serial), Since: w.now, By: by}
}

func (w *world) config(name string) *Config {
	i, _ := slices.BinarySearchFunc(w.configs, name, func(c Config, name string) int { return strings.Compare(c.Name, name) })
	return &w.configs[i]
}

func (w *world) running(name string) bool {
	return slices.ContainsFunc(w.state.Builds, func(b Build) bool { return b.Config == name && b.State == BuildRunning })
}

// ask is a person who asks for a rebuild of a build config that is neither off nor paused, and that nobody asks for already.
func (w *world) ask(name string) {
	c := w.config(name)
	if _, pending := Pending(w.requests[name], w.begun[name]); pending || !c.Enabled || c.Paused {
		return
	}
	w.now = w.now.Add(time.Second)
	w.requests[name] = &buildconfig.Request{Time: w.now, User: "anne"}
	w.asked[name]++
}

// start begins a build of what the bases are now, as the lock stage records it. requested is zero if nobody has asked for it.
func (w *world) start(name, build string, requested time.Time) {
	c := w.config(name)
	b := Build{Config: name, Name: build, State: BuildRunning, Digests: map[string]string{}, Created: w.now, Requested: requested}
	for i, base := range c.Bases {
		c.Bases[i].Tried = w.state.Tags[base.Tag].Digest
		b.Digests[base.Tag] = c.Bases[i].Tried
	}
	w.state.Builds = append(w.state.Builds, b)
}

// finish ends a running build.
func (w *world) finish(i int) {
	b := &w.state.Builds[i]
	switch {
	case w.broken[b.Config]:
		b.State = BuildFailed
		w.answer(*b)
	case w.r.IntN(12) == 0:
		b.State = BuildInterrupted
		w.again(*b)
	default:
		w.answer(*b)
		w.succeed(*b)
		w.state.Builds = slices.Delete(w.state.Builds, i, i+1)
	}
}

// again has the request of an interrupted build unanswered, unless somebody has asked again meanwhile: that is then the one request.
func (w *world) again(b Build) {
	switch r := w.requests[b.Config]; {
	case b.Requested.IsZero():
	case r.Time.After(b.Requested):
		w.asked[b.Config]--
	default:
		w.begun[b.Config] = slices.DeleteFunc(w.begun[b.Config], b.Requested.Equal)
	}
}

func (w *world) answer(b Build) {
	if !b.Requested.IsZero() {
		w.answered[b.Config]++
	}
}

func (w *world) succeed(b Build) {
	c := w.config(b.Config)
	for i := range c.Bases {
		c.Bases[i].Built = b.Digests[c.Bases[i].Tag]
	}
	w.built[c.Name]++
	w.move(c.Produces[0], b.Name)
}

// plan asks the planner, checks its answer, and starts what it says.
func (w *world) plan() int {
	w.state.Requests = map[string]buildconfig.Request{}
	for name, requested := range w.requests {
		if r, pending := Pending(requested, w.begun[name]); pending {
			w.state.Requests[name] = r
		}
	}
	plan := New(w.configs, w.state)
	verdicts := map[string]Verdict{}
	busy := 0
	for _, item := range plan.Items {
		verdicts[item.Config] = item.Verdict
		if item.Verdict == Running {
			busy++
		}
	}
	for _, item := range plan.Start() {
		if w.started[item.Build] {
			w.t.Fatalf("%s would be built twice for one state", item.Config)
		}
		w.started[item.Build] = true
		requested := RequestedAt(item.Reasons)
		for _, base := range w.config(item.Config).Bases {
			producer, _, _ := strings.Cut(base.Tag, ":")
			switch v := verdicts[producer]; v {
			case Ready, Queued, Running, Waiting:
				w.t.Fatalf("%s would start while its base %s is %s", item.Config, producer, v)
			case Failed, ParentFailed:
				if requested.IsZero() {
					w.t.Fatalf("%s would start while its base %s is %s", item.Config, producer, v)
				}
			}
		}
		if c := w.config(item.Config); !c.Enabled || c.Paused || w.running(c.Name) {
			w.t.Fatalf("%s would start: %+v", item.Config, c)
		}
		w.start(item.Config, item.Build, requested)
		if !requested.IsZero() {
			w.begun[item.Config] = append(w.begun[item.Config], requested)
		}
		busy++
	}
	if started := len(plan.Start()); started > 0 && w.state.Budget > 0 && busy > w.state.Budget {
		w.t.Fatalf("%d builds run, %d just started, the budget is %d", busy, started, w.state.Budget)
	}
	return len(plan.Start())
}

// disturb does something that nobody planned.
func (w *world) disturb() {
	name := w.configs[w.r.IntN(len(w.configs))].Name
	switch w.r.IntN(8) {
	case 0, 1:
		w.move(fmt.Sprintf("root%d:latest", w.r.IntN(3)), "")
	case 2:
		w.broken[name] = true
	case 3:
		c := w.config(name)
		c.Paused = !c.Paused
	case 4:
		if !w.running(name) {
			w.serial++
			w.start(name, fmt.Sprintf("user-%d", w.serial), time.Time{})
		}
	case 5:
		w.ask(name)
	case 6: // with all that is built on it
		w.ask(name)
		for _, below := range NewGraph(w.configs).Below(name) {
			w.ask(below)
		}
	default:
		w.move(w.config(name).Produces[0], "user") // imported by hand
	}
}

// settle plans and finishes until nothing is left to do.
func (w *world) settle() {
	for range 100 * len(w.configs) {
		started := w.plan()
		running := slices.IndexFunc(w.state.Builds, func(b Build) bool { return b.State == BuildRunning })
		if running < 0 && started == 0 {
			return
		}
		for range w.burst {
			if i := slices.IndexFunc(w.state.Builds, func(b Build) bool { return b.State == BuildRunning }); i >= 0 {
				w.finish(i)
			}
		}
	}
	w.t.Fatal("it does not end")
}

// check says whether all that can be is built on the newest bases.
func (w *world) check() {
	why := map[string]Item{}
	for _, item := range New(w.configs, w.state).Items {
		why[item.Config] = item
	}
	held := map[string]bool{} // failed, or below something that failed
	for _, c := range w.configs {
		if !c.Enabled || c.Paused {
			continue
		}
		newest := func(b Base) bool { return b.Built == w.state.Tags[b.Tag].Digest }
		below := func(b Base) bool { producer, _, _ := strings.Cut(b.Tag, ":"); return held[producer] }
		old := slices.IndexFunc(c.Bases, func(b Base) bool { return !newest(b) })
		held[c.Name] = slices.ContainsFunc(c.Bases, below) || old >= 0 && w.broken[c.Name]
		if old >= 0 && !held[c.Name] {
			w.t.Errorf("%s is not built on the newest %s: %+v", c.Name, c.Bases[old].Tag, why[c.Name])
		}
	}
}

func TestWorlds(t *testing.T) {
	t.Parallel()
	for _, size := range []struct{ worlds, images, disturbances, budget, burst int }{
		{40, 40, 60, 4, 1}, {3, 400, 60, 30, 30}, {2, 2000, 40, 200, 200},
	} {
		for seed := range uint64(size.worlds) {
			t.Run(fmt.Sprintf("%d images, seed %d", size.images, seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed, size.images)
				w.state.Budget, w.burst = size.budget, size.burst
				w.live(size.disturbances)
			})
		}
	}
}

// live is the life of a world.
func (w *world) live(disturbances int) {
	for range disturbances {
		w.disturb()
		for range w.r.IntN(8) {
			w.plan()
			if i := w.r.IntN(len(w.state.Builds) + 1); i < len(w.state.Builds) && w.state.Builds[i].State == BuildRunning {
				w.finish(i)
			}
		}
	}
	w.settle()
	w.check()
	// All is mended, and everything moves once more.
	clear(w.broken)
	for i := range w.configs {
		w.configs[i].Paused, w.configs[i].Enabled = false, true
	}
	for i := range 3 {
		w.move(fmt.Sprintf("root%d:latest", i), "")
	}
	w.settle()
	w.check()
	for name, n := range w.asked {
		if w.answered[name] != n {
			w.t.Errorf("%s was asked for %d times, and built for that %d times", name, n, w.answered[name])
		}
	}
}

// One change of every root in a large graph: each image is built exactly once, whatever the order in which builds end.
func TestOneChangeOneBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 2000)
	w.state.Budget = 0
	for i := range w.configs {
		w.configs[i].Enabled = true
	}
	for i := range 3 {
		w.move(fmt.Sprintf("root%d:latest", i), "")
	}
	for w.plan() > 0 || len(w.state.Builds) > 0 {
		w.r.Shuffle(len(w.state.Builds), func(i, j int) { w.state.Builds[i], w.state.Builds[j] = w.state.Builds[j], w.state.Builds[i] })
		for range 1 + len(w.state.Builds)/2 {
			last := len(w.state.Builds) - 1
			w.succeed(w.state.Builds[last])
			w.state.Builds = w.state.Builds[:last]
		}
	}
	w.check()
	for _, c := range w.configs {
		if n := w.built[c.Name]; n != 1 {
			t.Errorf("%s was built %d times", c.Name, n)
		}
	}
}

func TestPlanDoesNotDependOnOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 300)
	for range 20 {
		w.disturb()
	}
	want := New(w.configs, w.state)
	for range 5 {
		configs, state := slices.Clone(w.configs), w.state
		state.Builds = slices.Clone(state.Builds)
		w.r.Shuffle(len(configs), func(i, j int) { configs[i], configs[j] = configs[j], configs[i] })
		w.r.Shuffle(len(state.Builds), func(i, j int) { state.Builds[i], state.Builds[j] = state.Builds[j], state.Builds[i] })
		if diff := cmp.Diff(lines(want), lines(New(configs, state))); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
}

// Any graph, cycles included: no panic, every group of a cycle is named, and nothing starts before its parents.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 2, 0, 3, 3, 4, 0})
	f.Add([]byte{9, 8, 8, 7, 7, 9, 1, 9})
	f.Fuzz(func(t *testing.T, edges []byte) {
		configs := make([]Config, 16)
		for i := range configs {
			configs[i] = on(fmt.Sprintf("n%02d", i))
		}
		for i := 0; i+1 < len(edges) && i < 200; i += 2 {
			c := &configs[edges[i]%16]
			tag := fmt.Sprintf("n%02d:latest", edges[i+1]%16)
			if !slices.ContainsFunc(c.Bases, func(b Base) bool { return b.Tag == tag }) {
				c.Bases = append(c.Bases, Base{Tag: tag, Built: "1", Tried: "1", Paused: edges[i]&32 != 0})
			}
		}
		state := State{Tags: tags("n00=2", "n05=2", "n10=2")}
		plan := New(configs, state)
		verdicts := map[string]Verdict{}
		for _, item := range plan.Items {
			verdicts[item.Config] = item.Verdict
		}
		inCycle := map[string]bool{}
		for _, cycle := range plan.Cycles {
			for _, name := range cycle {
				inCycle[name] = true
			}
		}
		for _, item := range plan.Start() {
			for _, c := range configs {
				if c.Name != item.Config {
					continue
				}
				for _, base := range c.Bases {
					producer, _, _ := strings.Cut(base.Tag, ":")
					v := verdicts[producer]
					if !base.Paused && (v == Ready || v == Waiting) && (!inCycle[producer] || !inCycle[c.Name]) {
						t.Errorf("%s starts before its base %s", c.Name, producer)
					}
				}
			}
		}
		NewGraph(configs).Preview(state, "n00:latest", "")
	})
}

// large is a graph of n images in layers, all of them stale.
func large(n int) ([]Config, State) {
	configs := make([]Config, 0, n)
	state := State{Tags: map[string]Tag{"root:latest": {Digest: "2"}}}
	for i := range n {
		bases := []string{"root"}
		if i > 0 {
			bases = []string{fmt.Sprintf("img%06d", i/10), fmt.Sprintf("img%06d", i/7)}
		}
		if i > 0 && i/10 == i/7 {
			bases = bases[:1]
		}
		c := on(fmt.Sprintf("img%06d", i), bases...)
		configs = append(configs, c)
		state.Tags[c.Produces[0]] = Tag{Digest: "1"}
	}
	configs[0] = on("img000000", "root")
	return configs, state
}

func BenchmarkPlan100000(b *testing.B) {
	configs, state := large(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if plan := New(configs, state); len(plan.Items) < 90_000 {
			b.Fatalf("%d items", len(plan.Items))
		}
	}
}

func BenchmarkPlanAgain100000(b *testing.B) {
	configs, state := large(100_000)
	g := NewGraph(configs)
	state.Tags["root:latest"] = Tag{Digest: "1"}
	b.ReportAllocs()
	for b.Loop() {
		g.Plan(state)
	}
}

func BenchmarkPreviewOfALeaf100000(b *testing.B) {
	configs, state := large(100_000)
	g := NewGraph(configs)
	b.ReportAllocs()
	for b.Loop() {
		g.Preview(state, "img009000:latest", "")
	}
}
