// Package subject finds what a person means who names an image or a build config: by the build config's name, by an ImageStream, with or
// without its tag, or by a reference as FROM has it.
package subject

import (
	"cmp"
	"slices"
	"strings"

	"github.com/xrash/smetrics"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Subject is what was named.
type Subject struct {
	// BuildConfig builds it; empty for an image that is only a base here.
	BuildConfig string
	// Tag is the ImageStreamTag that was named; empty if the build config was, or an ImageStream without a tag.
	Tag string
}

// Find finds what the argument names. What there is not is failure.NotFound, with close names; what may mean several is failure.Usage. The
// name of a build config goes before that of an ImageStream, which has a tag if need be.
func Find(o *osbs.Outlook, argument string) (Subject, error) {
	if _, known := o.Images[argument]; known {
		return Subject{BuildConfig: argument}, nil
	}
	if !strings.ContainsAny(argument, ":/@") {
		if builders := producing(o.Configs, func(tag string) bool { return streamOf(tag) == argument }); len(builders) > 0 {
			return one(argument, "", builders)
		}
		if tags := basesOf(o.Configs, argument); len(tags) == 1 {
			return Subject{Tag: tags[0]}, nil
		} else if len(tags) > 1 && !slices.Contains(tags, argument+":latest") {
			return Subject{}, failure.WithHint(failure.New(failure.Usage, "%q may be each of %s", argument, strings.Join(tags, ", ")), "name one of them")
		}
	}
	tags, err := tagsFor(o, argument)
	if err != nil {
		return Subject{}, err
	}
	for _, tag := range tags {
		if builders := producing(o.Configs, func(produced string) bool { return produced == tag }); len(builders) > 0 {
			return one(argument, tag, builders)
		}
	}
	for _, tag := range tags {
		if slices.ContainsFunc(o.Configs, func(c rebuild.Config) bool { return isBase(c, tag) }) {
			return Subject{Tag: tag}, nil
		}
	}
	return Subject{}, unknown(o, argument)
}

// tagsFor are the ImageStreamTags that the argument may be. Here its registry need not be one of the site's, which may not be known.
func tagsFor(o *osbs.Outlook, argument string) ([]string, error) {
	tag, malformed := imagestream.TagFor(argument, o.HomeRegistries...)
	switch {
	case malformed != nil: // it is no reference as FROM has it, but perhaps a tag of another namespace
		return []string{argument}, nil //nolint:nilerr // see there
	case tag == "":
		return nil, failure.WithHint(failure.New(failure.Usage, "%q names a digest, which never changes", argument), "name the tag")
	}
	tags := []string{argument, tag}
	if host, _, found := strings.Cut(argument, "/"); found && imagestream.IsHost(host) {
		if home, err := imagestream.TagFor(argument, host); err == nil {
			tags = append(tags, home)
		}
	}
	return tags, nil
}

func streamOf(tag string) string {
	stream, _, _ := strings.Cut(tag, ":")
	return stream
}

func isBase(c rebuild.Config, tag string) bool {
	return slices.ContainsFunc(c.Bases, func(b rebuild.Base) bool { return b.Tag == tag })
}

// producing are the names of the build configs that produce a tag of which is says so.
func producing(configs []rebuild.Config, is func(tag string) bool) []string {
	var out []string
	for _, c := range configs {
		if slices.ContainsFunc(c.Produces, is) {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return out
}

// basesOf are the tags of an ImageStream that somebody is built on.
func basesOf(configs []rebuild.Config, stream string) []string {
	var out []string
	for _, c := range configs {
		for _, b := range c.Bases {
			if streamOf(b.Tag) == stream {
				out = append(out, b.Tag)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func one(argument, tag string, builders []string) (Subject, error) {
	if len(builders) == 1 {
		return Subject{BuildConfig: builders[0], Tag: tag}, nil
	}
	return Subject{}, failure.WithHint(failure.New(failure.Usage, "%q is built by several build configs: %s", argument, strings.Join(builders, ", ")),
		"name one of them")
}

// most is how many names an error offers.
const most = 5

func unknown(o *osbs.Outlook, argument string) error {
	err := failure.New(failure.NotFound, "there is no build config and no image %q", argument)
	if names := near(o, argument); len(names) > 0 {
		return failure.WithHint(err, "close to it: %s", strings.Join(names, ", "))
	}
	return failure.WithHint(err, "osbs list-build-configs lists what is built")
}

// near are the names that are nearest to the argument, of those that hold it or differ in few characters.
func near(o *osbs.Outlook, argument string) []string {
	distances := map[string]int{}
	consider := func(name string) {
		distance := smetrics.WagnerFischer(strings.ToLower(argument), name, 1, 1, 1)
		switch {
		case strings.Contains(name, argument), strings.Contains(argument, name):
			distances[name] = min(distance, 1)
		case distance <= max(2, len(argument)/4):
			distances[name] = distance
		}
	}
	for name := range o.Images {
		consider(name)
	}
	for _, c := range o.Configs {
		for _, tag := range c.Produces {
			consider(tag)
		}
		for _, b := range c.Bases {
			consider(b.Tag)
		}
	}
	out := make([]string, 0, len(distances))
	for name := range distances {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(distances[a], distances[b]), cmp.Compare(a, b)) })
	return out[:min(len(out), most)]
}
