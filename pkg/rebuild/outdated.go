package rebuild

import (
	"fmt"
	"strings"
)

// Outdated says why a rebuild from these digests, by the tags' names without their namespace, has nothing to do any more, or nothing if it
// is still due: a tag means another digest by now, or the image is built on all of them already. Tags that are not known say nothing.
func Outdated(c Config, tags map[string]Tag, digests map[string]string) string {
	p := newPlanner(NewGraph([]Config{c}), State{Tags: tags})
	due := len(c.Bases) == 0
	for _, base := range c.Bases {
		asked, given := digests[WithoutNamespace(base.Tag)]
		if base.Paused || !given {
			continue
		}
		tag, known := p.tag(base.Tag)
		if known && tag.Digest != asked {
			return fmt.Sprintf("it is made from %s of %s, which is %s by now", asked, base.Tag, tag.Digest)
		}
		due = due || !known || p.stale(base, tag)
	}
	if due {
		return ""
	}
	return "the image is built on these bases already"
}

// WithoutNamespace is the name:tag of an ImageStreamTag that may be of another namespace.
func WithoutNamespace(tag string) string { return tag[strings.LastIndexByte(tag, '/')+1:] }
