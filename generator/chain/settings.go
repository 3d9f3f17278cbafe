package chain

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// setting is the configuration's value of a param.
type setting struct{ param, value string }

// configured are the params for which the configuration has values, empty ones included.
func configured(cfg *config.Config) []setting {
	pulp := cfg.NamedPulp()
	return []setting{
		{"git-secret", cfg.GitSecret},
		{"git-ca-file", caFile("git-ca", cfg.GitCA)},
		{"submodules", boolean(cfg.Submodules)},
		{"committer-name", cfg.CommitterName},
		{"committer-email", cfg.CommitterEmail},
		{"registry-uri", strings.Join(cfg.RegistryURI, ",")},
		{"registry-secret", first(cfg.RegistrySecret)},
		{"pull-secret", first(cfg.PullSecret)},
		{"registry-ca-file", caFile("registry-ca", cfg.RegistryCA)},
		{"registry-insecure", strings.Join(cfg.RegistryInsecure, ",")},
		{"source-registry-uri", cfg.SourceRegistryURI},
		{"home-registry", strings.Join(cfg.HomeRegistry, ",")},
		{"pulp-url", pulp.URL},
		{"pulp-api-prefix", pulp.APIPrefix},
		{"pulp-registry", pulp.Registry},
		{"pulp-secret", pulp.Secret},
		{"pulp-ca-file", caFile(pulpCA, pulp.CA)},
		{"pulp-repository-prefix", pulp.RepositoryPrefix},
		{"pulp-timeout", pulp.Timeout},
		{"pulp-retain-versions", number(pulp.RetainVersions)},
		{"mirror-registry-uri", strings.Join(cfg.MirrorRegistryURI, ",")},
		{"archive-dir", archiveDir(cfg)},
		{"archive-format", cfg.ArchiveFormat},
		{"repo-config", cfg.RepoConfig},
		{"bump-release", cfg.BumpRelease},
		{"early-cutoff", boolean(cfg.EarlyCutoff)},
		{"lock-policy", cfg.LockPolicy},
		{"lock-timeout", cfg.LockTimeout},
		{"layer-cache", boolean(cfg.LayerCache)},
		{"format", cfg.Format},
		{"compression", cfg.Compression},
		{"isolation", cfg.Isolation},
		{"jobs", number(cfg.Jobs)},
	}
}

// first is the Secret that a param names: the others have volumes of their own.
func first(secrets []string) string {
	if len(secrets) == 0 {
		return ""
	}
	return secrets[0]
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// number is empty where 0 stands for the stage's own number.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func boolean(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// SiteParams are the params whose values are a matter of the site, not of a build.
func SiteParams() []string {
	all := configured(&config.Config{})
	names := make([]string, 0, len(all))
	for _, s := range all {
		names = append(names, s.param)
	}
	return names
}

// defaults makes what is configured the default of the params.
func defaults(cfg *config.Config, spec *yaml.Node) {
	params := tree.Items(spec, "params")
	for _, s := range configured(cfg) {
		if p := tree.Named(params, s.param); p != nil && s.value != "" {
			tree.Set(p, "default", tree.String(s.value))
		}
	}
}

// images replaces the images of step binaries. A step of one stage may run the binary of another.
func images(cfg *config.Config, spec *yaml.Node) {
	for _, stage := range slices.Sorted(maps.Keys(cfg.Stages)) {
		image := cfg.Stages[stage].Image
		for _, step := range tree.Items(spec, "steps") {
			if image != "" && strings.HasSuffix(tree.Text(step, "image"), "/cmd/"+stage) {
				tree.Set(step, "image", tree.String(image))
			}
		}
	}
}

// settings applies what the configuration says of one stage to its link.
func settings(cfg *config.Config, l *Link) error {
	s := cfg.Stages[l.Stage]
	l.Timeout, l.Retries = s.Timeout, s.Retries
	for _, step := range tree.Items(l.Spec(), "steps") {
		for _, name := range slices.Sorted(maps.Keys(s.Env)) {
			setEnv(step, name, s.Env[name])
		}
		proxies(cfg, l.Stage, step)
		if s.Resources == nil || tree.Text(step, "name") != l.Stage {
			continue
		}
		resources, err := tree.From(s.Resources)
		if err != nil {
			return failure.New(failure.Usage, "%s: stages.%s.resources: %w", cfg.File, l.Stage, err)
		}
		mergeInto(step, "computeResources", resources)
	}
	return nil
}

func setEnv(step *yaml.Node, name, value string) {
	if env := tree.Named(tree.Items(step, "env"), name); env != nil {
		tree.Delete(env, "valueFrom")
		tree.Set(env, "value", tree.String(value))
		return
	}
	env := tree.Map("name", name)
	tree.Set(env, "value", tree.String(value))
	tree.Append(step, "env", env)
}

// mergeInto merges a value into a key of n: mappings key by key, anything else is replaced.
func mergeInto(n *yaml.Node, key string, value *yaml.Node) {
	old := tree.Get(n, key)
	if old == nil || old.Kind != yaml.MappingNode || value.Kind != yaml.MappingNode {
		tree.Set(n, key, value)
		return
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		mergeInto(old, value.Content[i].Value, value.Content[i+1])
	}
}
