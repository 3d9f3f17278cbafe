package tekton

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// keyPausedBy is the key of the ConfigMap that says who has paused builds.
const keyPausedBy = "paused-by"

// Pause has no build begin in the namespace until Resume, whoever starts it: a build that is started by other means than osbs fails at
// its lock stage, rebuilds are put off. Builds that run go on. That builds are paused already is not an error.
func (i *Instance) Pause(ctx context.Context, user string) error {
	mark := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: installation.Paused(i.conf.Name), Labels: map[string]string{configmap.LabelManagedBy: configmap.ManagedBy}},
		Data:       map[string]string{keyPausedBy: user},
	}
	_, err := i.conf.Kubernetes.CoreV1().ConfigMaps(i.conf.Namespace).Create(ctx, mark, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return classify("creating ConfigMap "+mark.Name, err)
}

// Resume ends what Pause began. That builds are not paused is not an error.
func (i *Instance) Resume(ctx context.Context) error {
	name := installation.Paused(i.conf.Name)
	err := i.conf.Kubernetes.CoreV1().ConfigMaps(i.conf.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return classify("deleting ConfigMap "+name, err)
}

// Paused is when builds were paused; nil if they are not.
func (i *Instance) Paused(ctx context.Context) (*time.Time, error) {
	pause, err := i.pause(ctx)
	if err != nil || pause == nil {
		return nil, err
	}
	return &pause.Since, nil
}

// pause is nil while builds may begin.
func (i *Instance) pause(ctx context.Context) (*osbs.Pause, error) {
	name := installation.Paused(i.conf.Name)
	mark, err := i.conf.Kubernetes.CoreV1().ConfigMaps(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // not being paused is not an error
	case err != nil:
		return nil, classify("reading ConfigMap "+name, err)
	}
	return &osbs.Pause{Since: mark.CreationTimestamp.UTC(), By: mark.Data[keyPausedBy]}, nil
}

// refuseWhilePaused is an error while builds are paused.
func (i *Instance) refuseWhilePaused(ctx context.Context) error {
	since, err := i.Paused(ctx)
	if err != nil || since == nil {
		return err
	}
	return failure.WithHint(failure.New(failure.Conflict, "builds are paused in namespace %s since %s", i.conf.Namespace, since.Format("2006-01-02 15:04 UTC")),
		"osbs resume-builds ends that")
}

// Idle returns when no build of the namespace runs. ended is called for each that it has waited for.
func (i *Instance) Idle(ctx context.Context, ended func(osbs.Build)) error {
	running, err := i.List(ctx, osbs.Filter{Running: true})
	if err != nil {
		return err
	}
	for _, b := range running {
		for event, err := range i.Watch(ctx, b.Name) {
			if failure.KindOf(err) == failure.NotFound { // deleted, which has ended it
				break
			}
			if err != nil {
				return err
			}
			if event.Build.State.Ended() {
				ended(event.Build)
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
