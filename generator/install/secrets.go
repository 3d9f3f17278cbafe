package install

import (
	"fmt"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/generator/config"
)

// Secret is one that the objects refer to by name; a site makes it itself, because it holds credentials.
type Secret struct {
	Name string
	// Type is Kubernetes' type of the Secret; several are alternatives.
	Types []string
	// Keys are what it holds, in words where there is a choice.
	Keys string
	// For is who uses it for what.
	For string
	// Optional: without it, whoever wants it works without credentials.
	Optional bool
	// keys are those that one of no special type must have.
	keys []string
	// older are sets of keys that OSBS had, and that still serve.
	older [][]string
}

// Secrets are the Secrets that an installation expects.
func Secrets(cfg *config.Config) []Secret {
	out := []Secret{{
		Name: cfg.GitSecret, Types: []string{"kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"},
		Keys: "username and password, or ssh-privatekey and known_hosts", For: "clone, prepare and push: reading and bumping repositories", Optional: true,
	}}
	for _, name := range cfg.RegistrySecret {
		out = append(out, Secret{
			Name: name, Types: []string{"kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg", "kubernetes.io/tls"},
			Keys: ".dockerconfigjson or .dockercfg, and perhaps tls.crt and tls.key, and ca.crt", For: "the stages that speak to registries", Optional: true,
		})
	}
	for _, name := range cfg.PullSecret {
		out = append(out, Secret{
			Name: name, Types: []string{"kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"}, Keys: ".dockerconfigjson or .dockercfg",
			For: "the stages that speak to registries, where they have no other credentials", Optional: true,
		})
	}
	if pulp := cfg.NamedPulp(); pulp.URL != "" {
		out = append(out, Secret{
			Name: pulp.Secret, Types: []string{"kubernetes.io/basic-auth", "kubernetes.io/tls", "Opaque"}, Keys: "username and password, or tls.crt and tls.key, or both",
			For: "sync: Pulp", Optional: true, older: [][]string{{"pulp.cer", "pulp.key"}},
		})
	}
	for _, s := range cfg.BuildSecret {
		out = append(out, Secret{Name: s.Secret, Types: []string{"Opaque"}, Keys: s.Key, For: "build: RUN --mount=type=secret,id=" + s.ID, keys: []string{s.Key}})
	}
	for _, source := range []struct {
		from *config.Source
		who  string
	}{{cfg.GitCA, "clone, prepare and push"}, {cfg.RegistryCA, "the stages that speak to registries"}, {cfg.NamedPulp().CA, "sync"}} {
		if source.from != nil && source.from.Secret != "" {
			out = append(out, Secret{Name: source.from.Secret, Types: []string{"Opaque"}, Keys: source.from.DataKey(), For: source.who + ": certificates to trust",
				keys: []string{source.from.DataKey()}})
		}
	}
	if Rebuilds(cfg) {
		out = append(out, Secret{
			Name: cfg.Autorebuild.WebhookSecret, Types: []string{"Opaque"}, Keys: "token, at least 32 random characters",
			For: "the watcher and the EventListener: the signature of events", keys: []string{"token"},
		})
	}
	return merged(out)
}

// merged has one entry for each name.
func merged(all []Secret) []Secret {
	var out []Secret
	for _, s := range all {
		at := slices.IndexFunc(out, func(o Secret) bool { return o.Name == s.Name })
		if at < 0 {
			out = append(out, s)
			continue
		}
		out[at].For += "; " + s.For
		out[at].Optional = out[at].Optional && s.Optional
		out[at].keys = append(slices.Clone(out[at].keys), s.keys...)
		out[at].older = append(slices.Clone(out[at].older), s.older...)
		if out[at].Keys != s.Keys {
			out[at].Keys += "; " + s.Keys
		}
	}
	return out
}

// secretsComment is the list of the Secrets, for people who read the objects.
func secretsComment(cfg *config.Config) string {
	var b strings.Builder
	b.WriteString("#\n# Secrets of this namespace that are not rendered, because they hold credentials:")
	for _, s := range Secrets(cfg) {
		need := "needed"
		if s.Optional {
			need = "optional"
		}
		fmt.Fprintf(&b, "\n# - %s (%s; %s): %s\n#   for %s", s.Name, strings.Join(s.Types, " or "), need, s.Keys, s.For)
	}
	return b.String()
}

// Notes say what a person must do beside applying the objects, a sentence each.
func Notes(cfg *config.Config) []string {
	var notes []string
	for _, s := range Secrets(cfg) {
		if !s.Optional {
			notes = append(notes, fmt.Sprintf("the Secret %s is needed: %s; %s", s.Name, s.Keys, s.For))
		}
	}
	if Rebuilds(cfg) && cfg.Namespace == "" {
		notes = append(notes, fmt.Sprintf("namespace is not set, so the cluster binding of the EventListener is not rendered; somebody with cluster rights runs: "+
			"kubectl create clusterrolebinding NAMESPACE-%[1]s-trigger --clusterrole=%[2]s --serviceaccount=NAMESPACE:%[1]s-trigger", cfg.Name, clusterRole))
	}
	if Rebuilds(cfg) && cfg.Namespace == "" && len(cfg.Autorebuild.WatchNamespaces) > 0 {
		notes = append(notes, "namespace is not set, so the rights to watch ImageStreams in "+strings.Join(cfg.Autorebuild.WatchNamespaces, ", ")+" are not rendered")
	}
	return notes
}

// clusterRole is Triggers' own, with the rights that every EventListener needs beyond its namespace.
const clusterRole = "tekton-triggers-eventlistener-clusterroles"

// KeySets are what a Secret may hold: one of these sets of keys.
func (s Secret) KeySets() [][]string {
	var out [][]string
	for _, t := range s.Types {
		switch t {
		case "kubernetes.io/basic-auth":
			out = append(out, []string{"username", "password"})
		case "kubernetes.io/ssh-auth":
			out = append(out, []string{"ssh-privatekey"})
		case "kubernetes.io/tls":
			out = append(out, []string{"tls.crt", "tls.key"})
		case "kubernetes.io/dockerconfigjson":
			out = append(out, []string{".dockerconfigjson"})
		case "kubernetes.io/dockercfg":
			out = append(out, []string{".dockercfg"})
		}
	}
	if len(out) == 0 && len(s.keys) > 0 {
		out = append(out, s.keys)
	}
	return append(out, s.older...)
}

// Command is what makes the Secret, with words in capitals for what only a person knows.
func (s Secret) Command(namespace string) string {
	create := func(kind, rest string) string {
		return fmt.Sprintf("kubectl create secret %s %s -n %s %s", kind, s.Name, namespace, rest)
	}
	switch {
	case slices.Contains(s.Types, "kubernetes.io/dockerconfigjson"):
		return create("docker-registry", "--docker-server=HOST --docker-username=USER --docker-password=PASSWORD")
	case slices.Contains(s.Types, "kubernetes.io/basic-auth"):
		return create("generic", "--type=kubernetes.io/basic-auth --from-literal=username=USER --from-literal=password=PASSWORD")
	case slices.Equal(s.keys, []string{"token"}):
		return create("generic", `--from-literal=token="$(openssl rand -hex 32)"`)
	}
	var files []string
	for _, key := range s.keys {
		files = append(files, "--from-file="+key+"=FILE")
	}
	return create("generic", strings.Join(files, " "))
}
