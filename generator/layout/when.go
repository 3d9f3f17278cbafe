package layout

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// conditions makes the conditions that all links have those of the pod. The others become conditions of steps, but for the stages' own
// condition that something is to be built: these look themselves, and write empty results, which Tekton asks for.
func (f *fusion) conditions() error {
	common := f.common()
	for _, n := range common {
		f.out.When = append(f.out.When, yaml.NewRNode(tree.Clone(n)))
	}
	skip := chain.NotSkipped()
	for _, m := range f.members {
		var own []*yaml.Node
		for _, w := range nodes(m.When) {
			if !contains(common, w) && !(m.OwnStage() && tree.Equal(w, skip)) {
				own = append(own, w)
			}
		}
		n := 0
		for _, w := range own {
			if err := f.parametrise(m, w, &n); err != nil {
				return err
			}
		}
		for _, step := range tree.Items(m.Spec(), "steps") {
			for _, w := range own {
				tree.Append(step, "when", tree.Clone(w))
			}
		}
	}
	return nil
}

func contains(list []*yaml.Node, n *yaml.Node) bool {
	return slices.ContainsFunc(list, func(o *yaml.Node) bool { return tree.Equal(o, n) })
}

// common are the conditions of all links, as far as they can be known before the pod runs.
func (f *fusion) common() []*yaml.Node {
	var out []*yaml.Node
	for _, w := range nodes(f.members[0].When) {
		everywhere := !f.refersInside(allText(w))
		for _, m := range f.members[1:] {
			everywhere = everywhere && contains(nodes(m.When), w)
		}
		if everywhere && !contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}

// parametrise gives the pod a param for every text of a condition that the Pipeline has to fill in, and puts it in its place. n counts
// the params of the link.
func (f *fusion) parametrise(m *member, w *yaml.Node, n *int) error {
	var failed error
	tree.Rewrite(w, func(text string) []string {
		if len(variable.In(text)) == 0 {
			return []string{text}
		}
		if f.refersInside(text) {
			if slices.ContainsFunc(variable.In(text), func(v variable.Variable) bool { return !f.refersInside(v.String()) }) {
				failed = failure.New(failure.Usage, "the condition %q of %s is of something in the pod and of something else: make two of it", text, m.Link)
			}
			return []string{text}
		}
		if v := variable.In(text); v[0].Parts[len(v[0].Parts)-1] == (variable.Part{Mark: "[", Text: "*"}) {
			failed = failure.New(failure.Usage, "the condition %q of %s is of a whole list, which a step cannot have: give it a pod of its own", text, m.Link)
			return []string{text}
		}
		*n++
		name := fmt.Sprintf("%s-when-%d", m.Name, *n)
		f.claims = append(f.claims, &claim{name, tree.Map("name", name), tree.String(text), m})
		return []string{variable.Of(variable.Params, name).String()}
	})
	return failed
}
