package layout

import (
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const automount = "automountServiceAccountToken"

// withDefaults is p with what it does not say taken from plain. A service account of its own is there to be used: its token is
// mounted unless p says otherwise.
func withDefaults(p, plain chain.Pod) chain.Pod {
	out := chain.Pod{ServiceAccount: p.ServiceAccount, Template: yaml.NewRNode(tree.Map())}
	if !p.Template.IsNil() {
		out.Template = yaml.NewRNode(tree.Clone(p.Template.YNode()))
	}
	if !plain.Template.IsNil() {
		fold(plain.Template.YNode(), out.Template.YNode())
	}
	if p.ServiceAccount == "" {
		out.ServiceAccount = plain.ServiceAccount
	} else if p.ServiceAccount != plain.ServiceAccount && (p.Template.IsNil() || tree.Get(p.Template.YNode(), automount) == nil) {
		tree.Set(out.Template.YNode(), automount, tree.Plain("true"))
	}
	return out
}

// usesAPI reports whether a link has the token of the API when it has a pod of its own.
func usesAPI(p chain.Pod) bool { return tree.Text(p.Template.YNode(), automount) != "false" }

// settings are what a PipelineRun says of a pod. Links that share it must agree, as far as they say anything.
func (a *arrangement) settings(p *pod) (chain.Pod, error) {
	if first := p.links[0]; len(p.links) == 1 {
		if first.Custom() {
			return first.Clone().Pod, nil
		}
		return withDefaults(first.Pod, a.chain.Pod), nil
	}
	united := chain.Pod{Template: yaml.NewRNode(tree.Map())}
	var account *chain.Link
	said := map[string]*chain.Link{}
	for _, l := range p.links {
		own := withDefaults(l.Pod, a.chain.Pod)
		if own.ServiceAccount != a.chain.Pod.ServiceAccount {
			if account != nil && united.ServiceAccount != own.ServiceAccount {
				return united, disagree(p, account, l, "service account", united.ServiceAccount, own.ServiceAccount)
			}
			united.ServiceAccount, account = own.ServiceAccount, l
		}
		if err := agree(p, united.Template.YNode(), own.Template.YNode(), "", said, l); err != nil {
			return united, err
		}
	}
	if account == nil {
		united.ServiceAccount = a.chain.Pod.ServiceAccount
	}
	return united, nil
}

// agree adds what a link says of its pod to what the others say.
func agree(p *pod, united, own *yaml.Node, at string, said map[string]*chain.Link, l *chain.Link) error {
	for i := 0; i+1 < len(own.Content); i += 2 {
		key, value := own.Content[i].Value, own.Content[i+1]
		path := at + key
		old := tree.Get(united, key)
		switch {
		case old == nil:
			tree.Set(united, key, tree.Clone(value))
			said[path] = l
		case key == automount:
			if value.Value == "true" {
				tree.Set(united, key, tree.Clone(value)) // the others hide the token: see token
			}
		case old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			if err := agree(p, old, value, path+".", said, l); err != nil {
				return err
			}
		case !tree.Equal(old, value):
			return disagree(p, sayer(said, path, p), l, path, tree.Canonical(old), tree.Canonical(value))
		}
	}
	return nil
}

// sayer is who has said what stands at a path, or above it.
func sayer(said map[string]*chain.Link, path string, p *pod) *chain.Link {
	for end := len(path); end > 0; end-- {
		if l := said[path[:end]]; l != nil && (end == len(path) || path[end] == '.') {
			return l
		}
	}
	return p.links[0]
}

func disagree(p *pod, a, b *chain.Link, setting, of, and string) error {
	return failure.New(failure.Usage, "%s and %s share the pod %s, but not its %s: %s and %s; let them agree, or choose a layout with a pod for each",
		a, b, p.name, setting, of, and)
}
