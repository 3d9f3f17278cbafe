package deploy

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// classify is cluster.Classify with what only applying objects meets.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case meta.IsNoMatchError(err):
		return failure.New(failure.NotFound, "the cluster does not have this API: %w", err)
	case hasCause(err, "FieldManagerConflict"):
		return failure.WithHint(failure.New(failure.Conflict, "somebody else has set what would be changed: %w", err),
			"put the change into the configuration or an overlay, or take the fields over with --force-conflicts")
	case refused(err) && !apierrors.IsForbidden(err):
		return failure.New(failure.InvalidInput, "%w", err)
	}
	return cluster.Classify(err)
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
