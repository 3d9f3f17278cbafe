package lock

import (
	"context"
	"fmt"
	"strings"

	imagev1 "github.com/openshift/api/image/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream/tagstate"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// Streams reads ImageStreams; that there is none of a name is failure.NotFound.
type Streams interface {
	Get(ctx context.Context, name string) (*imagev1.ImageStream, error)
}

// outdated says why an autorebuild has nothing to do any more, or nothing: while it waited for the lock its base has moved on, or another
// build was made from it; or its event is an old one that somebody has sent again. A rebuild that a person asked for is always due.
func (o Options) outdated(ctx context.Context) (string, error) {
	if !o.Autorebuild || o.Streams == nil || len(o.BaseDigests) == 0 || o.Reason == string(rebuild.Requested) {
		return "", nil
	}
	bc, err := o.BuildConfigs.Get(ctx, o.BuildConfig)
	if failure.KindOf(err) == failure.NotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	tags, err := o.tags(ctx, bc)
	if err != nil {
		return "", err
	}
	return rebuild.Outdated(rebuild.FromBuildConfig(bc), tags, o.BaseDigests), nil
}

// tags are the triggers of the build config's own namespace as they are now. What may not be read is not known.
func (o Options) tags(ctx context.Context, bc *buildconfig.BuildConfig) (map[string]rebuild.Tag, error) {
	seen := map[string]bool{}
	var streams []imagev1.ImageStream
	for _, t := range bc.Triggers {
		name, _, _ := strings.Cut(t.ImageStreamTag, ":")
		if seen[name] || !o.own(t) {
			continue
		}
		seen[name] = true
		stream, err := o.stream(ctx, name)
		if err != nil {
			return nil, err
		}
		if stream != nil {
			stream.Namespace = o.Namespace
			streams = append(streams, *stream)
		}
	}
	tags := tagstate.Of(o.Namespace, streams)
	for _, t := range bc.Triggers {
		if state, known := tags[t.ImageStreamTag]; known && o.own(t) && t.Namespace != "" { // one may name its own namespace
			tags[t.Namespace+"/"+t.ImageStreamTag] = state
		}
	}
	return tags, nil
}

func (o Options) own(t buildconfig.Trigger) bool {
	return t.Namespace == "" || t.Namespace == o.Namespace
}

// stream is nil if it does not exist, or may not be read.
func (o Options) stream(ctx context.Context, name string) (*imagev1.ImageStream, error) {
	var stream *imagev1.ImageStream
	err := retry.Do(ctx, o.Log, o.Retry, "reading ImageStream "+name, func(ctx context.Context) error {
		var err error
		stream, err = o.Streams.Get(ctx, name)
		return err
	})
	switch failure.KindOf(err) {
	case "":
		return stream, nil
	case failure.NotFound, failure.Unauthorized:
		o.Log.Debug("whether the base has moved on is not known", "imagestream", name, "reason", err)
		return nil, nil
	default:
		return nil, fmt.Errorf("asking whether the base has moved on: %w", err)
	}
}
