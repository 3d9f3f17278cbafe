package deploy

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// classify gives an error of the API server a kind, and marks it when another try is worth it.
func classify(err error) error {
	var untrusted *tls.CertificateVerificationError
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case meta.IsNoMatchError(err):
		return failure.New(failure.NotFound, "the cluster does not have this API: %w", err)
	case errors.As(err, &untrusted):
		return failure.New(failure.Untrusted, "%w", err)
	case errors.As(err, &status):
		return classifyStatus(err)
	default: // nobody has answered
		return retry.Temporary(failure.New(failure.Unavailable, "%w", err))
	}
}

func classifyStatus(err error) error {
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return failure.New(failure.Unauthorized, "%w", err)
	case apierrors.IsNotFound(err):
		return failure.New(failure.NotFound, "%w", err)
	case hasCause(err, "FieldManagerConflict"):
		return failure.WithHint(failure.New(failure.Conflict, "somebody else has set what would be changed: %w", err),
			"put the change into the configuration or an overlay, or take the fields over with --force-conflicts")
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return failure.New(failure.Conflict, "%w", err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), refused(err):
		return failure.New(failure.InvalidInput, "%w", err)
	default:
		return retry.Temporary(failure.New(failure.Unavailable, "%w", err))
	}
}

func hasCause(err error, cause string) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, c := range status.Status().Details.Causes {
		if string(c.Type) == cause {
			return true
		}
	}
	return false
}

// refused says that a webhook has looked at the object and refused it; one that could not be called is worth another try.
func refused(err error) bool {
	return strings.Contains(err.Error(), "admission webhook") && strings.Contains(err.Error(), "denied the request")
}
