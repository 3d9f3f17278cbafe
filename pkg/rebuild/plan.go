package rebuild

import (
	"cmp"
	"slices"
	"time"
)

// skew is how far the clocks of registry, API server and builders may be apart. Within it a doubt leads to a build, never to a miss.
const skew = time.Minute

// New plans from scratch; see Graph.Plan.
func New(configs []Config, s State) Plan { return NewGraph(configs).Plan(s) }

// Plan says what is stale, why, in which order it is rebuilt and what may start now.
func (g *Graph) Plan(s State) Plan {
	p := newPlanner(g, s)
	for _, n := range g.order {
		p.decide(n)
	}
	return p.plan(p.sorted(), s.Budget)
}

// Preview says what would be rebuilt if the tag moved to the digest, which may be empty if it is not known, and nothing else were
// stale. A tag that no build config uses gives an empty plan.
func (g *Graph) Preview(s State, tag, digest string) Plan {
	p := newPlanner(g, s)
	p.override, p.overridden = tag, Tag{Digest: digest}
	for _, n := range g.below(tag) {
		p.decide(n)
	}
	return p.plan(p.sorted(), 0)
}

// planner decides node by node, parents first.
type planner struct {
	g *Graph
	s State
	// running, and ended without success, by name of the build config.
	running map[string]*Build
	ended   map[string][]*Build
	// active nodes are about to be rebuilt or run; blocked ones failed, or something they are built on did.
	active, blocked []bool
	wave            []int32
	// items are of the nodes that are stale or run, by node; a node that is decided again gets a new one.
	items []*Item
	// override, if not empty, is a tag that is taken to have moved to overridden; nothing else is stale then.
	override   string
	overridden Tag
}

func newPlanner(g *Graph, s State) *planner {
	p := &planner{
		g: g, s: s, running: map[string]*Build{}, ended: map[string][]*Build{},
		active: make([]bool, len(g.configs)), blocked: make([]bool, len(g.configs)), wave: make([]int32, len(g.configs)),
		items: make([]*Item, len(g.configs)),
	}
	for i := range s.Builds {
		p.add(&s.Builds[i])
	}
	return p
}

// add takes a build into account.
func (p *planner) add(b *Build) {
	switch {
	case b.State != BuildRunning:
		p.ended[b.Config] = append(p.ended[b.Config], b)
	case p.running[b.Config] == nil || b.Name < p.running[b.Config].Name:
		p.running[b.Config] = b
	}
}

// node is what decide finds out about one node before it judges.
type node struct {
	config *Config
	// asked is that a person has asked; moved are the other reasons that are facts, looped those that go around a cycle, coming those
	// that will be facts.
	asked, moved, looped, coming []Reason
	activeBy, blockedBy          []string
	wave                         int32
}

// decide depends on the build config, its builds, its bases' tags, and what was decided on its parents; on nothing else.
func (p *planner) decide(n int32) {
	p.items[n], p.active[n], p.blocked[n], p.wave[n] = nil, false, false, 0
	found := p.look(n)
	name := found.config.Name
	item := Item{Config: name, Reasons: slices.Concat(found.asked, found.moved, found.coming), Wave: int(found.wave)}
	running := p.running[name]
	if p.override != "" {
		running = nil
	}
	switch stale := len(item.Reasons) > 0; {
	case running != nil:
		item.Verdict, item.HeldBy, item.Wave = Running, []string{running.Name}, 0
		p.active[n] = true
	case !stale && len(found.looped) > 0:
		item.Verdict, item.Reasons = Cycle, found.looped
	case !stale:
		return
	case !found.config.Enabled:
		item.Verdict = Disabled
	case found.config.Paused:
		item.Verdict = Paused
	case len(found.blockedBy) > 0 && len(found.asked) == 0:
		item.Verdict, item.HeldBy = ParentFailed, found.blockedBy
		p.blocked[n] = true
	case len(found.activeBy) > 0:
		item.Verdict, item.HeldBy = Waiting, found.activeBy
		p.active[n] = true
	default:
		p.judge(n, found.config, &item)
	}
	p.wave[n] = int32(item.Wave)
	p.items[n] = &item
}

