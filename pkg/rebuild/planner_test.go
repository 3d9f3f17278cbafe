package rebuild

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// changing is what a Planner was told, and the same for New.
type changing struct {
	t       *testing.T
	r       *rand.Rand
	planner *Planner
	configs map[string]Config
	builds  map[string][]Build
	tags    map[string]Tag
	// overtaken builds have their build configs' names in them.
	overtaken map[string]bool
	requests  map[string]buildconfig.Request
	serial    int
}

const (
	changingConfigs = 25
	changingDigests = 4
)

func (c *changing) name() string   { return fmt.Sprintf("img%02d", c.r.IntN(changingConfigs)) }
func (c *changing) digest() string { return fmt.Sprint(c.r.IntN(changingDigests)) }

// tag is one that a build config produces, mostly, or that of a root.
func (c *changing) tag() string {
	if c.r.IntN(4) == 0 {
		return fmt.Sprintf("root%d:latest", c.r.IntN(3))
	}
	return c.name() + ":latest"
}

// config is a random one. Its bases are mostly of smaller names, so that there are few cycles.
func (c *changing) config(name string) Config {
	config := Config{Name: name, Enabled: c.r.IntN(8) > 0, Paused: c.r.IntN(8) == 0, Produces: []string{name + ":latest"}}
	if c.r.IntN(10) == 0 {
		config.Produces = append(config.Produces, c.tag())
	}
	for range c.r.IntN(4) {
		tag := c.tag()
		if tag >= name && c.r.IntN(20) > 0 || slices.ContainsFunc(config.Bases, func(b Base) bool { return b.Tag == tag }) {
			continue
		}
		b := Base{Tag: tag, Paused: c.r.IntN(10) == 0, Built: c.digest(), Tried: c.digest()}
		if c.r.IntN(2) == 0 {
			b.Tried = b.Built
		}
		config.Bases = append(config.Bases, b)
	}
	if c.r.IntN(4) == 0 {
		config.LastBuild, config.LastState = name+"-last", []BuildState{BuildFailed, BuildSkipped}[c.r.IntN(2)]
	}
	return config
}

func (c *changing) setConfig(config Config) {
	c.configs[config.Name] = config
	c.planner.SetConfig(config)
}

func (c *changing) setTag(name string) {
	tag := Tag{Digest: c.digest(), Since: noon, Generation: int64(c.r.IntN(2)), By: []string{"", "someone-1"}[c.r.IntN(2)]}
	if c.r.IntN(8) == 0 {
		tag = Tag{}
		delete(c.tags, name)
	} else {
		c.tags[name] = tag
	}
	c.planner.SetTag(name, tag)
}

func (c *changing) setBuilds(name string) {
	var builds []Build
	for range c.r.IntN(3) {
		c.serial++
		b := Build{
			Config: name, Name: fmt.Sprintf("%s-%d", name, c.serial),
			State:     []BuildState{BuildRunning, BuildRunning, BuildFailed, BuildSkipped, BuildInterrupted}[c.r.IntN(5)],
			Requested: c.requests[name].Time,
		}
		if config, ok := c.configs[name]; ok && c.r.IntN(2) == 0 {
			b.Digests = map[string]string{}
			for _, base := range config.Bases {
				b.Digests[base.Tag] = c.digest()
			}
		}
		builds = append(builds, b)
	}
	if c.builds[name] = builds; len(builds) == 0 {
		delete(c.builds, name)
	}
	c.planner.SetBuilds(name, builds)
}

// change does one thing of those that a Planner can be told.
func (c *changing) change() {
	name := c.name()
	switch config, known := c.configs[name]; c.r.IntN(14) {
	case 12:
		c.serial++
		request := buildconfig.Request{Time: noon.Add(time.Duration(c.serial)), User: "anne"}
		c.requests[name] = request
		c.planner.SetRequest(name, &request)
	case 13:
		delete(c.requests, name)
		c.planner.SetRequest(name, nil)
	case 0:
		c.setConfig(c.config(name))
	case 1:
		delete(c.configs, name)
		c.planner.RemoveConfig(name)
	case 2, 3: // a build is recorded
		if known && len(config.Bases) > 0 {
			config.Bases = slices.Clone(config.Bases)
			b := &config.Bases[c.r.IntN(len(config.Bases))]
			b.Built, b.Tried = c.digest(), c.digest()
			c.setConfig(config)
		}
	case 4: // other bases
		if known {
			config.Bases = c.config(name).Bases
			c.setConfig(config)
		}
	case 5:
		if known {
			config.Paused = !config.Paused
			c.setConfig(config)
		}
	case 6:
		for build := range c.overtaken {
			delete(c.overtaken, build)
			c.planner.SetOvertaken(build[:len("img00")], build, false)
			break
		}
	case 7, 8:
		c.setBuilds(name)
	default:
		c.setTag(c.tag())
	}
}

