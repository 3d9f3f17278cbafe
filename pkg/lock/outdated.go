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
	streams := map[string]*imagev1.ImageStream{}
	for _, t := range bc.Triggers {
		name, _, _ := strings.Cut(t.ImageStreamTag, ":")
		if _, known := streams[name]; known || t.Namespace != "" && t.Namespace != o.Namespace {
			continue
		}
		var stream *imagev1.ImageStream
		err := retry.Do(ctx, o.Log, o.Retry, "reading ImageStream "+name, func(ctx context.Context) error {
			var err error
			stream, err = o.Streams.Get(ctx, name)
			return err
		})
		if kind := failure.KindOf(err); kind == failure.NotFound || kind == failure.Unauthorized {
			o.Log.Debug("whether the base has moved on is not known", "imagestream", name, "reason", err)
			stream, err = nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("asking whether the base has moved on: %w", err)
		}
		streams[name] = stream
	}
	tags := map[string]rebuild.Tag{}
	for _, t := range bc.Triggers {
		name, tag, _ := strings.Cut(t.ImageStreamTag, ":")
		stream := streams[name]
		if stream == nil {
			continue
		}
		stream.Namespace = o.Namespace
		state, known := tagstate.Of(o.Namespace, []imagev1.ImageStream{*stream})[name+":"+tag]
		switch {
		case !known:
		case t.Namespace != "":
			tags[t.Namespace+"/"+t.ImageStreamTag] = state
		default:
			tags[t.ImageStreamTag] = state
		}
	}
	return tags, nil
}