// judge is for a stale node that nothing holds: it is ready, unless just this state was tried before and nobody has asked since.
func (p *planner) judge(n int32, c *Config, item *Item) {
	if at := RequestedAt(item.Reasons); !at.IsZero() {
		p.active[n] = true
		item.Verdict, item.Build = Ready, RequestName(c.Name, at, p.interrupted(c.Name, at))
		_, item.Digests = p.bases(c)
		return
	}
	verdict, build, attempt := p.tried(c)
	if verdict != Ready {
		item.Verdict = verdict
		if build != "" {
			item.HeldBy = []string{build}
		}
		p.blocked[n] = verdict == Failed
		return
	}
	p.active[n] = true
	item.Verdict = Ready
	if p.override != "" {
		return
	}
	var bases map[string]Tag
	bases, item.Digests = p.bases(c)
	for item.Build = BuildName(c.Name, bases, attempt); p.s.Overtaken[item.Build]; item.Build = BuildName(c.Name, bases, attempt) {
		attempt++
	}
}

// bases are what a build config is to be built from.
func (p *planner) bases(c *Config) (map[string]Tag, map[string]string) {
	tags, digests := map[string]Tag{}, map[string]string{}
	for _, b := range c.Bases {
		if tag, ok := p.tag(b.Tag); ok && !b.Paused {
			tags[b.Tag], digests[b.Tag] = tag, tag.Digest
		}
	}
	return tags, digests
}

// interrupted counts the builds of a request that were interrupted.
func (p *planner) interrupted(config string, requested time.Time) int {
	n := 0
	for _, b := range p.ended[config] {
		if b.State == BuildInterrupted && b.Requested.Equal(requested) {
			n++
		}
	}
	return n
}

// tried says whether the state of the bases was tried, by which build, and how many builds of it were interrupted.
func (p *planner) tried(c *Config) (verdict Verdict, build string, interrupted int) {
	if p.override != "" {
		return Ready, "", 0
	}
	for _, b := range p.ended[c.Name] {
		if !p.madeFrom(c, b) {
			continue
		}
		switch b.State {
		case BuildInterrupted:
			interrupted++
		case BuildSkipped:
			verdict, build = Skipped, b.Name
		default:
			return Failed, b.Name, 0
		}
	}
	switch {
	case verdict != "":
		return verdict, build, 0
	case interrupted == 0 && p.triedByTriggers(c):
		if c.LastState == BuildSkipped {
			return Skipped, c.LastBuild, 0
		}
		return Failed, c.LastBuild, 0
	default:
		return Ready, "", interrupted
	}
}

// madeFrom says whether the build was made from what the bases are now, and, unless it was interrupted, none of them has moved since
// it was created.
func (p *planner) madeFrom(c *Config, b *Build) bool {
	for _, base := range c.Bases {
		tag, ok := p.tag(base.Tag)
		if !ok || base.Paused {
			continue
		}
		later := !b.Created.IsZero() && tag.Since.After(b.Created) && b.State != BuildInterrupted
		if later || b.Digests != nil && b.Digests[base.Tag] != tag.Digest {
			return false
		}
	}
	return b.Digests != nil || p.triedByTriggers(c)
}

// triedByTriggers says whether the last build that got the lock saw what the bases are now. It did not succeed, or nothing would be
// stale.
func (p *planner) triedByTriggers(c *Config) bool {
	for _, b := range c.Bases {
		tag, ok := p.tag(b.Tag)
		if !ok || b.Paused {
			continue
		}
		later := !c.TriedAt.IsZero() && tag.Since.After(c.TriedAt)
		if later || tag.Digest != b.Tried && tag.Digest != b.Manifest {
			return false
		}
	}
	return true
}

// look gathers what is known of a node whose parents are decided.
func (p *planner) look(n int32) node {
	c := &p.g.configs[n]
	found := node{config: c}
	if r, ok := p.s.Requests[c.Name]; ok && p.override == "" {
		found.asked = []Reason{{Kind: Requested, CausedBy: r.User, At: r.Time}}
	}
	for i, b := range c.Bases {
		if b.Paused {
			continue
		}
		tag, ok := p.tag(b.Tag)
		if !ok || !p.stale(b, tag) {
			continue
		}
		reason := Reason{Kind: BaseMoved, Base: b.Tag, OldDigest: b.Built, NewDigest: tag.Digest, CausedBy: p.cause(b.Tag, tag)}
		if p.g.inCycle(n, i) {
			found.looped = append(found.looped, reason)
		} else {
			found.moved = append(found.moved, reason)
		}
	}
	for _, edge := range p.g.parents[n] {
		p.follow(n, edge, &found)
	}
	return found
}

