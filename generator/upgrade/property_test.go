package upgrade_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
	"github.com/osbs-tekton/osbs/generator/upgrade"
	"github.com/osbs-tekton/osbs/tasks"
)

// original is a few objects with everything that Tasks have: lists with names, arguments, texts.
func original(tb testing.TB) []*yaml.RNode {
	tb.Helper()
	var objects []*yaml.RNode
	for _, stage := range []string{"push", "build"} {
		text, err := tasks.Read(stage)
		if err != nil {
			tb.Fatal(err)
		}
		objects = append(objects, parse(tb, stage, text)...)
	}
	return objects
}

func clone(objects []*yaml.RNode) []*yaml.RNode {
	var out []*yaml.RNode
	for _, o := range objects {
		out = append(out, yaml.NewRNode(tree.Clone(o.YNode())))
	}
	return out
}

// place is a value in an object that can be edited: the field of a mapping or the element of a list.
type place struct {
	path   string
	parent *yaml.Node
	index  int // of the value
	keyed  bool
}

// places are all of an object but those that say what it is, and those that tell the elements of a list apart.
func places(object *yaml.Node, path keyed.Path, field string) []place {
	var all []place
	switch object.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(object.Content); i += 2 {
			name := object.Content[i].Value
			at := path.Field(name)
			if slices.Contains([]string{"apiVersion", "kind", "metadata"}, string(at)) || name == "name" || name == "mountPath" {
				continue
			}
			all = append(all, place{string(at), object, i + 1, false})
			all = append(all, places(object.Content[i+1], at, name)...)
		}
	case yaml.SequenceNode:
		key := keyed.KeyOf(field, object)
		if key == nil {
			return nil
		}
		for i, element := range object.Content {
			at := path.Element(key.Of(element))
			all = append(all, place{string(at), object, i, true})
			all = append(all, places(element, at, "")...)
		}
	}
	return all
}

// edit changes objects at one random place, and returns the place.
func edit(r *rand.Rand, objects []*yaml.RNode) string {
	n := r.IntN(len(objects))
	all := places(objects[n].YNode(), "", "")
	if len(all) == 0 {
		return fmt.Sprintf("%d:", n) // an edit before this one has removed all
	}
	p := all[r.IntN(len(all))]
	value := p.parent.Content[p.index]
	switch what := r.IntN(4); {
	case what == 0 && p.keyed:
		p.parent.Content = slices.Delete(p.parent.Content, p.index, p.index+1)
	case what == 0:
		p.parent.Content = slices.Delete(p.parent.Content, p.index-1, p.index+1)
	case what == 1 && value.Kind == yaml.SequenceNode && len(value.Content) > 0 && value.Content[0].Kind == yaml.MappingNode:
		element := tree.Clone(value.Content[0])
		name := fmt.Sprintf("new-%d", r.IntN(1000))
		for _, key := range []string{"name", "mountPath"} {
			tree.Set(element, key, tree.String(name))
		}
		value.Content = slices.Insert(value.Content, r.IntN(len(value.Content)+1), element)
	case value.Kind == yaml.MappingNode:
		tree.Set(value, fmt.Sprintf("field%d", r.IntN(1000)), tree.String("added"))
	case value.Kind == yaml.SequenceNode && keyed.KeyOf("", value) != nil:
		a, b := r.IntN(len(value.Content)), r.IntN(len(value.Content))
		value.Content[a], value.Content[b] = value.Content[b], value.Content[a]
	default:
		p.parent.Content[p.index] = tree.String(fmt.Sprintf("edited-%d", r.IntN(1000)))
	}
	return fmt.Sprintf("%d:%s", n, p.path)
}

func edited(r *rand.Rand, objects []*yaml.RNode, n int) ([]*yaml.RNode, []string) {
	out := clone(objects)
	var paths []string
	for range n {
		paths = append(paths, edit(r, out))
	}
	return out, paths
}

func merge(t *testing.T, base, mine, theirs []*yaml.RNode) ([]*yaml.RNode, []upgrade.Conflict) {
	t.Helper()
	merged, conflicts, err := upgrade.Merge(base, mine, theirs)
	if err != nil {
		t.Fatal(err)
	}
	return merged, conflicts
}