// check compares the Planner's plan with that of New.
func (c *changing) check(story string) {
	c.t.Helper()
	state := State{Tags: c.tags, Budget: c.r.IntN(4), Postponed: map[string]bool{}, Overtaken: c.overtaken, Requests: c.requests}
	for _, builds := range c.builds {
		state.Builds = append(state.Builds, builds...)
	}
	configs := slices.Collect(maps.Values(c.configs))
	want := New(configs, state)
	if start := want.Start(); len(start) > 0 && c.r.IntN(2) == 0 {
		state.Postponed[start[c.r.IntN(len(start))].Build] = true
		want = New(configs, state)
	}
	if start := want.Start(); len(start) > 0 && c.r.IntN(4) == 0 {
		c.overtaken[start[0].Build] = true
		c.planner.SetOvertaken(start[0].Config, start[0].Build, true)
		want = New(configs, state)
	}
	if diff := cmp.Diff(want, c.planner.Plan(state.Budget, state.Postponed), cmpopts.EquateEmpty()); diff != "" {
		c.t.Fatalf("%s: -new +planner:\n%s", story, diff)
	}
}

// Whatever changes, the Planner says what New says of the same state.
func TestPlannerIsNew(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &changing{
				t: t, r: rand.New(rand.NewPCG(seed, 1)), planner: NewPlanner(), configs: map[string]Config{}, builds: map[string][]Build{}, tags: map[string]Tag{}, overtaken: map[string]bool{},
				requests: map[string]buildconfig.Request{},
			}
			for i := range changingConfigs {
				c.setConfig(c.config(fmt.Sprintf("img%02d", i)))
			}
			for i := range 250 {
				for range 1 + c.r.IntN(3)*c.r.IntN(2) {
					c.change()
				}
				c.check(fmt.Sprintf("after change %d", i))
			}
		})
	}
}

// Preview on the Planner's graph is that on a new one.
func TestPlannerGraph(t *testing.T) {
	t.Parallel()
	p := NewPlanner()
	a, b := on("a", "base"), on("b", "a")
	p.SetConfig(a)
	p.SetConfig(b)
	p.Plan(0, nil)
	b = on("b", "base")
	p.SetConfig(b)
	state := State{Tags: tags("base=1")}
	if diff := cmp.Diff(NewGraph([]Config{a, b}).Preview(state, "base:latest", ""), p.Graph().Preview(state, "base:latest", "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// planner100000 is one that has planned, on images of which all are stale, or none.
func planner100000(stale bool) *Planner {
	configs, state := large(100_000)
	if !stale {
		state.Tags["root:latest"] = Tag{Digest: "1"}
	}
	p := NewPlanner()
	for _, c := range configs {
		p.SetConfig(c)
	}
	for name, tag := range state.Tags {
		p.SetTag(name, tag)
	}
	p.Plan(0, nil)
	return p
}

// BenchmarkPlanner measures one change, of those that happen all the time, and the plan after it, on 100,000 images. All of them are stale, or
// none but those that the change concerns.
func BenchmarkPlanner(b *testing.B) {
	for _, stale := range []bool{false, true} {
		p := planner100000(stale)
		what := map[bool]string{false: "up to date", true: "all stale"}[stale]
		for name, change := range map[string]func(p *Planner, on bool){
			"tag of a leaf":   func(p *Planner, on bool) { p.SetTag("img099000:latest", Tag{Digest: flip(on)}) },
			"tag of a parent": func(p *Planner, on bool) { p.SetTag("img009000:latest", Tag{Digest: flip(on)}) },
			"build of a parent": func(p *Planner, on bool) {
				builds := []Build{{Config: "img009000", Name: "b", State: BuildRunning}}
				if !on {
					builds = nil
				}
				p.SetBuilds("img009000", builds)
			},
			"build config": func(p *Planner, on bool) {
				c := p.configs["img009000"]
				c.Bases = slices.Clone(c.Bases)
				c.Bases[0].Built, c.Bases[0].Tried = flip(on), flip(on)
				p.SetConfig(c)
			},
		} {
			b.Run(name+", "+what, func(b *testing.B) {
				b.ReportAllocs()
				on := false
				for b.Loop() {
					on = !on
					change(p, on)
					p.Plan(0, nil)
				}
			})
		}
	}
}

func flip(on bool) string {
	if on {
		return "2"
	}
	return "1"
}
