package install

import (
	"fmt"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/config"
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
	container, err := deployment.Pipe(yaml.Lookup("spec", "template", "spec", "containers", "[name=imagewatch]"))
	if err != nil || container == nil {
		return nil, fmt.Errorf("the Deployment of the watcher has no container imagewatch: %w", err)
	}
	setters := []yaml.Filter{yaml.SetField("args", yaml.NewListRNode(watcherArgs(cfg)...))}
	if cfg.Autorebuild.Image != "" {
		setters = append(setters, yaml.SetField("image", yaml.NewStringRNode(cfg.Autorebuild.Image)))
	}
	if cfg.Autorebuild.Resources != nil {
		resources, err := compute(cfg.Autorebuild.Resources)
		if err != nil {
			return nil, err
		}
		setters = append(setters, yaml.SetField("resources", resources))
	}
	for _, s := range setters {
		if err := container.PipeE(s); err != nil {
			return nil, fmt.Errorf("setting up the watcher: %w", err)
		}
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

func compute(r *config.Resources) (*yaml.RNode, error) {
	var fields []field
	for _, f := range []struct {
		key    string
		values map[string]string
	}{{"requests", r.Requests}, {"limits", r.Limits}} {
		if len(f.values) > 0 {
			fields = append(fields, field{f.key, f.values})
		}
	}
	return ordered(fields...)
}