// follow notes what the decision on one parent means for the node.
func (p *planner) follow(n int32, edge parent, found *node) {
	base, name := found.config.Bases[edge.base], p.g.configs[edge.node].Name
	if base.Paused || p.g.group[edge.node] == p.g.group[n] || !p.active[edge.node] && !p.blocked[edge.node] {
		return
	}
	held := &found.activeBy
	if p.blocked[edge.node] {
		held = &found.blockedBy
	}
	if !slices.Contains(*held, name) {
		*held = append(*held, name)
	}
	found.wave = max(found.wave, p.wave[edge.node]+1)
	sameBase := func(r Reason) bool { return r.Base == base.Tag }
	if !slices.ContainsFunc(found.moved, sameBase) && !slices.ContainsFunc(found.coming, sameBase) {
		found.coming = append(found.coming, Reason{Kind: BaseRebuilt, Base: base.Tag, OldDigest: base.Built, CausedBy: name})
	}
}

// tag is the state of a tag.
func (p *planner) tag(name string) (Tag, bool) {
	if p.override != "" && name == p.override {
		return p.overridden, true
	}
	tag, ok := p.s.Tags[name]
	return tag, ok && tag.Digest != ""
}

// stale says whether the newest image was built on something else than the tag is now. A tag that has not moved since before the
// last build read the registry is behind the registry: it has nothing new.
func (p *planner) stale(b Base, tag Tag) bool {
	switch {
	case p.override != "":
		return b.Tag == p.override && (tag.Digest == "" || tag.Digest != b.Built)
	case tag.Digest == b.Built, b.Manifest != "" && tag.Digest == b.Manifest && b.Built == b.Tried:
		return false
	case b.Built == b.Tried && !b.SeenAt.IsZero() && !tag.Since.IsZero() && tag.Since.Before(b.SeenAt.Add(-skew)):
		return false
	default:
		return true
	}
}

// cause is who moved the tag: the build if it is known, else the build config that produces it.
func (p *planner) cause(name string, tag Tag) string {
	if tag.By != "" {
		return tag.By
	}
	if producers := p.g.producers[name]; len(producers) > 0 {
		return p.g.configs[producers[0]].Name
	}
	return ""
}

// compare orders items: by wave, then what people have asked for, then by name.
func compare(a, b *Item) int {
	return cmp.Or(cmp.Compare(a.Wave, b.Wave), cmp.Compare(later(a), later(b)), cmp.Compare(a.Config, b.Config))
}

// sorted are the nodes that have items, in the order of these.
func (p *planner) sorted() []int32 {
	var out []int32
	for n, item := range p.items {
		if item != nil {
			out = append(out, int32(n))
		}
	}
	slices.SortFunc(out, p.compare)
	return out
}

func (p *planner) compare(a, b int32) int { return compare(p.items[a], p.items[b]) }

// plan spends the budget on the items of the nodes, in this order. It leaves what was decided as it is.
func (p *planner) plan(sorted []int32, budget int) Plan {
	if len(sorted) == 0 {
		return Plan{Cycles: p.g.cycles}
	}
	items := make([]Item, len(sorted))
	left := budget - len(p.running)
	for i, n := range sorted {
		items[i] = *p.items[n]
		switch item := &items[i]; {
		case item.Verdict != Ready:
		case p.s.Postponed[item.Build]:
			item.Verdict = Queued
		case budget == 0:
		case left <= 0:
			item.Verdict = Queued
		default:
			left--
		}
	}
	return Plan{Items: items, Cycles: p.g.cycles}
}

// later is 0 for what a person has asked for, 1 for all else.
func later(item *Item) int {
	if RequestedAt(item.Reasons).IsZero() {
		return 1
	}
	return 0
}
