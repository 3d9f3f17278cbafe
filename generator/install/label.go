package install

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

// Label gives objects the labels that all have, unless they have them already, and the labels, annotations and namespace of cfg. An
// empty version means no label of it.
func Label(cfg *config.Config, version string, objects []*yaml.RNode) {
	for _, o := range objects {
		label(cfg, version, o)
	}
}

func label(cfg *config.Config, version string, o *yaml.RNode) {
	metadata := tree.Get(o.YNode(), "metadata")
	if cfg.Namespace != "" && o.GetNamespace() == "" && !strings.HasPrefix(o.GetKind(), "Cluster") {
		tree.Set(metadata, "namespace", tree.String(cfg.Namespace))
		for _, s := range tree.Items(o.YNode(), "subjects") {
			tree.Set(s, "namespace", tree.String(cfg.Namespace))
		}
	}
	for _, l := range [][2]string{
		{installation.LabelName, cfg.Name}, {installation.LabelComponent, component(cfg, o)}, {installation.LabelPartOf, installation.Product},
		{installation.LabelManagedBy, installation.Product}, {installation.LabelVersion, versionLabel(version)},
	} {
		if tree.Get(metadata, "labels", l[0]) == nil && l[1] != "" {
			annotate(o, "labels", l[0], l[1])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Labels)) {
		annotate(o, "labels", key, cfg.Labels[key])
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.Annotations)) {
		annotate(o, "annotations", key, cfg.Annotations[key])
	}
}

// versionLabel is a version as the value of a label, in which not every character of a version may stand: Go's of a changed checkout end
// with +dirty.
func versionLabel(version string) string {
	value := strings.Map(func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r)) {
			return r
		}
		return '-'
	}, version)
	return strings.Trim(value[:min(len(value), validation.LabelValueMaxLength)], "-_.")
}

// annotate sets a label or an annotation.
func annotate(o *yaml.RNode, what, key, value string) {
	metadata := tree.Get(o.YNode(), "metadata")
	if tree.Get(metadata, what) == nil {
		tree.Set(metadata, what, tree.Map())
	}
	tree.Set(tree.Get(metadata, what), key, tree.String(value))
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
