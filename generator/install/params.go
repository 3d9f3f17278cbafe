package install

import (
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
)

// param is one of the Pipeline.
type param struct {
	name, description string
	// fallback is the default of a param that is one text, nil without.
	fallback *string
	// optional says that there is a default of whatever kind.
	optional bool
	list     bool
	// site says that it is a setting of the site, not of a build.
	site bool
}

type params []param

func (p params) find(name string) (param, bool) {
	at := slices.IndexFunc(p, func(p param) bool { return p.name == name })
	if at < 0 {
		return param{}, false
	}
	return p[at], true
}

// perBuild are the params that only a person who starts a build gives: no event carries them, and no build config keeps them.
func perBuild() []string {
	return []string{"git-commit", "release", "scratch", "isolated", "imagestream", "remote-add", "build-secret", "log-format", "log-level"}
}

// paramsOf reads the params of a Pipeline.
func paramsOf(pipeline *yaml.RNode) params {
	declared := tree.Items(pipeline.YNode(), "spec", "params")
	out := make(params, 0, len(declared))
	for _, n := range declared {
		p := param{name: tree.Text(n, "name"), description: tree.Text(n, "description"), list: tree.Text(n, "type") == "array"}
		p.site = slices.Contains(chain.SiteParams(), p.name) || slices.Contains(perBuild(), p.name)
		if fallback := tree.Get(n, "default"); fallback != nil {
			p.optional = true
			p.list = p.list || fallback.Kind == yaml.SequenceNode
			if !p.list {
				p.fallback = &fallback.Value
			}
		}
		out = append(out, p)
	}
	return out
}
