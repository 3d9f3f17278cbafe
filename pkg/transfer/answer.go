package transfer

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// uploadError sorts errors without an answer. A connection that broke is worth another try, with the content from its beginning.
func uploadError(ctx context.Context, err, reading error, ref string) error {
	if reading != nil {
		err = reading
	}
	if errors.Is(err, errSentAlready) {
		return retry.Temporary(failure.New(failure.Unauthorized, "%s: %w", ref, errSentAlready))
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
		return retry.After(classified, registry.RetryAfter(resp.Header, time.Now()))
	case code == http.StatusNotFound, code == http.StatusUnauthorized, code == http.StatusRequestedRangeNotSatisfiable, code == statusClientClosed,
		strings.Contains(text, "blob_upload"):
		return retry.Temporary(classified) // the upload was forgotten, or the token expired while it ran
	default:
		return classified
	}
}

// statusClientClosed is what registries behind nginx, and distribution itself, answer when an upload was cut.
const statusClientClosed = 499
