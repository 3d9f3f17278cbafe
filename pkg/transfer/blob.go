package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// HasBlob asks whether the repository has the blob.
func (r *Repository) HasBlob(ctx context.Context, digest v1.Hash) (bool, error) {
	ref := r.reference(digest.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url("blobs/"+digest.String(), nil), nil)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", ref, err)
	}
	resp, err := r.do(req, ref, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// Blob reads a blob's content. Its length is checked against the descriptor, its digest by whoever stores it.
func (r *Repository) Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	return r.blobFrom(ctx, d, 0)
}

// blobFrom is Blob from an offset on. A registry that knows no ranges sends all, of which the beginning is thrown away.
func (r *Repository) blobFrom(ctx context.Context, d v1.Descriptor, offset int64) (io.ReadCloser, error) {
	ref := r.reference(d.Digest.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("blobs/"+d.Digest.String(), nil), nil)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", ref, err)
	}
	expected := []int{http.StatusOK}
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		expected = append(expected, http.StatusPartialContent)
	}
	resp, err := r.do(req, ref, expected...)
	if err != nil {
		return nil, err
	}
	rest := d.Size
	if resp.StatusCode == http.StatusPartialContent {
		rest -= offset
	}
	switch begins := fmt.Sprintf("bytes %d-", offset); {
	case resp.ContentLength >= 0 && resp.ContentLength != rest:
		err = failure.New(failure.Untrusted, "%s: the registry has %d bytes, the manifest says %d", ref, resp.ContentLength+d.Size-rest, d.Size)
	case resp.StatusCode == http.StatusPartialContent && !strings.HasPrefix(resp.Header.Get("Content-Range"), begins):
		err = failure.New(failure.Unavailable, "%s: the registry was asked for bytes from %d on, and sent %q", ref, offset, resp.Header.Get("Content-Range"))
	case resp.StatusCode == http.StatusOK && offset > 0:
		if _, err = io.CopyN(io.Discard, resp.Body, offset); err != nil {
			err = registry.Classify(err, ref)
		}
	}
	if err != nil {
		_ = resp.Body.Close() // the error says more
		return nil, err
	}
	return resp.Body, nil
}

// remoteContent is the content of a blob in a registry. It can begin at an offset, as long as nothing of it has been read.
type remoteContent struct {
	io.ReadCloser
	from func(offset int64) (io.ReadCloser, error)
}

var _ io.Seeker = (*remoteContent)(nil)

// Seek implements io.Seeker, for what follows from io.SeekStart.
func (c *remoteContent) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart {
		return 0, errors.New("content of a registry can begin at an offset, and nothing else")
	}
	content, err := c.from(offset)
	if err != nil {
		return 0, err
	}
	_ = c.Close() // it is given up
	c.ReadCloser = content
	return offset, nil
}
