package chain

import (
	tektonpod "github.com/tektoncd/pipeline/pkg/apis/pipeline/pod"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	automount = "automountServiceAccountToken"
	hostUsers = "hostUsers"
	// group owns the files of volumes: it is that of the stages that are not root.
	group = "65532"
	// seccompProfile is where the node has the profile of the build stage, below the kubelet's directory of profiles.
	seccompProfile = "osbs/build.json"
)

// plainPod is the pod of a link that needs nothing from the API.
func plainPod(cfg *config.Config) Pod {
	return Pod{ServiceAccount: cfg.Name + "-build", Template: template(false)}
}

func template(token bool) *yaml.RNode {
	security := tree.Map("fsGroup", tree.Plain(group), "fsGroupChangePolicy", "OnRootMismatch")
	return yaml.NewRNode(tree.Map(automount, token, "securityContext", security))
}

// pod says what the pod of a stage is like.
func pod(cfg *config.Config, l *Link) error {
	api := l.Stage == lock || l.Stage == importing
	l.Pod = Pod{ServiceAccount: cfg.Name + "-build", Template: template(api)}
	if api {
		l.Pod.ServiceAccount = cfg.Name
	}
	if l.Stage == build && cfg.BuildSecurity != config.Capabilities {
		tree.Set(l.Pod.Template.YNode(), hostUsers, tree.Plain("false"))
	}
	s := cfg.Stages[l.Stage]
	if s.ServiceAccount != "" {
		l.Pod.ServiceAccount = s.ServiceAccount
	}
	return podSettings(cfg, l, s)
}

// podSettings merges what the configuration says of a stage's pod into its template.
func podSettings(cfg *config.Config, l *Link, s config.Stage) error {
	where := func(key string) string { return cfg.File + ": stages." + l.Stage + "." + key }
	for _, key := range []string{automount, hostUsers} {
		if _, found := s.PodTemplate[key]; found {
			return failure.New(failure.Usage, "%s: this is not a site's to say: only the pods of lock and import have a token of the API, "+
				"and build_security says which users build has", where("pod_template."+key))
		}
	}
	if err := strict(s.PodTemplate); err != nil {
		return failure.New(failure.Usage, "%s: it is not a pod template of Tekton: %w", where("pod_template"), err)
	}
	for _, part := range []struct {
		key, name string
		value     any
		given     bool
	}{
		{"pod_template", "", s.PodTemplate, len(s.PodTemplate) > 0},
		{"node_selector", "nodeSelector", s.NodeSelector, len(s.NodeSelector) > 0},
		{"tolerations", "tolerations", s.Tolerations, len(s.Tolerations) > 0},
	} {
		if !part.given {
			continue
		}
		value, err := tree.From(part.value)
		if err != nil {
			return failure.New(failure.Usage, "%s: %w", where(part.key), err)
		}
		if part.name != "" {
			value = tree.Map(part.name, value)
		}
		for i := 0; i+1 < len(value.Content); i += 2 {
			mergeInto(l.Pod.Template.YNode(), value.Content[i].Value, value.Content[i+1])
		}
	}
	return nil
}

// strict reads a pod template as Tekton does, but refuses fields that it does not have.
func strict(template map[string]any) error {
	data, err := kubeyaml.Marshal(template)
	if err != nil {
		return err
	}
	return kubeyaml.UnmarshalStrict(data, &tektonpod.Template{})
}

// selectNodes adds a label to those that the pod's node must have.
func (p *Pod) selectNodes(label, value string) {
	if p.Template.IsNil() {
		p.Template = yaml.NewRNode(tree.Map())
	}
	mergeInto(p.Template.YNode(), "nodeSelector", tree.Map(label, value))
}

// fewCapabilities is what the build stage has where there are no user namespaces.
func fewCapabilities(spec *yaml.Node) {
	for _, step := range tree.Items(spec, "steps") {
		security := tree.Get(step, "securityContext")
		if tree.Text(step, "name") != build || security == nil {
			continue
		}
		tree.Set(security, "allowPrivilegeEscalation", tree.Plain("false"))
		tree.Set(security, "capabilities", tree.Map("drop", tree.Strings("ALL"), "add", tree.Strings("SETUID", "SETGID", "SETFCAP")))
		tree.Set(security, "seccompProfile", tree.Map("type", "Localhost", "localhostProfile", seccompProfile))
		for i := 0; i < len(step.Content); i += 2 {
			if step.Content[i].Value == "securityContext" {
				step.Content[i].HeadComment = "# Root of the container that may become the users of the image: with SETUID, SETGID and SETFCAP it makes a user namespace for them.\n" +
					"# The profile lets it mount inside of that; it must be on every node, as docs/build-engine.md says."
			}
		}
	}
}
