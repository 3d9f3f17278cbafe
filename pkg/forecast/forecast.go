// Package forecast says what is to come: what is rebuilt and why, what would be if a base moved, and which images are built on which.
// It makes of what an instance tells the documents of osbs plan and osbs graph; package report shows them to people, package diagram
// draws them.
package forecast

import (
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Common is what both documents say.
type Common struct {
	// Cycles are the groups of build configs that are built on each other, each by name. Changes are not followed around them.
	Cycles [][]string `json:"cycles"`
	// Malformed are build configs that cannot be read, by name; nothing else is said about them.
	Malformed []Malformed `json:"malformed"`
	// Unread says what could not be read, each with its reason; what depends on it is missing.
	Unread []string `json:"unread"`
}

// Malformed is a build config that cannot be read.
type Malformed struct {
	BuildConfig string `json:"buildConfig"`
	Message     string `json:"message"`
}

// Pause says that no build may begin.
type Pause struct {
	Since time.Time `json:"since"`
	By    string    `json:"by,omitempty"`
}

func common(o *osbs.Outlook, cycles [][]string) Common {
	c := Common{Cycles: nonNil(cycles), Malformed: []Malformed{}, Unread: nonNil(o.Unread)}
	for name, image := range o.Images {
		if image.BuildConfig == nil {
			c.Malformed = append(c.Malformed, Malformed{name, image.Malformed})
		}
	}
	slices.SortFunc(c.Malformed, func(a, b Malformed) int { return strings.Compare(a.BuildConfig, b.BuildConfig) })
	return c
}

// nonNil makes an empty list [] in JSON.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// Label is how people know an image: its ImageStreamTags, the name once, and the build config that builds it.
func Label(buildConfig string, imageStreamTags []string) string {
	if len(imageStreamTags) == 0 {
		return buildConfig
	}
	label := imageStreamTags[0]
	stream := label[:strings.LastIndexByte(label, ':')+1]
	for _, tag := range imageStreamTags[1:] {
		label += "," + strings.TrimPrefix(tag, stream)
	}
	if buildConfig == "" {
		return label
	}
	return label + " (" + buildConfig + ")"
}

// producers are the build configs that produce each ImageStreamTag.
func producers(configs []rebuild.Config) map[string][]string {
	out := map[string][]string{}
	for _, c := range configs {
		for _, tag := range c.Produces {
			out[tag] = append(out[tag], c.Name)
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}
