package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// classify is Classify, but for a request that ended because ctx did.
func classify(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return Classify(err)
}

// Classify gives an error of a request to the API server, through whichever client, its kind, and marks it when another try is worth it.
// That a context has ended stays what it is.
func Classify(err error) error {
	var untrusted *tls.CertificateVerificationError
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &untrusted):
		return failure.New(failure.Untrusted, "%w", err)
	case errors.Is(err, errTooLarge):
		return failure.New(failure.Unavailable, "%w", err)
	case errors.As(err, &status):
		return classifyStatus(status.Status(), err)
	default: // nobody has answered
		return retry.Temporary(failure.New(failure.Unavailable, "%w", err))
	}
}

func classifyStatus(s metav1.Status, err error) error {
	switch {
	case s.Code == http.StatusNotFound && !fromAPI(err):
		// Not this object, but its whole API is not there, or not yet: that says nothing about the object.
		return retry.Temporary(failure.New(failure.Unavailable, "the API server does not serve this resource: %w", err))
	case s.Code == http.StatusNotFound:
		return failure.New(failure.NotFound, "%w", err)
	case s.Code == http.StatusConflict:
		return failure.New(failure.Conflict, "%w", err)
	case s.Code == http.StatusUnauthorized, s.Code == http.StatusForbidden:
		return failure.New(failure.Unauthorized, "%w", err)
	case s.Code == http.StatusTooManyRequests, s.Code >= http.StatusInternalServerError:
		err = failure.New(failure.Unavailable, "%w", err)
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			return retry.After(err, time.Duration(seconds)*time.Second)
		}
		return retry.Temporary(err)
	case s.Code >= http.StatusBadRequest && s.Reason != metav1.StatusReasonExpired:
		return failure.New(failure.InvalidInput, "%w", err)
	default:
		return failure.New(failure.Unavailable, "%w", err)
	}
}

// fromAPI says that the error is one that the API itself has given, not a web server before it.
func fromAPI(err error) bool {
	return !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isExpired says that a list cannot be continued.
func isExpired(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }
