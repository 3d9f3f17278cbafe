package imageimport

import (
	"context"
	"slices"
	"strings"

	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Cluster keeps ImageStreams in OpenShift's image API. The API server reads the registries itself, with the credentials of the
// namespace's Secrets of the types kubernetes.io/dockercfg and kubernetes.io/dockerconfigjson.
type Cluster struct {
	streams cluster.Resource[imagev1.ImageStream]
	imports cluster.Resource[imagev1.ImageStreamImport]
}

var _ Store = (*Cluster)(nil)

// NewCluster returns the ImageStreams of the client's namespace.
func NewCluster(c *cluster.Client) *Cluster {
	return &Cluster{
		streams: cluster.For[imagev1.ImageStream](c, imagev1.GroupVersion, "imagestreams", "ImageStream"),
		imports: cluster.For[imagev1.ImageStreamImport](c, imagev1.GroupVersion, "imagestreamimports", "import into ImageStream"),
	}
}

// Get implements Store.
func (c *Cluster) Get(ctx context.Context, name string) (*imagev1.ImageStream, error) {
	return c.streams.Get(ctx, name)
}

// List implements Store.
func (c *Cluster) List(ctx context.Context) ([]imagev1.ImageStream, error) {
	all, err := c.streams.List(ctx, cluster.Selection{})
	slices.SortFunc(all, func(a, b imagev1.ImageStream) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

// Create implements Store. The API server sets the status itself.
func (c *Cluster) Create(ctx context.Context, stream *imagev1.ImageStream) (*imagev1.ImageStream, error) {
	stream = stream.DeepCopy()
	stream.TypeMeta = metav1.TypeMeta{APIVersion: imagev1.GroupVersion.String(), Kind: "ImageStream"}
	stream.ResourceVersion, stream.UID = "", ""
	return c.streams.Create(ctx, stream.Name, stream)
}

// Delete removes a stream; that there is none is failure.NotFound.
func (c *Cluster) Delete(ctx context.Context, name string) error { return c.streams.Delete(ctx, name) }

// Import implements Store.
func (c *Cluster) Import(ctx context.Context, request *imagev1.ImageStreamImport) (*imagev1.ImageStreamImport, error) {
	answer, err := c.imports.Create(ctx, request.Name, request)
	if failure.KindOf(err) == failure.Unauthorized {
		err = failure.WithHint(err, "the service account needs the verbs get and create for imagestreams, and create for imagestreamimports")
	}
	return answer, err
}
