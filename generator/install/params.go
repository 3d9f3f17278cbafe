package install

import (
	"fmt"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"
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

// settings are the params by which a site configures the stages. The others are of a build.
func settings() []string {
	return []string{
		"archive-dir", "archive-format", "build-secret", "committer-email", "committer-name", "git-ca-file", "git-secret", "home-registry",
		"isolation", "jobs", "layer-cache", "lock-policy", "lock-timeout", "log-format", "log-level", "mirror-registry-uri", "pulp-ca-file",
		"pulp-registry-name", "pulp-repository-prefix", "pulp-secret", "pulp-timeout", "pulp-url", "registry-ca-file", "registry-insecure",
		"registry-secret", "registry-uri", "remote-add", "submodules",
	}
}

// perBuild are the params that only a person who starts a build gives: no event carries them, and no build config keeps them.
func perBuild() []string {
	return []string{"git-commit", "release", "scratch", "isolated", "imagestream"}
}

// paramsOf reads the params of a Pipeline.
func paramsOf(pipeline *yaml.RNode) (params, error) {
	list, err := pipeline.Pipe(yaml.Lookup("spec", "params"))
	if err != nil {
		return nil, fmt.Errorf("reading the params of the Pipeline: %w", err)
	}
	var out params
	if list == nil {
		return nil, nil
	}
	err = list.VisitElements(func(n *yaml.RNode) error {
		p := param{name: scalar(n, "name"), description: scalar(n, "description"), list: scalar(n, "type") == "array"}
		p.site = slices.Contains(settings(), p.name) || slices.Contains(perBuild(), p.name)
		if f := n.Field("default"); f != nil {
			p.optional = true
			if f.Value.YNode().Kind == yaml.ScalarNode {
				p.fallback = &f.Value.YNode().Value
			} else {
				p.list = f.Value.YNode().Kind == yaml.SequenceNode
			}
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

// scalar is the text of a field, empty if there is none.
func scalar(n *yaml.RNode, key string) string {
	f := n.Field(key)
	if f == nil || f.Value == nil {
		return ""
	}
	return f.Value.YNode().Value
}
