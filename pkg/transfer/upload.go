package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// Upload stores a blob whose content open returns, from its beginning each time. It is tried again when the connection breaks or
// the registry is overloaded; before each further try the registry is asked whether it has the blob after all. A large blob goes on where
// it broke, if the registry still has what came before; content that is an io.Seeker is not read again for that.
func (r *Repository) Upload(ctx context.Context, d v1.Descriptor, open func(context.Context) (io.ReadCloser, error), task progress.Task) error {
	return r.upload(ctx, d, opened{}, open, task)
}

// upload is Upload with an upload that may be open already.
func (r *Repository) upload(ctx context.Context, d v1.Descriptor, at opened, open func(context.Context) (io.ReadCloser, error), task progress.Task) error {
	u := &partial{Repository: r, d: d, ref: r.reference(d.Digest.String()), open: open, meter: &meter{task: task}, opened: at}
	defer u.giveUpContent()
	first := true
	err := retry.Do(ctx, r.env.Log, r.env.Retry, "uploading "+u.ref, func(ctx context.Context) error {
		if !first {
			u.opened = opened{}
			if has, err := r.HasBlob(ctx, d.Digest); err != nil || has {
				return err
			}
		}
		first = false
		return u.attempt(ctx)
	})
	if err != nil {
		u.meter.set(0)
		return err
	}
	u.meter.set(d.Size)
	return nil
}

// attempt uploads the blob in parts if it is large and the registry takes parts, and at once otherwise.
func (u *partial) attempt(ctx context.Context) error {
	if !u.whole && !u.onlyWhole.Load() && u.d.Size > u.wholeLimit {
		err := u.inParts(ctx)
		if !errors.Is(err, errNoParts) {
			return err
		}
		u.env.Log.Info("the registry takes no parts of a blob: sending it whole", "blob", u.ref, "error", err)
		u.onlyWhole.Store(true)
		u.opened = opened{}
	}
	u.giveUpContent()
	u.meter.set(0)
	if err := u.reopen(ctx); err != nil {
		return err
	}
	content, err := u.open(ctx)
	if err != nil {
		return err
	}
	return u.send(ctx, u.location, u.d, content, u.meter)
}

// reopen opens an upload, if none is.
func (u *partial) reopen(ctx context.Context) (err error) {
	if u.location == nil {
		u.opened, err = u.begin(ctx, u.d.Digest, nil)
	}
	return err
}

// opened is an upload that a registry waits for.
type opened struct {
	// location is where it goes on; nil if nothing has to be uploaded.
	location *url.URL
	// minChunk is how many bytes each part but the last must have at least; 0 if the registry does not say.
	minChunk int64
}

// begin opens an upload. With a repository to mount from it may be all that is needed; then there is no location.
func (r *Repository) begin(ctx context.Context, digest v1.Hash, from *name.Repository) (opened, error) {
	query := url.Values{}
	if from != nil {
		query.Set("mount", digest.String())
		query.Set("from", from.RepositoryStr())
	}
	ref := r.reference(digest.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("blobs/uploads/", query), nil)
	if err != nil {
		return opened{}, fmt.Errorf("opening an upload of %s: %w", ref, err)
	}
	resp, err := r.do(req, ref, http.StatusCreated, http.StatusAccepted)
	if err != nil && from != nil && ctx.Err() == nil {
		return r.begin(ctx, digest, nil) // some registries refuse a mount where others ignore it
	}
	if err != nil {
		return opened{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated && from != nil {
		return opened{}, nil // mounted
	}
	location, err := uploadLocation(resp, ref)
	if err != nil {
		return opened{}, err
	}
	least, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64)
	if err != nil || least < 0 {
		least = 0
	}
	return opened{location: location, minChunk: least}, nil
}

// uploadLocation reads where an upload goes on. A registry may name another host, but not one inside the network that the build
// runs in: what is uploaded, and that it is, would be the registry's choice.
func uploadLocation(resp *http.Response, ref string) (*url.URL, error) {
	location, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, failure.New(failure.Unavailable, "%s: the registry opened an upload without saying where", ref)
	}
	if location.Host == resp.Request.URL.Host {
		return location, nil
	}
	if isInside(location.Hostname()) {
		return nil, failure.New(failure.Untrusted, "%s: the registry directs the upload to %s, an address inside a private network", ref, location.Host)
	}
	return location, nil
}

// isInside says whether a host is spelled as an address of a private network, or as this machine. Names are not looked up: what they
// mean, whoever runs the network decides, not the registry.
func isInside(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	address = address.Unmap()
	return err == nil && (address.IsPrivate() || address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsUnspecified())
}

// send uploads the content at once. Errors that another try may not meet are marked for retry.
func (r *Repository) send(ctx context.Context, location *url.URL, d v1.Descriptor, content io.ReadCloser, meter *meter) error {
	ref := r.reference(d.Digest.String())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body := &tracked{ReadCloser: content, meter: meter, stall: time.AfterFunc(stallLimit, func() { cancel(errStalled) })}
	defer body.stall.Stop()
	defer body.end()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, withDigest(location, d), body)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", ref, err)
	}
	req.ContentLength = d.Size
	if d.Size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := r.client.Do(req)
	if err != nil {
		return uploadError(ctx, err, body.failure(), ref)
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusNoContent); err != nil {
		return uploadAnswer(ctx, resp, err, body.failure(), ref)
	}
	return nil
}

// withDigest is where an upload is completed.
func withDigest(location *url.URL, d v1.Descriptor) string {
	query := location.Query()
	query.Set("digest", d.Digest.String())
	target := *location
	target.RawQuery = query.Encode()
	return target.String()
}
