package imageimport

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// How long putting tags back may take: cancellation is honoured within a second.
const (
	backTime          = 30 * time.Second
	backTimeCancelled = 700 * time.Millisecond
)

// mover moves tags and remembers where they were.
type mover struct {
	step.Env
	client *registry.Client
	moved  []movedTag
}

type movedTag struct {
	tag name.Tag
	// before is what the tag meant, nil if it did not exist.
	before *remote.Descriptor
	digest string
}

// move points the image's floating tags at the digest, and reads each back.
func (m *mover) move(ctx context.Context, image workspace.PushedImage, digest string) error {
	repository, err := m.client.ParseRepository(image.Repository)
	if err != nil {
		return err
	}
	source := repository.Digest(digest)
	manifest, err := remote.Get(source, m.client.Remote(ctx)...)
	if err != nil {
		return registry.Classify(err, source.String())
	}
	for _, tag := range image.Floating {
		if err := m.moveTag(ctx, repository.Tag(tag), manifest); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) moveTag(ctx context.Context, tag name.Tag, manifest *remote.Descriptor) error {
	before, err := remote.Get(tag, m.client.Remote(ctx)...)
	if err = registry.Classify(err, tag.String()); err != nil && failure.KindOf(err) != failure.NotFound {
		return err
	}
	if err != nil {
		before = nil
	}
	if before != nil && before.Digest == manifest.Digest {
		m.Log.Debug("floating tag is there already", "tag", tag.String(), "digest", manifest.Digest)
		return nil
	}
	m.moved = append(m.moved, movedTag{tag: tag, before: before, digest: manifest.Digest.String()}) // an answer may be lost
	err = retry.Do(ctx, m.Log, m.Retry, "moving "+tag.String(), func(ctx context.Context) error {
		return m.put(ctx, tag, manifest)
	})
	if err != nil {
		return err
	}
	m.Log.Info("moved floating tag", "tag", tag.String(), "digest", manifest.Digest)
	return nil
}

// put tags the manifest and reads the tag back. Another digest means that somebody else moves the tag: worth another try.
func (m *mover) put(ctx context.Context, tag name.Tag, manifest *remote.Descriptor) error {
	if err := remote.Tag(tag, manifest, m.client.Remote(ctx)...); err != nil {
		return registry.Classify(err, tag.String())
	}
	after, err := remote.Get(tag, m.client.Remote(ctx)...)
	if err != nil {
		return registry.Classify(err, tag.String())
	}
	if after.Digest != manifest.Digest {
		return retry.Temporary(failure.New(failure.Conflict, "%s was moved to %s, but the registry says %s", tag, manifest.Digest, after.Digest))
	}
	return nil
}

// back puts the tags back where they were, the last one first, and adds to err what became of them.
func (m *mover) back(ctx context.Context, err error) error {
	if len(m.moved) == 0 {
		return err
	}
	limit := backTime
	if ctx.Err() != nil {
		limit = backTimeCancelled
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var restored, left []string
	for _, moved := range slices.Backward(m.moved) {
		if err := m.restore(ctx, moved); err != nil {
			m.Log.Warn("floating tag could not be put back", "tag", moved.tag.String(), "error", err)
			left = append(left, moved.tag.String())
			continue
		}
		restored = append(restored, moved.tag.String())
	}
	if len(left) > 0 {
		return fmt.Errorf("floating tags that were moved and could not be put back: %s: %w", strings.Join(left, ", "), err)
	}
	return fmt.Errorf("floating tags were put back (%s): %w", strings.Join(restored, ", "), err)
}

// restore puts one tag back, unless somebody else has moved it since.
func (m *mover) restore(ctx context.Context, moved movedTag) error {
	now, err := remote.Get(moved.tag, m.client.Remote(ctx)...)
	if err = registry.Classify(err, moved.tag.String()); err != nil {
		if failure.KindOf(err) == failure.NotFound && moved.before == nil {
			return nil
		}
		return err
	}
	switch {
	case now.Digest.String() != moved.digest:
		return nil
	case moved.before != nil:
		return registry.Classify(remote.Tag(moved.tag, moved.before, m.client.Remote(ctx)...), moved.tag.String())
	default:
		return registry.Classify(remote.Delete(moved.tag, m.client.Remote(ctx)...), moved.tag.String())
	}
}
