package imageimport

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
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
	repository *transfer.Repository
	tag        string
	// before is what the tag meant, empty if it did not exist; after is what it was moved to.
	before, after v1.Hash
	existed       bool
}

func (t movedTag) String() string { return t.repository.Name().Tag(t.tag).String() }

// move points the image's floating tags at the digest, and reads each back.
func (m *mover) move(ctx context.Context, image workspace.PushedImage, digest string) error {
	name, err := m.client.ParseRepository(image.Repository)
	if err != nil {
		return err
	}
	after, err := v1.NewHash(digest)
	if err != nil {
		return failure.New(failure.InvalidInput, "the push stage has left the digest %q: %w", digest, err)
	}
	repository, err := transfer.Open(ctx, m.client, m.Env, name, transfer.Push)
	if err != nil {
		return err
	}
	for _, tag := range image.Floating {
		if err := m.moveTag(ctx, movedTag{repository: repository, tag: tag, after: after}); err != nil {
			return err
		}
	}
	return nil
}

// moveTag moves one tag. A read-back that says something else means that somebody else moves the tag too: worth another try.
func (m *mover) moveTag(ctx context.Context, t movedTag) error {
	var err error
	if t.before, t.existed, err = t.repository.Resolve(ctx, t.tag); err != nil {
		return fmt.Errorf("reading floating tag %s: %w", t, err)
	}
	if t.existed && t.before == t.after {
		m.Log.Debug("floating tag is there already", "tag", t.String(), "digest", t.after)
		return nil
	}
	m.moved = append(m.moved, t) // from here on it may have moved, even if the answer is lost
	err = retry.Do(ctx, m.Log, m.Retry, "moving floating tag "+t.String(), func(ctx context.Context) error {
		_, err := t.repository.Tag(ctx, t.after, t.tag)
		if failure.KindOf(err) == failure.Untrusted {
			return retry.Temporary(err)
		}
		return err
	})
	if err != nil {
		return err
	}
	m.Log.Info("moved floating tag", "tag", t.String(), "digest", t.after)
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
	for _, t := range slices.Backward(m.moved) {
		if err := m.restore(ctx, t); err != nil {
			m.Log.Warn("floating tag could not be put back", "tag", t.String(), "error", err)
			left = append(left, t.String())
			continue
		}
		restored = append(restored, t.String())
	}
	if len(left) > 0 {
		return fmt.Errorf("floating tags may stay moved, they could not be put back: %s: %w", strings.Join(left, ", "), err)
	}
	return fmt.Errorf("floating tags were put back (%s): %w", strings.Join(restored, ", "), err)
}

// restore puts one tag back, unless somebody else has moved it since, or it was not moved at all. A tag that did not exist before is
// deleted, which not every registry can.
func (m *mover) restore(ctx context.Context, t movedTag) error {
	now, exists, err := t.repository.Resolve(ctx, t.tag)
	switch {
	case err != nil:
		return err
	case !exists || now != t.after:
		return nil
	case t.existed:
		_, err := t.repository.Tag(ctx, t.before, t.tag)
		return err
	default:
		tag := t.repository.Name().Tag(t.tag)
		return registry.Classify(remote.Delete(tag, m.client.Remote(ctx)...), tag.String())
	}
}
