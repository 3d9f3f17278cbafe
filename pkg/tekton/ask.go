package tekton

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/installation"
)

// SetPaused implements osbs.Instance.
func (i *Instance) SetPaused(ctx context.Context, buildConfig string, paused bool) (bool, error) {
	return buildconfig.SetPaused(ctx, i.conf.BuildConfigs, buildConfig, paused)
}

// RequestRebuild implements osbs.Instance: it writes annotations, and the watcher does the rest.
func (i *Instance) RequestRebuild(ctx context.Context, user string, buildConfigs []string) (time.Time, error) {
	if err := i.refuseWhilePaused(ctx); err != nil {
		return time.Time{}, err
	}
	at := i.conf.Now().UTC()
	return at, buildconfig.Ask(ctx, i.conf.BuildConfigs, buildConfigs, buildconfig.Request{Time: at, User: user})
}

// WithdrawRebuild implements osbs.Instance.
func (i *Instance) WithdrawRebuild(ctx context.Context, at time.Time, buildConfigs []string) error {
	return buildconfig.Withdraw(ctx, i.conf.BuildConfigs, buildConfigs, at)
}

// leadIsOver is for how long the watcher's Lease may not have been renewed before nobody counts as its holder; another replica needs 15 s.
const leadIsOver = time.Minute

// unwatched says whether no watcher leads in the namespace.
func (i *Instance) unwatched(ctx context.Context) (bool, error) {
	name := installation.Imagewatch(i.conf.Name)
	lease, err := i.conf.Kubernetes.CoordinationV1().Leases(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, classify("reading Lease "+name, err)
	case lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || lease.Spec.RenewTime == nil:
		return true, nil
	default:
		return i.conf.Now().Sub(lease.Spec.RenewTime.Time) > leadIsOver, nil
	}
}
