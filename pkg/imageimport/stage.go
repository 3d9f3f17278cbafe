package imageimport

import (
	"context"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Options are those of the import stage.
type Options struct {
	step.Env
	Workspace workspace.Dir
	// Registry reaches the registries that the image was pushed to.
	Registry *registry.Client
	Streams  Store
	// BuildConfigs, if not nil, is told what the build produces and which bases it was built on.
	BuildConfigs buildconfig.Store
	// ImageStream is the stream's name; empty means the one of the image's name.
	ImageStream string
	Autorebuild bool
	Scratch     bool
	Isolated    bool
}

// Run moves the image's floating tags in every registry, and then imports them into the ImageStream. If a tag cannot be moved, those
// that were are put back and nothing is imported. Scratch and isolated builds, and skipped ones, float and import nothing.
func Run(ctx context.Context, o Options) (workspace.Import, error) {
	o.Env = o.WithDefaults()
	var record workspace.Import
	skipped, err := isSkipped(o.Workspace)
	if err != nil {
		return record, err
	}
	if o.Scratch || o.Isolated || skipped {
		o.Log.Info("nothing to import", "scratch", o.Scratch, "isolated", o.Isolated, "skipped", skipped)
		return record, workspace.Write(o.Workspace, record)
	}
	push, err := workspace.Read[workspace.Push](o.Workspace)
	if err != nil {
		return record, err
	}
	if err := check(push); err != nil {
		return record, err
	}
	if record.ImageStream, err = o.stream(push); err != nil {
		return record, err
	}
	if record.Unchanged, err = o.stays(ctx, push, record.ImageStream); err != nil {
		return record, err
	}
	if !record.Unchanged {
		record.Tags, err = o.publish(ctx, push, record.ImageStream)
	} else {
		record.Tags = unmoved(push)
	}
	if err != nil {
		return record, err
	}
	if err := o.tell(ctx, record); err != nil {
		return record, err
	}
	return record, workspace.Write(o.Workspace, record)
}

// stays says that an autorebuild has changed nothing, and that the stream has the image that stays. If it does not, because an earlier
// build ended between its tags and its import, that is made good: what is built on the image waits for it.
func (o Options) stays(ctx context.Context, push workspace.Push, stream string) (bool, error) {
	if !push.Unchanged {
		return false, nil
	}
	now, err := o.Streams.Get(ctx, stream)
	if failure.KindOf(err) == failure.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, tag := range push.Images[0].Floating {
		if Current(now, tag) != push.Digest {
			o.Log.Info("the image has not changed, but the ImageStream lacks it", "imagestream", stream, "tag", tag, "digest", push.Digest)
			return false, nil
		}
	}
	o.Log.Info("nothing to import: the image has not changed", "imagestream", stream, "digest", push.Digest)
	return true, nil
}

// unmoved are the tags of an image that stays.
func unmoved(push workspace.Push) []workspace.ImportedTag {
	out := make([]workspace.ImportedTag, 0, len(push.Images[0].Floating))
	for _, tag := range push.Images[0].Floating {
		out = append(out, workspace.ImportedTag{Tag: tag, OldDigest: push.Digest, Digest: push.Digest})
	}
	return out
}

// isSkipped says whether prepare ended the build. A workspace without prepare's record was built without that stage.
func isSkipped(d workspace.Dir) (bool, error) {
	prepare, err := workspace.Read[workspace.Prepare](d)
	if failure.KindOf(err) == failure.NotFound {
		return false, nil
	}
	return prepare.State == workspace.StateSkipped, err
}

func check(push workspace.Push) error {
	if len(push.Images) == 0 || push.Digest == "" {
		return failure.New(failure.InvalidInput, "the push stage has left no image to import")
	}
	for _, image := range push.Images {
		if len(image.Floating) == 0 {
			return failure.New(failure.InvalidInput, "the push stage has left no floating tags for %s", image.Repository)
		}
	}
	return nil
}

// stream is the name of the ImageStream of the image's name, which is the repository without its registry.
func (o Options) stream(push workspace.Push) (string, error) {
	if o.ImageStream != "" {
		return o.ImageStream, nil
	}
	_, image, _ := strings.Cut(push.Images[0].Repository, "/")
	stream, err := imagestream.NameFor(image)
	if err != nil {
		return "", failure.New(failure.InvalidInput, "importing %s: %w", push.Images[0].Repository, err)
	}
	return stream, nil
}

// publish moves the tags, then imports them from the first registry. When nothing at all could be imported, the tags go back too.
func (o Options) publish(ctx context.Context, push workspace.Push, stream string) ([]workspace.ImportedTag, error) {
	m := mover{Env: o.Env, client: o.Registry}
	for _, image := range push.Images {
		if err := m.move(ctx, image, push.Digest); err != nil {
			return nil, m.back(ctx, err)
		}
	}
	first := push.Images[0]
	sources := make([]Source, 0, len(first.Floating))
	for _, tag := range first.Floating {
		sources = append(sources, Source{Tag: tag, From: first.Repository + ":" + tag, Insecure: o.isInsecure(first.Repository)})
	}
	tags, err := Import(ctx, o.Env, o.Streams, stream, sources)
	if err != nil && len(tags) == 0 {
		return nil, m.back(ctx, err)
	}
	for _, tag := range tags {
		o.Log.Info("imported", "imagestream", stream, "tag", tag.Tag, "digest", tag.Digest, "before", tag.OldDigest)
		if tag.Digest != push.Digest {
			o.Log.Warn("another build has moved the tag meanwhile", "tag", tag.Tag, "pushed", push.Digest, "imported", tag.Digest)
		}
	}
	return tags, err
}

func (o Options) isInsecure(repository string) bool {
	host, _, _ := strings.Cut(repository, "/")
	return o.Registry.Insecure(host)
}

// tell writes into the build config what the build produces and which bases it was built on.
func (o Options) tell(ctx context.Context, record workspace.Import) error {
	if o.BuildConfigs == nil {
		return nil
	}
	lock, err := workspace.Read[workspace.Lock](o.Workspace)
	if err != nil {
		return err
	}
	bases, err := workspace.Read[workspace.DetectBase](o.Workspace)
	if err != nil {
		return err
	}
	prepare, err := workspace.Read[workspace.Prepare](o.Workspace)
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return err
	}
	_, err = buildconfig.Change(ctx, o.BuildConfigs, lock.BuildConfig, func(bc *buildconfig.BuildConfig) error {
		if prepare.Bump != nil && prepare.Bump.Pushed { // the lock stage knew only what it was made on
			bc.GitCommit = prepare.Commit
		}
		bc.ImageStream, bc.Tags = record.ImageStream, nil
		for _, tag := range record.Tags {
			bc.Tags = append(bc.Tags, tag.Tag)
		}
		for i, t := range bc.Triggers {
			for _, base := range bases.AllBases() {
				if base.ImageStreamTag == t.ImageStreamTag {
					bc.Triggers[i].LastBuiltImage = base.Repository + "@" + base.Digest
					break
				}
			}
		}
		outcome := buildconfig.Succeeded
		if record.Unchanged {
			outcome = buildconfig.Unchanged
		}
		bc.LastBuild = &buildconfig.LastBuild{
			Name: lock.Holder, Outcome: outcome, Autorebuild: o.Autorebuild, Ended: time.Now().UTC().Truncate(time.Second),
		}
		return nil
	})
	if failure.KindOf(err) == failure.NotFound {
		o.Log.Warn("the build config was deleted during the build", "buildConfig", lock.BuildConfig)
		return nil
	}
	return err
}
