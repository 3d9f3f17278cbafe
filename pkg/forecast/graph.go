package forecast

import (
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Graph is the document of osbs graph.
type Graph struct {
	// Image is what was asked for; empty for everything.
	Image string `json:"image,omitempty"`
	// Images by name.
	Images []Image `json:"images"`
	Common
}

// Image is what a build config builds, or a base that none builds.
type Image struct {
	// Name is the build config's, or the ImageStreamTag of a base that none builds.
	Name string `json:"name"`
	// BuildConfig is empty for a base that none builds.
	BuildConfig string `json:"buildConfig,omitempty"`
	// ImageStreamTags are those that it is imported to; none before the first build.
	ImageStreamTags []Tag `json:"imageStreamTags"`
	// Bases are what it is built on; none if that is not followed, or nothing.
	Bases []On `json:"bases"`
	// Stale: it was built on something else than one of its bases is now.
	Stale bool `json:"stale"`
	// Verdict says what becomes of it, and HeldBy by what, as in a plan; empty for what is up to date and is not about to change.
	Verdict rebuild.Verdict `json:"verdict,omitempty"`
	HeldBy  []string        `json:"heldBy"`
	// Paused and Disabled: a person wants no autorebuild of it now, or ever.
	Paused   bool `json:"paused,omitempty"`
	Disabled bool `json:"disabled,omitempty"`
}

// Tag is an ImageStreamTag and what it names.
type Tag struct {
	ImageStreamTag string `json:"imageStreamTag"`
	Digest         string `json:"digest,omitempty"`
}

// On is one base of an image.
type On struct {
	ImageStreamTag string `json:"imageStreamTag"`
	// Images are the names of those that the base is: one, or several if several build configs build it.
	Images []string `json:"images"`
	// BuiltDigest is what the image was built on, Digest what the base is now; either is empty if it is not known.
	BuiltDigest string `json:"builtDigest,omitempty"`
	Digest      string `json:"digest,omitempty"`
	// Stale: the base has moved since the image was built on it.
	Stale bool `json:"stale"`
	// Paused: its changes are not followed.
	Paused bool `json:"paused,omitempty"`
}

// NewGraph says what is built on what. With an image, which may be an ImageStreamTag, the name of an ImageStream, a reference as a FROM has
// it or a build config, only what that is built on and what is built on it; one that is not known is failure.NotFound.
func NewGraph(o *osbs.Outlook, image string) (*Graph, error) {
	planner := rebuild.NewGraph(o.Configs)
	plan := planner.Plan(o.State)
	items := make(map[string]*rebuild.Item, len(plan.Items))
	for i := range plan.Items {
		items[plan.Items[i].Config] = &plan.Items[i]
	}
	builds := producers(o.Configs)
	g := &Graph{Image: image, Common: common(o, plan.Cycles), Images: make([]Image, 0, len(o.Configs))}
	outside := map[string]bool{}
	for _, c := range o.Configs {
		built := imageOf(o, c, items[c.Name], builds)
		g.Images = append(g.Images, built)
		for _, on := range built.Bases {
			if len(builds[on.ImageStreamTag]) == 0 {
				outside[on.ImageStreamTag] = true
			}
		}
	}
	for tag := range outside {
		g.Images = append(g.Images, Image{
			Name: tag, ImageStreamTags: []Tag{{tag, o.State.Tags[tag].Digest}}, Bases: []On{}, HeldBy: []string{},
		})
	}
	slices.SortFunc(g.Images, func(a, b Image) int { return strings.Compare(a.Name, b.Name) })
	if image == "" {
		return g, nil
	}
	asked, err := newNames(o).find(image, builds)
	if err == nil {
		g.keep(asked)
	}
	return g, err
}

// imageOf is what is known of what a build config builds; item may be nil.
func imageOf(o *osbs.Outlook, c rebuild.Config, item *rebuild.Item, builds map[string][]string) Image {
	out := Image{
		Name: c.Name, BuildConfig: c.Name, ImageStreamTags: make([]Tag, 0, len(c.Produces)), Bases: make([]On, 0, len(c.Bases)), HeldBy: []string{},
		Paused: c.Paused, Disabled: !c.Enabled,
	}
	for _, tag := range c.Produces {
		out.ImageStreamTags = append(out.ImageStreamTags, Tag{tag, o.State.Tags[tag].Digest})
	}
	moved := map[string]bool{}
	if item != nil {
		out.Verdict, out.HeldBy = item.Verdict, nonNil(item.HeldBy)
		for _, reason := range item.Reasons {
			moved[reason.Base] = moved[reason.Base] || reason.Kind == rebuild.BaseMoved
		}
	}
	for _, base := range c.Bases {
		on := On{
			ImageStreamTag: base.Tag, Images: builds[base.Tag], BuiltDigest: base.Built, Digest: o.State.Tags[base.Tag].Digest,
			Stale: moved[base.Tag], Paused: base.Paused,
		}
		if len(on.Images) == 0 {
			on.Images = []string{base.Tag}
		}
		out.Stale = out.Stale || on.Stale
		out.Bases = append(out.Bases, on)
	}
	return out
}

// keep drops all images but those that are asked for, those that they are built on, and those that are built on them.
func (g *Graph) keep(asked []string) {
	on, under := g.edges()
	kept := reach(asked, on)
	for name := range reach(asked, under) {
		kept[name] = true
	}
	g.Images = slices.DeleteFunc(g.Images, func(i Image) bool { return !kept[i.Name] })
	g.Cycles = slices.DeleteFunc(slices.Clone(g.Cycles), func(names []string) bool { return !kept[names[0]] })
}

// edges are, by the name of an image, those that it is built on, and those that are built on it, each once and in the graph.
func (g *Graph) edges() (on, under map[string][]string) {
	on, under = make(map[string][]string, len(g.Images)), make(map[string][]string, len(g.Images))
	known := make(map[string]bool, len(g.Images))
	for _, image := range g.Images {
		known[image.Name] = true
	}
	for _, image := range g.Images {
		seen := map[string]bool{}
		for _, base := range image.Bases {
			for _, name := range base.Images {
				if known[name] && !seen[name] {
					seen[name] = true
					on[image.Name] = append(on[image.Name], name)
					under[name] = append(under[name], image.Name)
				}
			}
		}
	}
	return on, under
}

// reach are the names that some lead to, themselves included.
func reach(from []string, next map[string][]string) map[string]bool {
	seen := map[string]bool{}
	for todo := slices.Clone(from); len(todo) > 0; {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[name] {
			seen[name] = true
			todo = append(todo, next[name]...)
		}
	}
	return seen
}

// Label is how people know the image.
func (i Image) Label() string {
	tags := make([]string, 0, len(i.ImageStreamTags))
	for _, tag := range i.ImageStreamTags {
		tags = append(tags, tag.ImageStreamTag)
	}
	return Label(i.BuildConfig, tags)
}

// State is how the image stands, in a word or two; empty for what is up to date and is not about to change.
func (i Image) State() string {
	words := []string{}
	if i.Stale {
		words = append(words, "stale")
	}
	if i.Verdict != "" {
		words = append(words, string(i.Verdict))
	}
	if i.Paused && i.Verdict != rebuild.Paused {
		words = append(words, string(rebuild.Paused))
	}
	if i.Disabled && i.Verdict != rebuild.Disabled {
		words = append(words, string(rebuild.Disabled))
	}
	return strings.Join(words, ", ")
}
