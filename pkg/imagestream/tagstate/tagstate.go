// Package tagstate reads from ImageStreams what their tags mean, as the planner of rebuilds wants it.
package tagstate

import (
	imagev1 "github.com/openshift/api/image/v1"

	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Of are the states of all tags of the streams, as the planner of rebuilds wants them. namespace is the build configs' own;
// streams of other namespaces have theirs in the names.
func Of(namespace string, streams []imagev1.ImageStream) map[string]rebuild.Tag {
	out := map[string]rebuild.Tag{}
	for _, stream := range streams {
		prefix := stream.Name + ":"
		if stream.Namespace != namespace {
			prefix = stream.Namespace + "/" + prefix
		}
		for _, tag := range stream.Status.Tags {
			if len(tag.Items) > 0 {
				newest := tag.Items[0]
				out[prefix+tag.Tag] = rebuild.Tag{Digest: newest.Image, Since: newest.Created.Time, Generation: newest.Generation}
			}
		}
	}
	return out
}
