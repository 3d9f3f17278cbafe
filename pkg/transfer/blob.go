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
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
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
	ref := r.reference(d.Digest.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("blobs/"+d.Digest.String(), nil), nil)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", ref, err)
	}
	resp, err := r.do(req, ref, http.StatusOK)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength >= 0 && resp.ContentLength != d.Size {
		_ = resp.Body.Close()
		return nil, failure.New(failure.Untrusted, "%s: the registry has %d bytes, the manifest says %d", ref, resp.ContentLength, d.Size)
	}
	return resp.Body, nil
}

// begin opens an upload. With a repository to mount from it may be all that is needed; then location is empty.
func (r *Repository) begin(ctx context.Context, digest v1.Hash, from *name.Repository) (location *url.URL, err error) {
	query := url.Values{}
	if from != nil {
		query.Set("mount", digest.String())
		query.Set("from", from.RepositoryStr())
	}
	ref := r.reference(digest.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("blobs/uploads/", query), nil)
	if err != nil {
		return nil, fmt.Errorf("opening an upload of %s: %w", ref, err)
	}
	resp, err := r.do(req, ref, http.StatusCreated, http.StatusAccepted)
	if err != nil && from != nil && ctx.Err() == nil {
		return r.begin(ctx, digest, nil) // some registries refuse a mount where others ignore it
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated && from != nil {
		return nil, nil //nolint:nilnil // mounted: there is no location
	}
	return uploadLocation(resp, ref)
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
func (r *Repository) send(ctx context.Context, location *url.URL, d v1.Descriptor, content io.ReadCloser) error {
	ref := r.reference(d.Digest.String())
	query := location.Query()
	query.Set("digest", d.Digest.String())
	target := *location
	target.RawQuery = query.Encode()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body := &tracked{ReadCloser: content, stall: time.AfterFunc(stallLimit, func() { cancel(errStalled) })}
	defer body.stall.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target.String(), body)
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

// stallLimit is how long a registry may take nothing of an upload before the connection counts as broken.
const stallLimit = 2 * time.Minute

var errStalled = errors.New("the upload stalled")

// tracked remembers whether it was the content that could not be read, and ends the upload when nothing is read for too long. The
// transport may still be reading when the registry has answered, and closes the content then: what that does to the read is no failure.
type tracked struct {
	io.ReadCloser
	stall *time.Timer

	mu     sync.Mutex
	failed error
	closed bool
}

func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if t.stall.Stop() && err == nil { // after the last byte the time limit of the answer counts
		t.stall.Reset(stallLimit)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && !errors.Is(err, io.EOF) && !t.closed {
		t.failed = err
	}
	return n, err
}

// Close implements io.Closer.
func (t *tracked) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	return t.ReadCloser.Close()
}

// failure is why the content could not be read; nil if it could.
func (t *tracked) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// uploadError sorts errors without an answer. A connection that broke is worth another try, with the content from its beginning.
func uploadError(ctx context.Context, err, reading error, ref string) error {
	if reading != nil {
		err = reading
	}
	if errors.Is(context.Cause(ctx), errStalled) {
		return retry.Temporary(failure.New(failure.Unavailable, "%s: %w", ref, errStalled))
	}
	classified := registry.Classify(err, ref)
	switch {
	case ctx.Err() != nil:
		return classified
	case failure.KindOf(classified) == failure.Unavailable:
		return retry.Temporary(classified)
	default:
		return classified
	}
}

// uploadAnswer sorts the answers that are errors.
func uploadAnswer(ctx context.Context, resp *http.Response, err, reading error, ref string) error {
	classified := registry.Classify(err, ref)
	if reading != nil { // the registry complains about what it did not get
		return uploadError(ctx, reading, nil, ref)
	}
	text := strings.ToLower(err.Error())
	switch code := resp.StatusCode; {
	case strings.Contains(text, "digest_invalid"):
		return failure.New(failure.Untrusted, "%s: %w: %w", ref, errDigest, err)
	case strings.Contains(text, "no space left"), code == http.StatusInsufficientStorage:
		return classified
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= http.StatusInternalServerError:
		return retry.After(classified, retryAfter(resp.Header))
	case code == http.StatusNotFound, code == http.StatusUnauthorized, code == http.StatusRequestedRangeNotSatisfiable, code == statusClientClosed,
		strings.Contains(text, "blob_upload"):
		return retry.Temporary(classified) // the upload was forgotten, or the token expired while it ran
	default:
		return classified
	}
}

// statusClientClosed is what registries behind nginx, and distribution itself, answer when an upload was cut.
const statusClientClosed = 499

// retryAfter reads the header in seconds, the form that registries use.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// Upload stores a blob whose content open returns, from its beginning each time. It is tried again when the connection breaks or
// the registry is overloaded; before each further try the registry is asked whether it has the blob after all.
func (r *Repository) Upload(ctx context.Context, d v1.Descriptor, open func(context.Context) (io.ReadCloser, error), task progress.Task) error {
	return r.upload(ctx, d, nil, open, task)
}

// upload is Upload with a location that is open already.
func (r *Repository) upload(ctx context.Context, d v1.Descriptor, location *url.URL, open func(context.Context) (io.ReadCloser, error), task progress.Task) error {
	first := true
	return retry.Do(ctx, r.env.Log, r.env.Retry, "uploading "+r.reference(d.Digest.String()), func(ctx context.Context) error {
		if !first {
			location = nil
			if has, err := r.HasBlob(ctx, d.Digest); err != nil || has {
				return err
			}
		}
		first = false
		var err error
		if location == nil {
			if location, err = r.begin(ctx, d.Digest, nil); err != nil {
				return err
			}
		}
		content, err := open(ctx)
		if err != nil {
			return err
		}
		counted := &counter{ReadCloser: content, task: task}
		if err := r.send(ctx, location, d, counted); err != nil {
			counted.takeBack()
			return err
		}
		return nil
	})
}

// counter reports what passes to a task.
type counter struct {
	io.ReadCloser
	task  progress.Task
	count int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.count += int64(n)
	c.task.Add(int64(n))
	return n, err
}

func (c *counter) takeBack() { c.task.Add(-c.count) }
