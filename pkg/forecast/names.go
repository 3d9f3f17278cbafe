package forecast

import (
	"maps"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// names finds images by what people call them.
type names struct {
	namespace string
	home      []string
	// tags are all ImageStreamTags: of ImageStreams, of bases, of what is produced.
	tags    map[string]bool
	configs map[string]*rebuild.Config
}

func newNames(o *osbs.Outlook) *names {
	n := &names{namespace: o.Namespace, home: o.HomeRegistries, tags: map[string]bool{}, configs: map[string]*rebuild.Config{}}
	for tag := range o.State.Tags {
		n.tags[tag] = true
	}
	for i := range o.Configs {
		c := &o.Configs[i]
		n.configs[c.Name] = c
		for _, base := range c.Bases {
			n.tags[base.Tag] = true
		}
		for _, tag := range c.Produces {
			n.tags[tag] = true
		}
	}
	return n
}

// tag is the ImageStreamTag of an image: name:tag, namespace/name:tag, or a reference as a FROM has it.
func (n *names) tag(image string) (string, error) {
	if own := strings.TrimPrefix(image, n.namespace+"/"); n.tags[own] {
		return own, nil
	}
	tag, err := imagestream.TagFor(image, n.home...)
	if err != nil {
		return "", failure.New(failure.Usage, "%w", err)
	}
	if n.tags[tag] {
		return tag, nil
	}
	err = failure.New(failure.NotFound, "no image is known as %s", tag)
	if c := n.configs[image]; c != nil {
		return "", failure.WithHint(err, "%s is a build config; it builds %s", image, orNothing(c.Produces))
	}
	return "", n.suggest(err, tag, slices.Collect(maps.Keys(n.tags)))
}

func orNothing(tags []string) string {
	if len(tags) == 0 {
		return "nothing yet"
	}
	return strings.Join(tags, ", ")
}

// find finds what a person asks for: an image as tag does, a build config, or all tags of an ImageStream. The result are build
// configs, and ImageStreamTags that nobody builds.
func (n *names) find(image string, builds map[string][]string) ([]string, error) {
	if n.configs[image] != nil {
		return []string{image}, nil
	}
	found, err := n.tag(image)
	tags := []string{found}
	if err != nil {
		stream := strings.TrimPrefix(image, n.namespace+"/") + ":"
		tags = slices.DeleteFunc(slices.Sorted(maps.Keys(n.tags)), func(tag string) bool { return !strings.HasPrefix(tag, stream) })
		if len(tags) == 0 {
			return nil, err
		}
	}
	var out []string
	for _, tag := range tags {
		of := builds[tag]
		if len(of) == 0 {
			of = []string{tag}
		}
		for _, name := range of {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// maxSuggested bounds the images that a message names.
const maxSuggested = 4

// suggest adds the images that are probably meant: other tags of the same name, else a name that differs in a few letters.
func (n *names) suggest(err error, tag string, known []string) error {
	slices.Sort(known)
	stream := tag[:strings.LastIndexByte(tag, ':')+1]
	near := slices.DeleteFunc(slices.Clone(known), func(other string) bool { return stream == "" || !strings.HasPrefix(other, stream) })
	if len(near) == 0 {
		if one := osbsconf.Nearest(tag, known); one != "" {
			near = []string{one}
		}
	}
	switch {
	case len(known) == 0:
		return failure.WithHint(err, "nothing has been built yet")
	case len(near) == 0:
		return failure.WithHint(err, "osbs graph lists the images")
	case len(near) > maxSuggested:
		return failure.WithHint(err, "did you mean one of %s and %d more?", strings.Join(near[:maxSuggested], ", "), len(near)-maxSuggested)
	default:
		return failure.WithHint(err, "did you mean %s?", strings.Join(near, " or "))
	}
}
