package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

const (
	// defaultWholeLimit is the size, in bytes, up to which a blob is sent at once: to send so much again costs little more than to find out where
	// to go on, and one request does what else takes three.
	defaultWholeLimit = 64 << 20
	// defaultPartSize is how much of a larger blob goes into one request, in bytes. What breaks with a request is lost in registries that keep
	// only whole parts, and where a proxy collects a request before it passes it on, it must have room for it.
	defaultPartSize = 64 << 20
)

var (
	// errNoParts says that a registry does not take parts of a blob, or not in a way that makes sense.
	errNoParts = errors.New("the registry takes no parts of a blob")
	// errLost says that a registry has forgotten what it had of a blob.
	errLost = errors.New("the registry has forgotten the upload")
)

// partial is the upload of a blob of which the registry may have a part.
type partial struct {
	*Repository
	opened
	d     v1.Descriptor
	ref   string
	open  func(context.Context) (io.ReadCloser, error)
	meter *meter

	// whole says that this blob is sent at once.
	whole bool
	// offset is how much the registry has, in bytes; unsure says that it may have more, because a request broke.
	offset int64
	unsure bool
	// taken says that the registry has taken a part, doubtful that what it has depends on what it said of it.
	taken, doubtful bool
	// answered says that the last request that failed had an answer.
	answered bool
	// content continues at offset; nil if it is to be opened.
	content io.ReadCloser
}

// inParts sends the blob from its beginning, part by part, and completes it. That the registry has lost what it had is temporary.
func (u *partial) inParts(ctx context.Context) error {
	u.giveUpContent()
	u.offset, u.unsure, u.taken, u.doubtful = 0, false, false, false
	u.meter.set(0)
	if err := u.reopen(ctx); err != nil {
		return err
	}
	for u.offset < u.d.Size {
		what := fmt.Sprintf("uploading %s from byte %d on", u.ref, u.offset)
		err := retry.Do(ctx, u.env.Log, u.env.Retry, what, u.next)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return err
		case errors.Is(err, errNoParts):
			return err
		case errors.Is(err, errLost):
			// A registry that has never kept a part is not asked to once more.
			u.whole = !u.taken
			return retry.Temporary(failure.New(failure.Unavailable, "%s: %w", u.ref, err))
		case u.answered && !u.taken && failure.KindOf(err) == failure.Unavailable:
			return fmt.Errorf("%w: %w", errNoParts, err)
		default:
			return err
		}
	}
	return u.complete(ctx)
}

// next sends the next part. Errors that another try may not meet are marked for retry.
func (u *partial) next(ctx context.Context) error {
	if u.unsure {
		if err := u.ask(ctx); err != nil || u.offset == u.d.Size {
			return err
		}
	}
	if err := u.contentAtOffset(ctx); err != nil {
		return err
	}
	err := u.patch(ctx, min(max(u.partSize, u.minChunk), u.d.Size-u.offset))
	if err != nil {
		u.giveUpContent()
		u.meter.set(u.offset)
	}
	return err
}

// contentAtOffset opens the content, if it is not open, where the registry lacks it.
func (u *partial) contentAtOffset(ctx context.Context) error {
	if u.content != nil {
		return nil
	}
	content, err := u.open(ctx)
	if err != nil {
		return err
	}
	u.content = content
	if u.offset == 0 {
		return nil
	}
	if seeker, ok := content.(io.Seeker); ok {
		_, err = seeker.Seek(u.offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, content, u.offset)
	}
	if err != nil {
		u.giveUpContent()
		return uploadError(ctx, err, nil, u.ref)
	}
	return nil
}

func (u *partial) giveUpContent() {
	if u.content != nil {
		_ = u.content.Close() // it was read only
		u.content = nil
	}
}

// patch sends so many bytes from the offset on. The range is told although older registries do not look at it: the specification wants
// it, and newer ones check with it that nothing is missing or there twice.
func (u *partial) patch(ctx context.Context, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body := &tracked{
		ReadCloser: io.NopCloser(io.LimitReader(u.content, size)), meter: u.meter,
		stall: time.AfterFunc(stallLimit, func() { cancel(errStalled) }),
	}
	defer body.stall.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, u.location.String(), body)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", u.ref, err)
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, u.offset+size-1))
	resp, err := u.client.Do(req)
	body.end()
	if err != nil {
		u.unsure, u.answered = true, false
		return uploadError(ctx, err, body.failure(), u.ref)
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusAccepted, http.StatusNoContent, http.StatusOK); err != nil {
		u.unsure, u.answered = true, true
		if !u.taken && !u.doubtful && refusesParts(resp.StatusCode) && body.failure() == nil {
			return fmt.Errorf("%w: status %s", errNoParts, resp.Status)
		}
		return uploadAnswer(ctx, resp, err, body.failure(), u.ref)
	}
	return u.accepted(resp, size)
}

