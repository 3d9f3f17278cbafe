package push

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/labels"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// unchanged finds the image that an autorebuild would replace, if it has the same content: the same layers before compression, and the
// same configuration apart from what every build has of its own (see sameContent). There is none if the floating tags do not all mean one
// image, in all registries; then the image is pushed. So is one whose predecessor cannot be understood.
func (p *pusher) unchanged(ctx context.Context, dests []*destination) (*workspace.Push, error) {
	if !p.EarlyCutoff || !p.Autorebuild || p.Scratch || p.Isolated {
		return nil, nil
	}
	before, err := p.before(ctx, dests)
	if err != nil || before == "" {
		return nil, err
	}
	old, err := built{digest: before, source: dests[0].repo}.configs(ctx)
	if kind := failure.KindOf(err); kind == failure.InvalidInput || kind == failure.NotFound {
		p.Log.Info("the image before this one cannot be compared with it", "digest", before, "reason", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now, err := p.built.configs(ctx)
	if err != nil {
		return nil, err
	}
	variable, err := p.releaseVariable()
	if err != nil {
		return nil, err
	}
	if difference := p.differ(old, now, variable); difference != "" {
		p.Log.Info("the image has other content than the one before it", "before", before, "difference", difference)
		return nil, nil
	}
	record := &workspace.Push{Digest: before, Unchanged: true}
	for _, d := range dests {
		record.Images = append(record.Images, workspace.PushedImage{Repository: d.repo.Name().String(), Floating: p.attempt.Tags.Floating})
	}
	return record, nil
}

// before is the digest that every floating tag has in every registry, or empty.
func (p *pusher) before(ctx context.Context, dests []*destination) (string, error) {
	before := ""
	for _, d := range dests {
		for _, tag := range p.attempt.Tags.Floating {
			digest, found, err := d.repo.Resolve(ctx, tag)
			if err != nil {
				return "", err
			}
			if !found || before != "" && digest.String() != before {
				return "", nil
			}
			before = digest.String()
		}
	}
	return before, nil
}

// releaseVariable is the ENV that holds the release, if the release of this build was bumped there.
func (p *pusher) releaseVariable() (string, error) {
	prepared, err := workspace.Read[workspace.Prepare](p.Workspace)
	if failure.KindOf(err) == failure.NotFound { // an image that was built outside the pipeline
		return "", nil
	}
	if err != nil || prepared.Bump == nil {
		return "", err
	}
	if variable, found := strings.CutPrefix(prepared.Bump.Where, "ENV "); found {
		return variable, nil
	}
	return "", nil
}

// configs are the configurations of the images that b is, by platform.
func (b built) configs(ctx context.Context) (map[string]*v1.ConfigFile, error) {
	images, err := b.images(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]*v1.ConfigFile{}
	for _, image := range images {
		if out[image.platform] != nil {
			return nil, failure.New(failure.InvalidInput, "%s has two images for platform %q", b.digest, image.platform)
		}
		out[image.platform] = image.config
	}
	return out, nil
}

// differ says in a few words what is different, or nothing.
func (p *pusher) differ(old, now map[string]*v1.ConfigFile, variable string) string {
	if had, has := slices.Sorted(maps.Keys(old)), slices.Sorted(maps.Keys(now)); !slices.Equal(had, has) {
		return fmt.Sprintf("platforms %s, before %s", strings.Join(has, ", "), strings.Join(had, ", "))
	}
	for _, platform := range slices.Sorted(maps.Keys(now)) {
		if what := difference(old[platform], now[platform], variable); what != "" {
			return strings.TrimSpace(platform + " " + what)
		}
	}
	return ""
}

// difference compares what containers of two images would see. The history is left out: it says how the layers came to be.
func difference(old, now *v1.ConfigFile, variable string) string {
	if !slices.Equal(old.RootFS.DiffIDs, now.RootFS.DiffIDs) {
		return "layers"
	}
	a, b := content(old.Config, variable), content(now.Config, variable)
	if names := changed(a.Labels, b.Labels); len(names) > 0 {
		return "labels " + strings.Join(names, ", ")
	}
	if !reflect.DeepEqual(a, b) {
		return "configuration"
	}
	return ""
}

// ownLabels are those that each build has a value of its own for: when and from which commit, which a bump of the release changes too.
func ownLabels() []string {
	return []string{
		labels.Release, "Release", "build-date", "vcs-ref",
		"org.opencontainers.image.created", "org.opencontainers.image.revision",
		"org.opencontainers.image.base.name", "org.opencontainers.image.base.digest",
	}
}

// content is a configuration without what says nothing of the content: labels of the one build, the variable that holds the release, and
// what is left of the container in which the image was made. Nil and empty lists are the same.
func content(c v1.Config, variable string) v1.Config {
	c.Hostname, c.Domainname, c.Image = "", "", ""
	c.Labels = maps.Clone(c.Labels)
	for _, name := range ownLabels() {
		delete(c.Labels, name)
	}
	if len(c.Labels) == 0 {
		c.Labels = nil
	}
	c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return variable != "" && name == variable
	})
	for _, list := range []*[]string{&c.Cmd, &c.Entrypoint, &c.Env, &c.OnBuild, &c.Shell} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	for _, set := range []*map[string]struct{}{&c.Volumes, &c.ExposedPorts} {
		if len(*set) == 0 {
			*set = nil
		}
	}
	return c
}

// changed are the names with different values, in order.
func changed(old, now map[string]string) []string {
	var names []string
	for name, value := range now {
		if was, had := old[name]; !had || was != value {
			names = append(names, name)
		}
	}
	for name := range old {
		if _, has := now[name]; !has {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
