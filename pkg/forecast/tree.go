package forecast

import "slices"

// Branch is one line of a graph that is shown as trees.
type Branch struct {
	// Image is the index in Graph.Images.
	Image int
	// Lines join it to what it is built on, which is above.
	Lines string
	// Again: the image is shown above already, with all that is built on it.
	Again bool
}

// Tree has every image of the graph below each image that it is built on. At the top are those that are built on nothing here, then
// those that are built on each other only.
func (g *Graph) Tree() []Branch {
	index := make(map[string]int, len(g.Images))
	for i, image := range g.Images {
		index[image.Name] = i
	}
	on, under := g.edges()
	t := &tree{under: make([][]int, len(g.Images)), seen: make([]bool, len(g.Images))}
	for name, children := range under {
		for _, child := range children {
			t.under[index[name]] = append(t.under[index[name]], index[child])
		}
	}
	for i, image := range g.Images {
		if len(on[image.Name]) == 0 {
			t.grow(i)
		}
	}
	for i := range g.Images {
		if !t.seen[i] {
			t.grow(i)
		}
	}
	return t.branches
}

type tree struct {
	under    [][]int
	seen     []bool
	branches []Branch
}

// twig is a branch that is not yet grown: lines are its own, below those of what grows on it.
type twig struct {
	image        int
	lines, below string
}

// grow adds an image and all that is built on it, without recursion: a chain of images may be long.
func (t *tree) grow(root int) {
	for todo := []twig{{image: root}}; len(todo) > 0; {
		one := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		t.branches = append(t.branches, Branch{Image: one.image, Lines: one.lines, Again: t.seen[one.image]})
		if t.seen[one.image] {
			continue
		}
		t.seen[one.image] = true
		var next []twig
		for _, image := range t.under[one.image] {
			next = append(next, twig{image: image, lines: one.below + "├─ ", below: one.below + "│  "})
		}
		if len(next) > 0 {
			last := &next[len(next)-1]
			last.lines, last.below = one.below+"└─ ", one.below+"   "
		}
		slices.Reverse(next)
		todo = append(todo, next...)
	}
}
