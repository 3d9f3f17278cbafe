package diagram

import (
	"cmp"
	"slices"
)

// maxBends bounds the points through which edges that pass layers are led around nodes. With more of them edges go straight.
const maxBends = 20_000

// layout is where everything is: layers are columns, and each column has nodes and the bends of edges that pass it, from top to bottom.
type layout struct {
	// column of each slot; a slot is a node, or, behind the nodes, a bend. y is the middle of each, in units of a node's height.
	column []int
	y      []float64
	// columns are the slots of each column, from top to bottom.
	columns [][]int
	// paths are the slots through which each edge goes, its ends included.
	paths [][]int
	// height of the highest column.
	height float64
}

// Heights of slots, in units of a node with the space around it.
const (
	nodeHeight = 1.0
	bendHeight = 0.4
)

// arrange puts each node into the column behind those of all nodes that lead to it, and orders columns so that few edges cross. Edges
// that close a circle go back.
func arrange(nodes int, edges []Edge) *layout {
	l := &layout{column: layers(nodes, edges), paths: make([][]int, len(edges))}
	l.lead(edges)
	l.columns = make([][]int, 1)
	for slot, column := range l.column {
		for column >= len(l.columns) {
			l.columns = append(l.columns, nil)
		}
		l.columns[column] = append(l.columns[column], slot)
	}
	l.order()
	l.place(nodes)
	return l
}

// layers are the lengths of the longest ways to each node. Nodes in circles follow when nothing else is left, the first one first.
func layers(nodes int, edges []Edge) []int {
	next, missing := make([][]int, nodes), make([]int, nodes)
	for _, e := range edges {
		if e.From != e.To {
			next[e.From] = append(next[e.From], e.To)
			missing[e.To]++
		}
	}
	column, done := make([]int, nodes), make([]bool, nodes)
	var ready []int
	finish := func(n int) {
		done[n] = true
		for _, to := range next[n] {
			if done[to] { // the edge closes a circle
				continue
			}
			column[to] = max(column[to], column[n]+1)
			if missing[to]--; missing[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	for n := range nodes {
		if missing[n] == 0 {
			ready = append(ready, n)
		}
	}
	for n := range nodes {
		for ; len(ready) > 0; ready = ready[1:] {
			if !done[ready[0]] {
				finish(ready[0])
			}
		}
		if !done[n] {
			finish(n)
		}
	}
	return column
}

// lead makes the paths of edges, with a bend in each column between.
func (l *layout) lead(edges []Edge) {
	bends := 0
	for _, e := range edges {
		bends += max(0, l.column[e.To]-l.column[e.From]-1)
	}
	for i, e := range edges {
		l.paths[i] = []int{e.From}
		for column := l.column[e.From] + 1; column < l.column[e.To] && bends <= maxBends; column++ {
			l.paths[i] = append(l.paths[i], len(l.column))
			l.column = append(l.column, column)
		}
		l.paths[i] = append(l.paths[i], e.To)
	}
}

// sweeps is how often columns are ordered by those before and behind them.
const sweeps = 4

// order brings each slot near the middle of its neighbours in the column before, and then in the column behind.
func (l *layout) order() {
	before, behind := make([][]int, len(l.column)), make([][]int, len(l.column))
	for _, path := range l.paths {
		for i := range len(path) - 1 {
			behind[path[i]] = append(behind[path[i]], path[i+1])
			before[path[i+1]] = append(before[path[i+1]], path[i])
		}
	}
	at := make([]float64, len(l.column))     // place in the column, from 0 to 1
	middle := make([]float64, len(l.column)) // that of the neighbours
	number := func(column []int) {
		for i, slot := range column {
			at[slot] = (float64(i) + 0.5) / float64(len(column))
		}
	}
	for _, column := range l.columns {
		number(column)
	}
	for sweep := range sweeps {
		neighbours := before
		if sweep%2 == 1 {
			neighbours = behind
		}
		for i := range l.columns {
			column := l.columns[i]
			if sweep%2 == 1 {
				column = l.columns[len(l.columns)-1-i]
			}
			for _, slot := range column {
				middle[slot] = mean(at, neighbours[slot], at[slot])
			}
			slices.SortStableFunc(column, func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
			number(column)
		}
	}
}

// mean of the places of some slots, or what there is instead if there are none.
func mean(at []float64, slots []int, instead float64) float64 {
	if len(slots) == 0 {
		return instead
	}
	sum := 0.0
	for _, slot := range slots {
		sum += at[slot]
	}
	return sum / float64(len(slots))
}

// place stacks the slots of each column, and puts the middles of all columns on one line.
func (l *layout) place(nodes int) {
	l.y = make([]float64, len(l.column))
	heights := make([]float64, len(l.columns))
	for i, column := range l.columns {
		for _, slot := range column {
			height := nodeHeight
			if slot >= nodes {
				height = bendHeight
			}
			l.y[slot] = heights[i] + height/2
			heights[i] += height
		}
		l.height = max(l.height, heights[i])
	}
	for i, column := range l.columns {
		for _, slot := range column {
			l.y[slot] += (l.height - heights[i]) / 2
		}
	}
}