// refusesParts says whether a registry may mean with an answer that it takes no parts: there is no one answer for this.
func refusesParts(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusRequestedRangeNotSatisfiable, http.StatusNotImplemented:
		return true
	default:
		return false
	}
}

// accepted reads from the answer to a part how much the registry now has, and where to go on. A registry that does not say has all.
func (u *partial) accepted(resp *http.Response, size int64) error {
	has, ok := u.offset+size, true
	if header := resp.Header.Get("Range"); header != "" {
		has, ok = parseRange(header)
	}
	if ok && has == size && u.offset > 0 { // zot tells the size of the part
		has, u.doubtful = u.offset+size, true
	}
	if !ok || has <= u.offset || has > u.offset+size {
		return fmt.Errorf("%w: it was sent bytes %d to %d, and says that it has %.60q", errNoParts, u.offset, u.offset+size-1, resp.Header.Get("Range"))
	}
	if err := u.goOn(resp); err != nil {
		return err
	}
	if has != u.offset+size { // the content is further
		u.giveUpContent()
	}
	u.offset, u.taken, u.unsure = has, true, false
	u.meter.set(has)
	return nil
}

// goOn remembers where the upload goes on, if the answer says so.
func (u *partial) goOn(resp *http.Response) error {
	if resp.Header.Get("Location") == "" {
		return nil
	}
	location, err := uploadLocation(resp, u.ref)
	if err != nil {
		return err
	}
	u.location = location
	return nil
}

// ask asks the registry how much it has after a request broke. That it does not know is errLost.
func (u *partial) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.location.String(), nil)
	if err != nil {
		return fmt.Errorf("asking for the upload of %s: %w", u.ref, err)
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return uploadError(ctx, err, nil, u.ref)
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusNoContent, http.StatusAccepted, http.StatusOK); err != nil {
		switch code := resp.StatusCode; {
		case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusTooManyRequests, code >= http.StatusInternalServerError:
			return uploadAnswer(ctx, resp, err, nil, u.ref)
		default:
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	has, ok := parseRange(resp.Header.Get("Range"))
	if !ok || has < u.offset || has > u.d.Size {
		return fmt.Errorf("%w: %w: it says that it has %.60q of %d bytes", errLost, errNoParts, resp.Header.Get("Range"), u.d.Size)
	}
	if err := u.goOn(resp); err != nil {
		return err
	}
	u.env.Log.Info("continuing an upload", "blob", u.ref, "at", has, "of", u.d.Size)
	u.offset, u.unsure, u.doubtful = has, false, true
	u.meter.set(has)
	return nil
}

// parseRange reads how many bytes a registry has from 0-LAST. 0-0 is what one that has nothing says.
func parseRange(header string) (bytes int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	if !found || first != "0" {
		return 0, false
	}
	n, err := strconv.ParseUint(last, 10, 62)
	if err != nil {
		return 0, last == "-1" // zot counts so
	}
	if n == 0 {
		return 0, true
	}
	return int64(n) + 1, true
}

// complete names the digest of what the registry has. If the content differs from it, and it was put together by what the registry said,
// that may be why: it is sent whole then.
func (u *partial) complete(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, withDigest(u.location, u.d), http.NoBody)
	if err != nil {
		return fmt.Errorf("uploading %s: %w", u.ref, err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := u.client.Do(req)
	if err != nil {
		return uploadError(ctx, err, nil, u.ref)
	}
	defer resp.Body.Close()
	err = transport.CheckError(resp, http.StatusCreated, http.StatusNoContent)
	if err == nil {
		return nil
	}
	err = uploadAnswer(ctx, resp, err, nil, u.ref)
	if u.doubtful && errors.Is(err, errDigest) {
		u.whole = true
		return retry.Temporary(err)
	}
	return err
}
