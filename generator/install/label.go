package install

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/config"
)

// Labels of every object.
const (
	labelName      = "app.kubernetes.io/name"
	labelComponent = "app.kubernetes.io/component"
	labelPartOf    = "app.kubernetes.io/part-of"
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelVersion   = "app.kubernetes.io/version"
	product        = "osbs"
)

// Label gives objects the labels that all have, unless they have them already, and the labels, annotations and namespace of cfg. An
// empty version means no label of it.
func Label(cfg *config.Config, version string, objects []*yaml.RNode) error {
	for _, o := range objects {
		if err := label(cfg, version, o); err != nil {
			return fmt.Errorf("labelling %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func label(cfg *config.Config, version string, o *yaml.RNode) error {
	labels := []field{{labelName, cfg.Name}, {labelComponent, component(cfg, o)}, {labelPartOf, product}, {labelManagedBy, product}, {labelVersion, version}}
	for _, key := range slices.Sorted(maps.Keys(cfg.Labels)) {
		labels = append(labels, field{key, cfg.Labels[key]})
	}
	have := o.GetLabels()
	for _, f := range labels {
		if value := f.value.(string); value != "" && have[f.key] == "" {
			if err := o.PipeE(setMetadata("labels", f.key, value)); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Annotations)) {
		if err := o.PipeE(setMetadata("annotations", key, cfg.Annotations[key])); err != nil {
			return err
		}
	}
	if cfg.Namespace == "" || o.GetNamespace() != "" || strings.HasPrefix(o.GetKind(), "Cluster") {
		return nil
	}
	if err := o.PipeE(setMetadata("", "namespace", cfg.Namespace)); err != nil {
		return err
	}
	subjects, err := o.Pipe(yaml.Lookup("subjects"))
	if err != nil || subjects == nil {
		return err
	}
	return subjects.VisitElements(func(s *yaml.RNode) error {
		return s.PipeE(yaml.SetField("namespace", yaml.NewStringRNode(cfg.Namespace)))
	})
}

// setMetadata sets a value of metadata, or of its mapping in: quoted only where it has to be.
func setMetadata(in, key, value string) yaml.Filter {
	path := []string{"metadata"}
	if in != "" {
		path = append(path, in)
	}
	return yaml.Tee(yaml.LookupCreate(yaml.MappingNode, path...), yaml.SetField(key, text(value)))
}

// component is the part of the installation that an object belongs to.
func component(cfg *config.Config, o *yaml.RNode) string {
	switch kind := o.GetKind(); {
	case strings.HasSuffix(o.GetName(), cfg.Name+"-imagewatch"):
		return "imagewatch"
	case strings.HasSuffix(o.GetName(), cfg.Name+"-trigger"), strings.HasPrefix(kind, "Trigger"), kind == "EventListener":
		return "trigger"
	default:
		return "pipeline"
	}
}
