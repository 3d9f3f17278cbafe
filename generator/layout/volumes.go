package layout

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// tokenPath is where Kubernetes mounts the token of the API; a container that has another volume there is left alone.
	tokenPath   = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path, no credential
	tokenVolume = "no-api-token"
)

// containers are the steps and sidecars of a link.
func (m *member) containers() []*yaml.Node {
	return append(slices.Clone(tree.Items(m.Spec(), "steps")), tree.Items(m.Spec(), "sidecars")...)
}

// volumes gives volumes that are not the same different names. An emptyDir that something is written into stays private to its link:
// what the build leaves in its home must not be that of push.
func (f *fusion) volumes() {
	taken := map[string]*yaml.Node{}
	for _, m := range f.members {
		for _, v := range tree.Items(m.Spec(), "volumes") {
			name := tree.Text(v, "name")
			private := tree.Get(v, "emptyDir") != nil && m.writes(name) && name != f.directory
			if old := taken[name]; private || (old != nil && !tree.Equal(old, v)) {
				to := m.Name + "-" + strings.TrimPrefix(name, m.Name+"-")
				for taken[to] != nil || (to != name && tree.Named(tree.Items(m.Spec(), "volumes"), to) != nil) {
					to += "-volume"
				}
				m.renameVolume(v, name, to)
				name = to
			}
			taken[name] = v
		}
	}
}

// freeVolume is a name for the shared directory that no link has for another volume.
func (f *fusion) freeVolume() string {
	name := shared
	for slices.ContainsFunc(f.members, func(m *member) bool { return tree.Named(tree.Items(m.Spec(), "volumes"), name) != nil }) {
		name += "-directory"
	}
	return name
}

// writes reports whether a container of the link can write into a volume.
func (m *member) writes(volume string) bool {
	for _, c := range m.containers() {
		for _, mount := range tree.Items(c, "volumeMounts") {
			if tree.Text(mount, "name") == volume && tree.Text(mount, "readOnly") != "true" {
				return true
			}
		}
	}
	return false
}

func (m *member) renameVolume(v *yaml.Node, from, to string) {
	tree.Set(v, "name", tree.String(to))
	for _, c := range m.containers() {
		for _, mount := range tree.Items(c, "volumeMounts") {
			if tree.Text(mount, "name") == from {
				tree.Set(mount, "name", tree.String(to))
			}
		}
	}
}

// unitedVolumes are the volumes of the pod, each once.
func (f *fusion) unitedVolumes() []*yaml.Node {
	var out []*yaml.Node
	for _, m := range f.members {
		for _, v := range tree.Items(m.Spec(), "volumes") {
			if tree.Named(out, tree.Text(v, "name")) == nil {
				out = append(out, v)
			}
		}
	}
	return out
}

// token hides the token of the API from the containers of links that have no use for it, if the pod has it for others.
func (f *fusion) token() {
	if !slices.ContainsFunc(f.members, func(m *member) bool { return m.api }) {
		return
	}
	for _, m := range f.members {
		if m.api {
			continue
		}
		for _, c := range m.containers() {
			if slices.ContainsFunc(tree.Items(c, "volumeMounts"), hidesToken) {
				continue
			}
			tree.Append(c, "volumeMounts", tree.Map("name", tokenVolume, "mountPath", tokenPath, "readOnly", true))
			if tree.Named(tree.Items(m.Spec(), "volumes"), tokenVolume) == nil {
				tree.Append(m.Spec(), "volumes", tree.Map("name", tokenVolume, "emptyDir", tree.Map()))
			}
		}
	}
}

func hidesToken(mount *yaml.Node) bool {
	return strings.TrimSuffix(tree.Text(mount, "mountPath"), "/") == tokenPath
}

// place is a workspace of the pod: what it is called there and in the Pipeline, and where it is mounted.
type place struct {
	name, of, path string
	readOnly       bool
	first          *member
}

// workspaces gives the workspaces of a link the names that the Pipeline has for them, or LINK-WORKSPACE if another link of the pod
// wants the same one in another place.
func (f *fusion) workspaces(m *member) error {
	renamed := map[string]string{}
	for _, w := range tree.Items(m.Spec(), "workspaces") {
		old := tree.Text(w, "name")
		p, err := f.place(m, w, old)
		if err != nil {
			return err
		}
		if p.name == old {
			continue
		}
		if p.path != "/workspace/"+p.name {
			tree.Set(w, "mountPath", tree.String(p.path))
		} else {
			tree.Delete(w, "mountPath")
		}
		tree.Set(w, "name", tree.String(p.name))
		renamed[old] = p.name
		if p.name != p.of {
			if f.out.Workspaces == nil {
				f.out.Workspaces = map[string]string{}
			}
			f.out.Workspaces[p.name] = p.of
		}
	}
	m.renameWorkspaces(renamed)
	return nil
}

// place is where workspace w of a link, which calls it old, has its place in the pod.
func (f *fusion) place(m *member, w *yaml.Node, old string) (place, error) {
	p := place{of: m.Workspace(old), path: tree.Text(w, "mountPath"), readOnly: tree.Text(w, "readOnly") == "true", first: m}
	p.name = p.of
	if p.path == "" {
		p.path = "/workspace/" + old
	}
	for _, other := range f.places {
		if other.path == p.path {
			if other.of != p.of || other.readOnly != p.readOnly {
				return p, failure.New(failure.Usage, "%s and %s share the pod %s, but mount different workspaces in %s: give one of them a pod of its own, "+
					"or another mountPath", other.first.Link, m.Link, f.pod.name, p.path)
			}
			return other, nil
		}
	}
	for n := 1; slices.ContainsFunc(f.places, func(o place) bool { return o.name == p.name }); n++ {
		if p.name = m.Name + "-" + old; n > 1 {
			p.name += "-" + strconv.Itoa(n)
		}
	}
	f.places = append(f.places, p)
	return p, nil
}

func (m *member) renameWorkspaces(renamed map[string]string) {
	for _, c := range m.containers() {
		for _, usage := range tree.Items(c, "workspaces") {
			if name := renamed[tree.Text(usage, "name")]; name != "" {
				tree.Set(usage, "name", tree.String(name))
			}
		}
	}
	tree.Rewrite(m.Spec(), func(text string) []string {
		return []string{variable.Rewrite(text, func(v variable.Variable) (string, bool) {
			name := renamed[v.Name(0)]
			if v.Kind != variable.Workspaces || name == "" {
				return "", false
			}
			v.Parts[0].Text = name
			return v.String(), true
		})}
	})
}

// declaredWorkspaces are the workspaces of the pod, each once: optional if it is that for all links.
func (f *fusion) declaredWorkspaces() []*yaml.Node {
	var out []*yaml.Node
	for _, m := range f.members {
		for _, w := range tree.Items(m.Spec(), "workspaces") {
			first := tree.Named(out, tree.Text(w, "name"))
			if first == nil {
				out = append(out, w)
			} else if tree.Text(w, "optional") != "true" {
				tree.Delete(first, "optional")
			}
		}
	}
	return out
}
