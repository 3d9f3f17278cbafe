package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/osbs-tekton/osbs/pkg/retry"
)

// errStalled says that a server sent nothing for too long.
var errStalled = errors.New("the connection stalled")

// stallLimit is how long a server may send nothing in the middle of a body before the connection counts as broken.
const stallLimit = time.Minute

// maxResumes bounds how often the body of one response is continued on a new connection.
const maxResumes = 100

// once sends a request that must not be repeated after its body has begun to flow: the upload of a layer. It asks the server to look
// at the headers first, so that a 401, which an expired token causes in the middle of a push, leaves the body untouched, and the
// transport above can send the request again with a new token.
func (t *retryTransport) once(req *http.Request) (*http.Response, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return t.inner.RoundTrip(req)
	}
	again, err := repeat(req)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	body := &untouchedBody{ReadCloser: again.Body, stall: t.stall, watch: time.AfterFunc(time.Hour, func() { cancel(errStalled) })}
	body.watch.Stop() // it runs between the reads
	again = again.WithContext(ctx)
	again.Body = body
	again.Header.Set("Expect", "100-continue")
	resp, err := t.inner.RoundTrip(again)
	untouched := body.detach()
	if err == nil {
		resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, stall: t.stall}
		if resp.StatusCode == http.StatusUnauthorized && (req.GetBody != nil || untouched) {
			return resp, nil
		}
	} else {
		if errors.Is(context.Cause(ctx), errStalled) {
			err = errStalled
		}
		cancel(nil)
	}
	_ = req.Body.Close() // a RoundTripper must; a failed close of what was read says nothing
	return resp, err
}

// untouchedBody knows whether anything of it was read, and watches that the server takes what was. Its owner closes it.
type untouchedBody struct {
	io.ReadCloser
	stall time.Duration
	watch *time.Timer

	mu       sync.Mutex
	touched  bool
	detached bool
}

var errDetached = errors.New("the request has been answered")

// Read reads the next part. Until it is called again, the server has to take this one; at the end, the time limit for the answer
// begins instead.
func (b *untouchedBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.touched = true
	b.watch.Stop()
	detached := b.detached
	b.mu.Unlock()
	if detached {
		return 0, errDetached
	}
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil && !b.detached {
		b.watch.Reset(b.stall)
	}
	return n, err
}

// Close leaves the body open: it may be sent again.
func (b *untouchedBody) Close() error { return nil }

// detach takes the body away from the transport, and says whether it still has all of its bytes.
func (b *untouchedBody) detach() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.detached = true
	b.watch.Stop()
	return !b.touched
}

// send sends one copy of req, whose answer ends when it stalls.
func (t *retryTransport) send(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	resp, err := t.inner.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Body = &watchedBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, stall: t.stall}
	return resp, nil
}

// watchedBody ends when a single Read takes too long.
type watchedBody struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // the context is the body's lifetime
	cancel context.CancelCauseFunc
	stall  time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.stall, func() { b.cancel(errStalled) })
	n, err := b.ReadCloser.Read(p)
	timer.Stop()
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.cancel(nil)
	return b.ReadCloser.Close()
}

// maxManifest bounds the body of a manifest, in bytes: clients read manifests into memory, and registries accept 4 MiB.
const maxManifest = 8 << 20

// boundedBody ends with an error after maxManifest bytes.
type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, fmt.Errorf("a manifest is larger than %d bytes", maxManifest)
	}
	return n, err
}

// resumable makes the body of resp survive a broken connection, where what follows can be asked for again.
func (t *retryTransport) resumable(req *http.Request, resp *http.Response) *http.Response {
	if strings.Contains(req.URL.Path, "/manifests/") {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxManifest}
	}
	hasIdentity := resp.Header.Get("Etag") != "" || strings.Contains(req.URL.Path, "/blobs/")
	if req.Method != http.MethodGet || resp.StatusCode != http.StatusOK || resp.ContentLength <= 0 || req.Header.Get("Range") != "" || !hasIdentity {
		return resp
	}
	resp.Body = &resumingBody{t: t, req: req, first: resp.Header, length: resp.ContentLength, body: resp.Body}
	return resp
}

// resumingBody continues on a new connection where the old one broke.
type resumingBody struct {
	t       *retryTransport
	req     *http.Request
	first   http.Header
	length  int64
	offset  int64
	resumes int
	body    io.ReadCloser
}

func (b *resumingBody) Read(p []byte) (int, error) {
	for {
		n, err := b.body.Read(p)
		b.offset += int64(n)
		if n > 0 && err != nil && b.offset < b.length {
			err = nil // what came is good; the next Read meets the error again
		}
		if n > 0 || err == nil || errors.Is(err, io.EOF) && b.offset >= b.length {
			return n, err
		}
		if !isTemporaryError(err) || b.req.Context().Err() != nil || b.resumes >= maxResumes {
			return n, err
		}
		if err := b.resume(err); err != nil {
			return n, err
		}
	}
}

func (b *resumingBody) Close() error { return b.body.Close() }

// resume replaces the body by the rest of it; cause is why.
func (b *resumingBody) resume(cause error) error {
	b.resumes++
	_ = b.body.Close() // it is broken
	b.t.env.Log.Warn("continuing a download", "what", requestName(b.req), "at", b.offset, "of", b.length, "error", cause)
	return retry.Do(b.req.Context(), b.t.env.Log, b.t.env.Retry, requestName(b.req), func(ctx context.Context) error {
		again := b.req.Clone(ctx)
		again.Header.Set("Range", fmt.Sprintf("bytes=%d-", b.offset))
		resp, err := b.t.send(again)
		if err != nil {
			return markTemporary(err)
		}
		if err := b.accept(resp); err != nil {
			_ = resp.Body.Close() // the error says more
			return err
		}
		b.body = resp.Body
		return nil
	})
}

// accept checks that resp is the rest of the same content, and skips what is known already.
func (b *resumingBody) accept(resp *http.Response) error {
	if isTemporaryStatus(resp.StatusCode) {
		return retry.After(fmt.Errorf("status %s", resp.Status), RetryAfter(resp.Header, time.Now()))
	}
	for _, key := range []string{"Etag", "Docker-Content-Digest"} {
		if was, is := b.first.Get(key), resp.Header.Get(key); was != "" && is != "" && was != is {
			return errors.New("the content changed while it was read")
		}
	}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if want := fmt.Sprintf("bytes %d-", b.offset); !strings.HasPrefix(resp.Header.Get("Content-Range"), want) {
			return fmt.Errorf("asked for %q, got Content-Range %q: %w", want, resp.Header.Get("Content-Range"), io.ErrUnexpectedEOF)
		}
		return nil
	case http.StatusOK:
		_, err := io.CopyN(io.Discard, resp.Body, b.offset)
		return markTemporary(err)
	default:
		return fmt.Errorf("continuing a download: status %s: %w", resp.Status, io.ErrUnexpectedEOF)
	}
}
