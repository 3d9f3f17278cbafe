// Package layout arranges the links of a chain on pods. One mechanical rewrite makes a Task of all links that share a pod: its steps are
// theirs, their params, volumes, workspaces and sidecars are united, results become results of steps, and every reference to them
// becomes one that resolves from where it stands.
//
// A link that is no Task with steps, one platform's build beside another's, and a link that may be left out although something outside of
// its pod needs its results, share no pod: they divide what the layout puts together.
//
// Pods of one link are left as they are. In the layout balanced the others are called before-build, build and after-build, in the layout
// fused build-image, and in any other partition after the first and the last of their links: clone-to-prepare. A step has the name of
// its link; where a link has several, the others are called LINK-STEP.
package layout

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
)

// shared is the workspace that all stages share.
const shared = "workspace"

// Arrange replaces the links of c by one for each pod of l, and every reference between them by one that resolves there. An error
// leaves c as it was.
func Arrange(c *chain.Chain, l config.Layout) error {
	if err := c.CheckReferences(); err != nil {
		return err
	}
	a, err := arrange(c, l)
	if err != nil {
		return err
	}
	links := make([]*chain.Link, 0, len(a.pods))
	for _, p := range a.pods {
		link, err := a.link(p)
		if err != nil {
			return err
		}
		links = append(links, link)
	}
	for i, p := range a.pods {
		links[i].After = a.after(p)
	}
	c.Links = links
	c.Finally = a.finally()
	for i, r := range c.Results {
		if home := a.home[r.Link]; home != nil && len(home.links) > 1 {
			c.Results[i].Link, c.Results[i].Of = home.name, r.Link+"-"+r.Of
		}
	}
	return nil
}

// arrange divides the chain. A link that may be left out while its pod runs, and whose result something outside needs, has none to give
// then, which Tekton takes for a failure: it gets a pod of its own, which Tekton knows to be skipped.
func arrange(c *chain.Chain, l config.Layout) (*arrangement, error) {
	d := divider{c, map[string]bool{}}
	for {
		pods, err := d.partition(l)
		if err != nil {
			return nil, err
		}
		a := newArrangement(c, pods)
		missed := a.missed()
		if len(missed) == 0 {
			return a, nil
		}
		for _, l := range missed {
			d.apart[l.Name] = true
		}
	}
}

// missed are the links that may leave results out which are needed outside of their pods. Tasks at the end may miss a result: Tekton
// skips them.
func (a *arrangement) missed() []*chain.Link {
	needed := map[string]bool{}
	for _, l := range a.chain.Links {
		for _, ref := range l.References() {
			if a.home[ref.Link] != a.home[l.Name] {
				needed[ref.Link] = true
			}
		}
	}
	for _, r := range a.chain.Results {
		needed[r.Link] = true
	}
	var out []*chain.Link
	for _, p := range a.pods {
		common := a.common(p)
		for _, l := range p.links {
			if len(p.links) > 1 && needed[l.Name] && len(ownConditions(l, common)) > 0 {
				out = append(out, l)
			}
		}
	}
	return out
}

// arrangement is what the parts of the rewrite have to know of one another.
type arrangement struct {
	chain *chain.Chain
	pods  []*pod
	// home is the pod of each link.
	home map[string]*pod
	// needed are the results that something outside of the link's pod refers to.
	needed map[chain.Reference]bool
	// inside is the pod that has all links which use the shared workspace: a directory of it serves. It is nil if several pods have them.
	inside *pod
}

func newArrangement(c *chain.Chain, pods []*pod) *arrangement {
	a := &arrangement{chain: c, pods: pods, home: map[string]*pod{}, needed: map[chain.Reference]bool{}}
	for _, p := range pods {
		for _, l := range p.links {
			a.home[l.Name] = p
		}
	}
	for _, l := range slices.Concat(c.Links, c.Finally) {
		for _, ref := range l.References() {
			if a.home[ref.Link] != a.home[l.Name] {
				a.needed[ref] = true
			}
		}
	}
	a.inside = a.sharedBy()
	for _, r := range c.Results {
		a.needed[chain.Reference{Link: r.Link, Result: r.Of}] = true
	}
	return a
}

// link is the link that stands for a pod.
func (a *arrangement) link(p *pod) (*chain.Link, error) {
	settings, err := a.settings(p)
	if err != nil {
		return nil, err
	}
	if len(p.links) > 1 {
		return a.fuse(p, settings)
	}
	l := p.links[0].Clone()
	l.Pod = settings
	if a.inside == p {
		mountShared(l, shared)
	}
	a.rewriteOutside(l)
	return l, nil
}

// finally are the tasks at the end, which are never fused.
func (a *arrangement) finally() []*chain.Link {
	out := make([]*chain.Link, 0, len(a.chain.Finally))
	for _, l := range a.chain.Finally {
		l = l.Clone()
		if l.TaskRef.IsNil() && !l.Custom() {
			l.Pod = withDefaults(l.Pod, a.chain.Pod)
		}
		a.rewriteOutside(l)
		out = append(out, l)
	}
	return out
}

// after are the pods that a pod runs after, in the order of the chain.
func (a *arrangement) after(p *pod) []string {
	var names []string
	for i, l := range a.chain.Links {
		if l != p.links[0] && (a.home[l.Name] != p || len(l.After) == 0) {
			continue
		}
		for _, before := range a.chain.Before(i) {
			if home := a.home[before]; home != nil && home != p {
				names = append(names, home.name)
			}
		}
	}
	var ordered []string
	for _, other := range a.pods {
		if slices.Contains(names, other.name) {
			ordered = append(ordered, other.name)
		}
	}
	return ordered
}

// sharedBy is the pod that has all links which use the shared workspace, nil if there is none, or a link cannot do without.
func (a *arrangement) sharedBy() *pod {
	var by *pod
	for _, l := range slices.Concat(a.chain.Links, a.chain.Finally) {
		if !usesShared(l) {
			continue
		}
		home := a.home[l.Name] // none for tasks at the end
		if home == nil || l.Spec() == nil || (by != nil && by != home) {
			return nil
		}
		by = home
	}
	return by
}

func usesShared(l *chain.Link) bool {
	return slices.ContainsFunc(l.WorkspaceBindings(), func(w chain.WorkspaceBinding) bool { return w.Of == shared })
}

// mountShared replaces the shared workspace of a link by a directory of its pod.
func mountShared(l *chain.Link, volume string) {
	for _, w := range l.WorkspaceBindings() {
		if w.Of == shared {
			l.MountWorkspace(w.Name, tree.Map("name", volume, "emptyDir", tree.Map()))
			delete(l.Workspaces, w.Name)
		}
	}
}

// nodes are the nodes of a list.
func nodes(list []*yaml.RNode) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(list))
	for _, n := range list {
		out = append(out, n.YNode())
	}
	return out
}