// same says whether two lists of objects mean the same, the order of what has names included or not.
func same(t *testing.T, what string, want, got []*yaml.RNode, ordered bool) {
	t.Helper()
	if ordered {
		for i := range want {
			if len(want) != len(got) || !keyed.Equal(want[i].YNode(), got[i].YNode()) {
				t.Fatalf("%s: %v", what, keyed.Compare(want[i].YNode(), got[i].YNode()))
			}
		}
		return
	}
	for i := range want {
		for _, d := range keyed.Compare(want[i].YNode(), got[i].YNode()) {
			if !d.Moved {
				t.Fatalf("%s: %s: %s, want %s", what, d.Path, keyed.Show(d.New), keyed.Show(d.Old))
			}
		}
	}
}

func TestMergeOfOneSide(t *testing.T) {
	base := original(t)
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		x, _ := edited(r, base, 1+r.IntN(6))
		y, _ := edited(r, base, 1+r.IntN(6))
		for name, sides := range map[string][4][]*yaml.RNode{
			"theirs alone":    {base, base, x, x},
			"mine alone":      {base, x, base, x},
			"both the same":   {base, x, x, x},
			"from elsewhere":  {y, x, x, x},
			"without a base":  {nil, x, x, x},
			"nothing changed": {x, x, x, x},
		} {
			merged, conflicts := merge(t, sides[0], sides[1], sides[2])
			if len(conflicts) > 0 {
				t.Fatalf("seed %d: %s: %v", seed, name, conflicts)
			}
			same(t, fmt.Sprintf("seed %d: %s", seed, name), sides[3], merged, true)
		}
	}
}

// apart says whether no place of one list is a place of the other, or in one, or holds one.
func apart(a, b []string) bool {
	within := func(x, y string) bool {
		rest, ok := strings.CutPrefix(x, y)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	for _, x := range a {
		for _, y := range b {
			if within(x, y) || within(y, x) {
				return false
			}
		}
	}
	return true
}

func TestEditsOfDifferentPlacesCommute(t *testing.T) {
	base := original(t)
	tried := 0
	for seed := range uint64(300) {
		x, at := edited(rand.New(rand.NewPCG(seed, 2)), base, 1)
		y, other := edited(rand.New(rand.NewPCG(seed, 3)), base, 1)
		if !apart(at, other) {
			continue
		}
		tried++
		one, conflicts := merge(t, base, x, y)
		two, more := merge(t, base, y, x)
		if len(conflicts)+len(more) > 0 {
			t.Fatalf("seed %d: %v and %v: %v %v", seed, at, other, conflicts, more)
		}
		same(t, fmt.Sprintf("seed %d: %v and %v", seed, at, other), one, two, true)
		// What y has done to base is done to x: so it is in the result, and nothing else.
		for i := range base {
			want := append(keyed.Compare(base[i].YNode(), x[i].YNode()), keyed.Compare(base[i].YNode(), y[i].YNode())...)
			got := keyed.Compare(base[i].YNode(), one[i].YNode())
			if len(want) != len(got) {
				t.Fatalf("seed %d: %d changes became %d", seed, len(want), len(got))
			}
		}
	}
	if tried < 150 {
		t.Fatalf("only %d of the edits were apart", tried)
	}
}

func TestConflictsAreTheSameFromBothSides(t *testing.T) {
	base := original(t)
	found := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		x, _ := edited(r, base, 1+r.IntN(12))
		y, _ := edited(r, base, 1+r.IntN(12))
		mine, conflicts := merge(t, base, x, y)
		theirs, mirrored := merge(t, base, y, x)
		var a, b []string
		for _, c := range conflicts {
			a = append(a, c.Object+": "+c.Path)
		}
		for _, c := range mirrored {
			b = append(b, c.Object+": "+c.Path)
		}
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Fatalf("seed %d: %v\nfrom the other side: %v", seed, a, b)
		}
		found += len(a)
		if len(a) == 0 {
			same(t, fmt.Sprintf("seed %d", seed), mine, theirs, false)
		}
		// Nothing of mine is lost: where the result differs from x, it has what y has.
		for i := range x {
			for _, d := range keyed.Compare(x[i].YNode(), mine[i].YNode()) {
				if slices.ContainsFunc(conflicts, func(c upgrade.Conflict) bool { return c.Object == "Task "+x[i].GetName() && c.Path == string(d.Path) }) {
					t.Fatalf("seed %d: %s is a conflict, and not what it was", seed, d.Path)
				}
			}
		}
	}
	if found == 0 {
		t.Fatal("no conflict was tried")
	}
}
