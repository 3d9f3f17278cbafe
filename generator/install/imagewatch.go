package install

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

// imagewatch are the objects of the watcher.
func imagewatch(cfg *config.Config, values map[string]string) ([]*yaml.RNode, error) {
	objects, err := read("imagewatch.yaml", values)
	if err != nil {
		return nil, err
	}
	deployment, err := named(objects, "Deployment")
	if err != nil {
		return nil, err
	}
	container := tree.Named(tree.Items(deployment.YNode(), "spec", "template", "spec", "containers"), "imagewatch")
	tree.Set(container, "args", tree.Strings(watcherArgs(cfg)...))
	for _, name := range slices.Sorted(maps.Keys(cfg.Autorebuild.Env)) {
		if env := tree.Named(tree.Items(container, "env"), name); env != nil {
			return nil, failure.New(failure.Usage, "autorebuild.env.%s: the watcher has a value of its own for it", name)
		}
		env := tree.Map("name", name)
		tree.Set(env, "value", tree.String(cfg.Autorebuild.Env[name]))
		tree.Append(container, "env", env)
	}
	if cfg.Autorebuild.Image != "" {
		tree.Set(container, "image", tree.String(cfg.Autorebuild.Image))
	}
	if cfg.Autorebuild.Resources != nil {
		resources, err := tree.From(cfg.Autorebuild.Resources)
		if err != nil {
			return nil, err
		}
		tree.Set(container, "resources", resources)
	}
	return objects, nil
}

// watcherArgs are the flags of cmd/imagewatch.
func watcherArgs(cfg *config.Config) []string {
	a := cfg.Autorebuild
	args := []string{
		"-name=" + cfg.Name,
		"-token-file=/etc/osbs/webhook/token",
		"-max-concurrent=" + strconv.Itoa(a.MaxConcurrent),
		"-rate=" + strconv.Itoa(a.Rate),
	}
	if len(a.WatchNamespaces) > 0 {
		args = append(args, "-watch-namespace="+strings.Join(a.WatchNamespaces, ","))
	}
	if a.ScheduledImports != nil && !*a.ScheduledImports {
		args = append(args, "-scheduled-imports=false")
	}
	if len(cfg.RegistryInsecure) > 0 {
		args = append(args, "-registry-insecure="+strings.Join(cfg.RegistryInsecure, ","))
	}
	return args
}
