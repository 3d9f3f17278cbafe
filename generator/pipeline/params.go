package pipeline

import (
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// known is a param that the Pipeline has a place for, with the description that it has there, if those of the stages say too little:
// each speaks of itself alone, and of a default that several have in common none says anything.
type known struct{ name, description string }

// order is the order of the params: what a user has to say, what a user may say, what the event of an autorebuild says. Params of
// inserted tasks come next, then the settings of the site (see last).
func order() []known {
	return []known{
		{"git-url", "https, ssh or file URL of the repository"},
		{"git-branch", "branch"},
		{"git-commit", "commit of the branch; its head if empty"},
		{"build-arg", ""},
		{"release", ""},
		{"component", ""},
		{"architecture", ""},
		{"target", ""},
		{"scratch", "a scratch build: only the unique tag is set, and the build config stays as it is"},
		{"isolated", "an isolated build: no floating tag is set, and the build config stays as it is"},
		{"dockerfile", "path of the Dockerfile in the repository; Dockerfile if empty"},
		{"dockerfile-target", ""},
		{"platform", ""},
		{"format", "format of the image: oci, docker, or auto (if empty): docker only where the Dockerfile needs it"},
		{"compression", "compression of new layers: gzip (if empty), zstd or none"},
		{"remote-add", ""},
		{"repo-config", "name of the repo config file; .osbs-repo-config if empty"},
		{"bump-release", "when an autorebuild's release bump is pushed: after-build (if empty), before-build or never (no bump)"},
		{"imagestream", ""},
		{"build-config", ""},
		{"user", ""},
		{"is-autorebuild", ""},
		{"git-last-commit", ""},
		{"reason", ""},
		{"base-digest", ""},
		{"resumes", ""},
	}
}

// last are the params at the end: the settings of the site.
func last() []known {
	out := []known{{"registry-uri", "registries to push into, separated by commas"}}
	for _, name := range chain.SiteParams() {
		if !slices.ContainsFunc(slices.Concat(out, order()), func(k known) bool { return k.name == name }) {
			out = append(out, known{name: name})
		}
	}
	return append(out, known{name: "build-secret"}, known{name: "log-level"}, known{name: "log-format"})
}

// params are the params of the Pipeline: those that the Tasks of its links have and that are given no value, and those that an overlay
// has declared. What is required comes first.
func params(c *chain.Chain) ([]*yaml.Node, error) {
	declared, err := union(c)
	if err != nil {
		return nil, err
	}
	place := map[string]int{}
	first, end := order(), last()
	for i, k := range slices.Concat(first, end) {
		place[k.name] = i + 1
		if i >= len(first) {
			place[k.name] += len(declared)
		}
		if p := tree.Named(declared, k.name); p != nil && k.description != "" && tree.Named(nodes(c.Params), k.name) == nil {
			tree.Set(p, "description", tree.String(k.description))
		}
	}
	rank := func(p *yaml.Node) int {
		at := place[tree.Text(p, "name")]
		if at == 0 {
			at = len(first) + 1
		}
		if tree.Get(p, "default") != nil {
			at += 1 << 16
		}
		return at
	}
	slices.SortStableFunc(declared, func(a, b *yaml.Node) int { return rank(a) - rank(b) })
	return declared, nil
}

// union are the params without a value, each once, in the order in which they appear.
func union(c *chain.Chain) ([]*yaml.Node, error) {
	var out []*yaml.Node
	of := map[string]*chain.Link{}
	for _, p := range nodes(c.Params) {
		out = append(out, tree.Clone(p))
	}
	for _, l := range slices.Concat(c.Links, c.Finally) {
		for _, p := range tree.Items(l.Spec(), "params") {
			name := tree.Text(p, "name")
			if l.Binding(name) != nil {
				continue
			}
			old := tree.Named(out, name)
			switch {
			case old == nil:
				out, of[name] = append(out, tree.Clone(p)), l
			case of[name] != nil: // else an overlay has said what it is
				united, err := chain.UniteParams(old, of[name], p, l)
				if err != nil {
					return nil, err
				}
				*old = *united
			}
		}
	}
	return out, nil
}

// workspaces are those of the links, each once: optional if it is that for all of them. The one that all stages share is first.
func workspaces(c *chain.Chain) []*yaml.Node {
	var out []*yaml.Node
	for _, l := range slices.Concat(c.Links, c.Finally) {
		for _, w := range l.WorkspaceBindings() {
			n := tree.Named(out, w.Of)
			if n == nil {
				n = tree.Map("name", w.Of, "description", w.Description)
				if w.Optional {
					tree.Set(n, "optional", tree.Plain("true"))
				}
				out = append(out, n)
			}
			if !w.Optional {
				tree.Delete(n, "optional")
			}
		}
	}
	if shared := tree.Named(out, "workspace"); shared != nil {
		tree.Set(shared, "description", tree.String("what the stages of a build share: the clone in source/, the image in image/, and a record of each stage"))
	}
	return out
}

func nodes(list []*yaml.RNode) []*yaml.Node {
	out := make([]*yaml.Node, 0, len(list))
	for _, n := range list {
		out = append(out, n.YNode())
	}
	return out
}

func number(n int) *yaml.Node { return tree.Plain(strconv.Itoa(n)) }
