package layout

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// claim is a param of the pod: who declared it first, and its value if the Pipeline gives it one.
type claim struct {
	name        string
	declaration *yaml.Node
	value       *yaml.Node
	first       *member
}

// params unites the params of the links. A param that the Pipeline gives no value keeps its name, as it is that of the Pipeline's; one
// with a value that differs from another's is called LINK-PARAM. A param whose value is a result of the same pod is none of the pod's:
// the reference stands in its place.
func (f *fusion) params() error {
	for _, m := range f.members {
		for _, name := range m.used() {
			if m.Binding(name) != nil {
				continue
			}
			if err := f.unbound(m, name); err != nil {
				return err
			}
		}
	}
	for _, m := range f.members {
		renamed := map[string]string{}
		replaced := map[string]*yaml.Node{}
		for _, p := range m.Params {
			declaration, value := m.Param(p.Name), p.Value.YNode()
			switch {
			case declaration == nil && !slices.Contains(m.used(), p.Name):
			case f.refersInside(f.pod, allText(value)):
				replaced[p.Name] = value
			default:
				if name := f.bound(m, p.Name, declaration, value); name != p.Name {
					renamed[p.Name] = name
				}
			}
		}
		if err := m.rewriteParams(renamed, replaced); err != nil {
			return err
		}
	}
	return nil
}

// used are the params that a link declares, or uses without that: Tekton gives an embedded Task the Pipeline's.
func (m *member) used() []string {
	var names []string
	for _, p := range tree.Items(m.Spec(), "params") {
		names = append(names, tree.Text(p, "name"))
	}
	tree.Texts(m.Spec(), func(text string) {
		for _, v := range variable.In(text) {
			if name, _ := v.Param(func(name string) bool { return slices.Contains(names, name) }); name == "" && v.Kind == variable.Params && v.Name(0) != "" {
				names = append(names, v.Name(0))
			}
		}
	})
	return names
}

// unbound claims the name of a param of the Pipeline.
func (f *fusion) unbound(m *member, name string) error {
	declaration := m.Param(name)
	for _, c := range f.claims {
		if c.name != name {
			continue
		}
		if declaration == nil {
			return nil
		}
		if c.declaration == nil {
			c.declaration, c.first = declaration, m
			return nil
		}
		united, err := chain.UniteParams(c.declaration, c.first.Link, declaration, m.Link)
		c.declaration = united
		return err
	}
	f.claims = append(f.claims, &claim{name: name, declaration: declaration, first: m})
	return nil
}

// bound claims a name for a param with a value, and returns it.
func (f *fusion) bound(m *member, name string, declaration, value *yaml.Node) string {
	candidate := name
	for n := 1; ; n++ {
		i := slices.IndexFunc(f.claims, func(c *claim) bool { return c.name == candidate })
		if i < 0 {
			f.claims = append(f.claims, &claim{candidate, declaration, value, m})
			return candidate
		}
		if c := f.claims[i]; c.value != nil && tree.Equal(c.value, value) && kindOf(c.declaration) == kindOf(declaration) {
			return candidate
		}
		if candidate = m.Name + "-" + name; n > 1 {
			candidate += "-" + strconv.Itoa(n)
		}
	}
}

func kindOf(declaration *yaml.Node) string {
	if kind := tree.Text(declaration, "type"); kind != "" {
		return kind
	}
	return "string"
}

func allText(n *yaml.Node) string {
	var texts []string
	tree.Texts(n, func(text string) { texts = append(texts, text) })
	return strings.Join(texts, "\n")
}

// rewriteParams gives the params of a link their names in the pod, or puts values in their place.
func (m *member) rewriteParams(renamed map[string]string, replaced map[string]*yaml.Node) error {
	var failed error
	declared := func(name string) bool {
		return renamed[name] != "" || replaced[name] != nil || m.Param(name) != nil
	}
	tree.Rewrite(m.Spec(), func(text string) []string {
		if list := m.wholeList(text, declared, replaced); list != nil {
			return list
		}
		return []string{variable.Rewrite(text, func(v variable.Variable) (string, bool) {
			name, parts := v.Param(declared)
			if value := replaced[name]; value != nil {
				out, err := m.inPlace(v, v.Parts[parts:], value)
				if err != nil {
					failed = err
				}
				return out, true
			}
			if renamed[name] == "" {
				return "", false
			}
			v.Parts = append([]variable.Part{{Mark: ".", Text: renamed[name]}}, v.Parts[parts:]...)
			return v.String(), true
		})}
	})
	for name := range replaced {
		m.dropParam(name)
	}
	return failed
}

// wholeList is what stands for $(params.NAME[*]), nil if text is no such.
func (m *member) wholeList(text string, declared func(string) bool, replaced map[string]*yaml.Node) []string {
	variables := variable.In(text)
	if len(variables) != 1 || variables[0].String() != text {
		return nil
	}
	name, parts := variables[0].Param(declared)
	value := replaced[name]
	rest := variables[0].Parts[parts:]
	if value == nil || value.Kind != yaml.SequenceNode || len(rest) != 1 || rest[0] != (variable.Part{Mark: "[", Text: "*"}) {
		return nil
	}
	list := []string{}
	for _, item := range value.Content {
		list = append(list, item.Value)
	}
	return list
}

// inPlace is the value of a param, or of its element, to stand in place of the variable.
func (m *member) inPlace(v variable.Variable, rest []variable.Part, value *yaml.Node) (string, error) {
	if value.Kind == yaml.ScalarNode && len(rest) == 0 {
		return value.Value, nil
	}
	if value.Kind == yaml.SequenceNode && len(rest) == 1 && rest[0].Mark == "[" {
		if i, err := strconv.Atoi(rest[0].Text); err == nil && i < len(value.Content) {
			return value.Content[i].Value, nil
		}
	}
	return "", failure.New(failure.Usage, "%s uses %s, whose value is made of results of the same pod: that is possible with a text, "+
		"or with a list that is an argument of its own; give it a pod of its own", m.Link, v)
}

// dropParam removes a param of the Task that has become a value.
func (m *member) dropParam(name string) {
	params := tree.Items(m.Spec(), "params")
	tree.SetItems(m.Spec(), "params", slices.DeleteFunc(slices.Clone(params), func(p *yaml.Node) bool { return tree.Text(p, "name") == name }))
}

// declarations are the params of the pod, and their values.
func (f *fusion) declarations() []*yaml.Node {
	var out []*yaml.Node
	for _, c := range f.claims {
		if c.value != nil {
			f.out.Params = append(f.out.Params, chain.Param{Name: c.name, Value: yaml.NewRNode(tree.Clone(c.value))})
		}
		if c.declaration == nil {
			continue
		}
		declaration := tree.Clone(c.declaration)
		tree.Set(declaration, "name", tree.String(c.name))
		out = append(out, declaration)
	}
	return out
}
