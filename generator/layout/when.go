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
	common := f.common(f.pod)
	for _, n := range common {
		f.out.When = append(f.out.When, yaml.NewRNode(tree.Clone(n)))
	}
	for _, m := range f.members {
		own := ownConditions(m.Link, common)
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

// ownConditions are the conditions of a link that are not common to its pod, and that it does not know itself.
func ownConditions(l *chain.Link, common []*yaml.Node) []*yaml.Node {
	var own []*yaml.Node
	for _, w := range nodes(l.When) {
		known := l.OwnStage() && tree.Equal(w, chain.NotSkipped())
		if !known && !contains(common, w) {
			own = append(own, w)
		}
	}
	return own
}

func contains(list []*yaml.Node, n *yaml.Node) bool {
	return slices.ContainsFunc(list, func(o *yaml.Node) bool { return tree.Equal(o, n) })
}

// common are the conditions of all links of a pod, as far as they can be known before it runs.
func (a *arrangement) common(p *pod) []*yaml.Node {
	var out []*yaml.Node
	for _, w := range nodes(p.links[0].When) {
		everywhere := !a.refersInside(p, allText(w))
		for _, l := range p.links[1:] {
			everywhere = everywhere && contains(nodes(l.When), w)
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
		if f.refersInside(f.pod, text) {
			if slices.ContainsFunc(variable.In(text), func(v variable.Variable) bool { return !f.refersInside(f.pod, v.String()) }) {
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
