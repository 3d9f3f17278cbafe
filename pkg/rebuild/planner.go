package rebuild

import (
	"container/heap"
	"slices"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// Planner plans again and again while little changes. It is told what has changed, and decides again only where that matters: on what the
// change concerns, and on what is built on images for which the decision is another one now. Its plan is what New says of the same state.
type Planner struct {
	// configs by name, and the builds of each, which need not be one of configs.
	configs map[string]Config
	builds  map[string][]Build
	tags    map[string]Tag
	// overtaken and requests are those of State.
	overtaken map[string]bool
	requests  map[string]buildconfig.Request
	// p is nil when everything is to be decided again.
	p *planner
	// nodes of the graph by name.
	nodes map[string]int32
	// dirty nodes are to be decided again; dirt has their ranks.
	dirty []bool
	dirt  ranks
	// sorted are the nodes that had items in the last plan, in its order.
	sorted []int32
}

// NewPlanner knows nothing yet.
func NewPlanner() *Planner {
	return &Planner{
		configs: map[string]Config{}, builds: map[string][]Build{}, tags: map[string]Tag{}, overtaken: map[string]bool{},
		requests: map[string]buildconfig.Request{},
	}
}

// SetConfig adds a build config, or replaces the one of that name. One that is new, produces other tags than before, or has got a base
// from further down, has everything decided again. What c refers to must not be changed afterwards.
func (t *Planner) SetConfig(c Config) {
	before, known := t.configs[c.Name]
	t.configs[c.Name] = c
	if t.p == nil {
		return
	}
	if !known || !slices.Equal(before.Produces, c.Produces) {
		t.p = nil
		return
	}
	n := t.nodes[c.Name]
	if !t.p.g.replace(n, c) {
		t.p = nil
		return
	}
	t.touch(n)
}

// RemoveConfig forgets a build config, but not its builds. Everything is decided again.
func (t *Planner) RemoveConfig(name string) {
	if _, known := t.configs[name]; known {
		delete(t.configs, name)
		t.p = nil
	}
}

// SetTag says what a tag is now; one without a digest is not known.
func (t *Planner) SetTag(name string, tag Tag) {
	if before, known := t.tags[name]; known == (tag.Digest != "") && before == tag {
		return
	}
	if tag.Digest == "" {
		delete(t.tags, name)
	} else {
		t.tags[name] = tag
	}
	if t.p != nil {
		for _, n := range t.p.g.consumers[name] {
			t.touch(n)
		}
	}
}

// SetBuilds says which builds of a build config run or ended without success, all of them; see State.
func (t *Planner) SetBuilds(config string, builds []Build) {
	if len(builds) == 0 && len(t.builds[config]) == 0 {
		return
	}
	if t.builds[config] = slices.Clone(builds); len(builds) == 0 {
		delete(t.builds, config)
	}
	if t.p == nil {
		return
	}
	delete(t.p.running, config)
	delete(t.p.ended, config)
	for i := range t.builds[config] {
		t.p.add(&t.builds[config][i])
	}
	if n, ok := t.nodes[config]; ok {
		t.touch(n)
	}
}

// SetOvertaken says whether a build of a build config is one of State.Overtaken.
func (t *Planner) SetOvertaken(config, build string, overtaken bool) {
	if t.overtaken[build] = overtaken; !overtaken {
		delete(t.overtaken, build)
	}
	if n, ok := t.nodes[config]; ok && t.p != nil {
		t.touch(n)
	}
}

// SetRequest says which rebuild of a build config a person has asked for that has not begun; nil if there is none.
func (t *Planner) SetRequest(config string, r *buildconfig.Request) {
	before, known := t.requests[config]
	switch {
	case r == nil && !known, r != nil && known && before.Time.Equal(r.Time) && before.User == r.User:
		return
	case r == nil:
		delete(t.requests, config)
	default:
		t.requests[config] = *r
	}
	if n, ok := t.nodes[config]; ok && t.p != nil {
		t.touch(n)
	}
}

// Plan is New's for what the planner was told; budget and postponed are those of State.
func (t *Planner) Plan(budget int, postponed map[string]bool) Plan {
	if t.p == nil {
		t.begin()
	} else if len(t.dirt) > 0 {
		t.sorted = t.merge(t.again())
	}
	t.p.s.Postponed = postponed
	return t.p.plan(t.sorted, budget)
}

// Graph is of the build configs. It must not be used any more when another one was set.
func (t *Planner) Graph() *Graph {
	if t.p == nil {
		t.begin()
	}
	return t.p.g
}

// begin decides on everything.
func (t *Planner) begin() {
	configs := make([]Config, 0, len(t.configs))
	for _, c := range t.configs {
		configs = append(configs, c)
	}
	g := NewGraph(configs)
	t.p = newPlanner(g, State{Tags: t.tags, Overtaken: t.overtaken, Requests: t.requests})
	for _, builds := range t.builds {
		for i := range builds {
			t.p.add(&builds[i])
		}
	}
	t.nodes = make(map[string]int32, len(g.configs))
	for i := range g.configs {
		t.nodes[g.configs[i].Name] = int32(i)
	}
	t.dirty, t.dirt = make([]bool, len(g.configs)), nil
	for _, n := range g.order {
		t.p.decide(n)
	}
	t.sorted = t.p.sorted()
}

// touch has a node decided again.
func (t *Planner) touch(n int32) {
	if !t.dirty[n] {
		t.dirty[n] = true
		heap.Push(&t.dirt, t.p.g.rank[n])
	}
}

// again decides on the dirty nodes, parents first, and on those below for which that makes a difference. It returns all of them; they are
// still marked.
func (t *Planner) again() []int32 {
	var done []int32
	p := t.p
	for len(t.dirt) > 0 {
		rank, _ := heap.Pop(&t.dirt).(int32)
		n := p.g.order[rank]
		active, blocked, wave := p.active[n], p.blocked[n], p.wave[n]
		p.decide(n)
		done = append(done, n)
		if active == p.active[n] && blocked == p.blocked[n] && wave == p.wave[n] {
			continue
		}
		for _, produced := range p.g.configs[n].Produces {
			for _, child := range p.g.consumers[produced] {
				if p.g.group[child] != p.g.group[n] {
					t.touch(child)
				}
			}
		}
	}
	return done
}

// merge puts what was decided again into the order of the items, and takes the marks away.
func (t *Planner) merge(done []int32) []int32 {
	news := slices.DeleteFunc(slices.Clone(done), func(n int32) bool { return t.p.items[n] == nil })
	out := make([]int32, 0, len(t.sorted)+len(news))
	for _, n := range t.sorted {
		if !t.dirty[n] {
			out = append(out, n)
		}
	}
	for _, n := range done {
		t.dirty[n] = false
	}
	if len(news) > fewItems {
		out = append(out, news...)
		slices.SortFunc(out, t.p.compare)
		return out
	}
	for _, n := range news {
		at, _ := slices.BinarySearchFunc(out, n, t.p.compare)
		out = slices.Insert(out, at, n)
	}
	return out
}

// fewItems are put into their places one by one.
const fewItems = 100

// ranks is a heap of places in the order of a graph.
type ranks []int32

func (r ranks) Len() int           { return len(r) }
func (r ranks) Less(i, j int) bool { return r[i] < r[j] }
func (r ranks) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *ranks) Push(x any) {
	rank, _ := x.(int32)
	*r = append(*r, rank)
}

// Pop implements heap.Interface.
func (r *ranks) Pop() any {
	last := len(*r) - 1
	rank := (*r)[last]
	*r = (*r)[:last]
	return rank
}
