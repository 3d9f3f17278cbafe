package rebuild

import (
	"cmp"
	"slices"
)

// Graph is the build configs and what they are built on. It is made once and asked often; asking does not change it.
type Graph struct {
	configs []Config // by name
	// parents of a node are the nodes that produce one of its bases; consumers are the nodes built on a tag.
	parents   [][]parent
	consumers map[string][]int32
	producers map[string][]int32
	// order has parents before children; rank is a node's place in it, group its strongly connected component.
	order  []int32
	rank   []int32
	group  []int32
	cycles [][]string
}

// parent is an edge: the base is produced by the node.
type parent struct{ base, node int32 }

// NewGraph indexes build configs. Of two with one name the first counts.
func NewGraph(configs []Config) *Graph {
	g := &Graph{configs: slices.Clone(configs), consumers: map[string][]int32{}, producers: map[string][]int32{}}
	slices.SortStableFunc(g.configs, func(a, b Config) int { return cmp.Compare(a.Name, b.Name) })
	g.configs = slices.CompactFunc(g.configs, func(a, b Config) bool { return a.Name == b.Name })
	for i, c := range g.configs {
		for _, tag := range c.Produces {
			g.producers[tag] = append(g.producers[tag], int32(i))
		}
	}
	g.parents = make([][]parent, len(g.configs))
	for i := range g.configs {
		for _, base := range g.configs[i].Bases {
			g.consumers[base.Tag] = append(g.consumers[base.Tag], int32(i))
		}
		g.parents[i] = g.edges(int32(i))
	}
	g.sort()
	return g
}

// edges are the parents of a node, by base and then by name.
func (g *Graph) edges(n int32) []parent {
	var out []parent
	for b, base := range g.configs[n].Bases {
		for _, p := range g.producers[base.Tag] {
			out = append(out, parent{int32(b), p})
		}
	}
	return out
}

// replace puts another build config of the same name, which produces the same tags, into the place of a node. It says no, and the graph is
// of no use any more, if the order of the nodes or the cycles could be others then.
func (g *Graph) replace(n int32, c Config) bool {
	before, parents := g.configs[n], g.parents[n]
	g.configs[n] = c
	if slices.EqualFunc(before.Bases, c.Bases, func(a, b Base) bool { return a.Tag == b.Tag }) {
		return true
	}
	same := func(p parent) bool { return g.group[p.node] == g.group[n] }
	if slices.ContainsFunc(parents, same) {
		return false
	}
	for _, b := range before.Bases {
		g.consumers[b.Tag] = slices.DeleteFunc(g.consumers[b.Tag], func(m int32) bool { return m == n })
	}
	for _, b := range c.Bases {
		g.consumers[b.Tag] = append(g.consumers[b.Tag], n)
	}
	g.parents[n] = g.edges(n)
	return !slices.ContainsFunc(g.parents[n], func(p parent) bool { return g.rank[p.node] >= g.rank[n] })
}

// Cycles are the groups of build configs that are built on each other.
func (g *Graph) Cycles() [][]string { return g.cycles }

// sort finds the strongly connected components, which come out parents first, and ranks the nodes by wave within that order.
func (g *Graph) sort() {
	t := newTarjan(g)
	for n := range g.configs {
		t.visit(int32(n))
	}
	g.group = t.group
	g.order = make([]int32, 0, len(g.configs))
	for _, members := range t.components {
		slices.Sort(members)
		g.order = append(g.order, members...)
		if len(members) > 1 || g.onItself(members[0]) {
			names := make([]string, 0, len(members))
			for _, n := range members {
				names = append(names, g.configs[n].Name)
			}
			g.cycles = append(g.cycles, names)
		}
	}
	slices.SortFunc(g.cycles, slices.Compare[[]string])
	g.rank = make([]int32, len(g.order))
	for i, n := range g.order {
		g.rank[n] = int32(i)
	}
}

func (g *Graph) onItself(n int32) bool {
	return slices.ContainsFunc(g.parents[n], func(p parent) bool { return p.node == n })
}

// inCycle says whether a base of n is produced by n itself or by something that is built on n.
func (g *Graph) inCycle(n int32, base int) bool {
	return slices.ContainsFunc(g.parents[n], func(p parent) bool { return int(p.base) == base && g.group[p.node] == g.group[n] })
}

// below are the nodes that are built, directly or through others, on the tag, parents first.
func (g *Graph) below(tag string) []int32 {
	seen := map[int32]bool{}
	todo := slices.Clone(g.consumers[tag])
	var out []int32
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		out = append(out, n)
		for _, produced := range g.configs[n].Produces {
			todo = append(todo, g.consumers[produced]...)
		}
	}
	slices.SortFunc(out, func(a, b int32) int { return cmp.Compare(g.rank[a], g.rank[b]) })
	return out
}

// Below are the names of the build configs that are built, directly or through others, on what the named one produces, parents first. The
// named one is not among them, even if it is built on itself.
func (g *Graph) Below(config string) []string {
	i, found := slices.BinarySearchFunc(g.configs, config, func(c Config, name string) int { return cmp.Compare(c.Name, name) })
	if !found {
		return nil
	}
	seen := map[int32]bool{int32(i): true}
	var nodes []int32
	for _, tag := range g.configs[i].Produces {
		for _, n := range g.below(tag) {
			if !seen[n] {
				seen[n] = true
				nodes = append(nodes, n)
			}
		}
	}
	slices.SortFunc(nodes, func(a, b int32) int { return cmp.Compare(g.rank[a], g.rank[b]) })
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, g.configs[n].Name)
	}
	return out
}

// tarjan finds strongly connected components without recursion, since a chain of images may be long.
type tarjan struct {
	g          *Graph
	next       int32
	index, low []int32 // index 0 means not visited
	onStack    []bool
	stack      []int32
	frames     []frame
	group      []int32
	components [][]int32
}

// frame is one call of the recursion that is not made: a node, and how many of its parents are done.
type frame struct {
	node int32
	done int
}

func newTarjan(g *Graph) *tarjan {
	n := len(g.configs)
	return &tarjan{g: g, index: make([]int32, n), low: make([]int32, n), onStack: make([]bool, n), group: make([]int32, n)}
}

func (t *tarjan) visit(root int32) {
	if t.index[root] != 0 {
		return
	}
	t.enter(root)
	for len(t.frames) > 0 {
		f := &t.frames[len(t.frames)-1]
		if f.done < len(t.g.parents[f.node]) {
			p := t.g.parents[f.node][f.done].node
			f.done++
			if t.index[p] == 0 {
				t.enter(p)
			} else if t.onStack[p] {
				t.low[f.node] = min(t.low[f.node], t.index[p])
			}
			continue
		}
		t.leave(f.node)
	}
}

func (t *tarjan) enter(n int32) {
	t.next++
	t.index[n], t.low[n], t.onStack[n] = t.next, t.next, true
	t.stack = append(t.stack, n)
	t.frames = append(t.frames, frame{node: n})
}

func (t *tarjan) leave(n int32) {
	t.frames = t.frames[:len(t.frames)-1]
	if len(t.frames) > 0 {
		caller := t.frames[len(t.frames)-1].node
		t.low[caller] = min(t.low[caller], t.low[n])
	}
	if t.low[n] != t.index[n] {
		return
	}
	from := len(t.stack) - 1
	for t.stack[from] != n {
		from--
	}
	members := slices.Clone(t.stack[from:])
	t.stack = t.stack[:from]
	for _, m := range members {
		t.onStack[m] = false
		t.group[m] = int32(len(t.components))
	}
	t.components = append(t.components, members)
}
