package chain

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Reference is a reference to a result of a link.
type Reference struct{ Link, Result string }

// Trees are the parts of a link in which variables may stand: the values of its params, its conditions, its Task.
func (l *Link) Trees() []*yaml.Node {
	var trees []*yaml.Node
	for _, p := range l.Params {
		trees = append(trees, p.Value.YNode())
	}
	for _, w := range l.When {
		trees = append(trees, w.YNode())
	}
	if spec := l.Spec(); spec != nil {
		trees = append(trees, spec)
	}
	return trees
}

// References are the results that a link refers to.
func (l *Link) References() []Reference {
	var refs []Reference
	for _, n := range l.Trees() {
		tree.Texts(n, func(text string) {
			for _, v := range variable.In(text) {
				if link, result, _, ok := v.Result(); ok && v.Kind == variable.Tasks {
					refs = append(refs, Reference{link, result})
				}
			}
		})
	}
	return refs
}

// CheckReferences refuses a reference to a result that does not exist, or not yet when it is asked for.
func (c *Chain) CheckReferences() error {
	for i, l := range c.Links {
		for _, ref := range l.References() {
			at := slices.IndexFunc(c.Links, func(o *Link) bool { return o.Name == ref.Link })
			if at >= i {
				return failure.New(failure.Usage, "%s refers to the result %s of %s, which does not run before it", l, ref.Result, ref.Link)
			}
			if err := c.checkReference(l, ref); err != nil {
				return err
			}
		}
	}
	for _, l := range c.Finally {
		for _, ref := range l.References() {
			if err := c.checkReference(l, ref); err != nil {
				return err
			}
		}
	}
	for _, r := range c.Results {
		of := c.Link(r.Link)
		if of == nil || (of.Spec() != nil && of.Result(r.Of) == nil) {
			return failure.New(failure.Usage, "the Pipeline's result %s is the result %s of %s, which there is not", r.Name, r.Of, r.Link)
		}
	}
	return nil
}

func (c *Chain) checkReference(l *Link, ref Reference) error {
	at := slices.IndexFunc(c.Links, func(o *Link) bool { return o.Name == ref.Link })
	if at < 0 {
		return failure.New(failure.Usage, "%s refers to the result %s of %s, which is not in the chain", l, ref.Result, ref.Link)
	}
	if of := c.Links[at]; of.Spec() != nil && !of.Custom() && of.Result(ref.Result) == nil {
		return failure.New(failure.Usage, "%s refers to the result %s of %s, which has none of this name", l, ref.Result, of)
	}
	return nil
}
