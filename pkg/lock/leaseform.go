package lock

import (
	"encoding/json"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Labels and annotations of the Lease.
const (
	// Kind is the value of the label configmap.LabelKind.
	Kind = "lock"
	// AnnotationQueue holds, as JSON, who waits.
	AnnotationQueue = "osbs.dev/queue"
	// LabelBuildConfig is the build config's name, for people to select by, if it is short enough for a label.
	LabelBuildConfig = "osbs.dev/build-config"
)

// Selector selects the Leases that are locks.
const Selector = configmap.LabelManagedBy + "=" + configmap.ManagedBy + "," + configmap.LabelKind + "=" + Kind

// maxLabel is how long the value of a label may be, in bytes.
const maxLabel = 63

// queue is the annotation: the state without the holder, which the Lease's own fields name.
type queue struct {
	Waiting    []entry `json:"waiting,omitempty"`
	Superseded []entry `json:"superseded,omitempty"`
	Next       int64   `json:"next,omitempty"`
}

// identity is the holderIdentity of a build: NAME/UID.
func identity(h Holder) string { return h.Build + "/" + h.UID }

// fromLease reads a Lease.
func fromLease(lease *coordinationv1.Lease) (*state, error) {
	if lease.Labels[configmap.LabelManagedBy] != configmap.ManagedBy || lease.Labels[configmap.LabelKind] != Kind {
		err := failure.New(failure.Conflict, "Lease %s is no lock of a build config: it has not the labels %s", lease.Name, Selector)
		return nil, failure.WithHint(err, "it is somebody else's: name another build config")
	}
	malformed := func(err error) error {
		return failure.WithHint(err, "if no build of %s runs or waits, delete the Lease", lease.Name)
	}
	var q queue
	if text := lease.Annotations[AnnotationQueue]; text != "" {
		if err := json.Unmarshal([]byte(text), &q); err != nil {
			return nil, malformed(failure.New(failure.InvalidInput, "Lease %s: annotation %s: %w", lease.Name, AnnotationQueue, err))
		}
	}
	s := &state{Waiting: q.Waiting, Superseded: q.Superseded, Next: q.Next}
	for _, b := range s.all() {
		if b.Build == "" || b.UID == "" {
			return nil, malformed(failure.New(failure.InvalidInput, "Lease %s: annotation %s: a build has no name or no UID", lease.Name, AnnotationQueue))
		}
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return s, nil
	}
	build, uid, found := strings.Cut(*lease.Spec.HolderIdentity, "/")
	if !found || build == "" || uid == "" {
		return nil, malformed(failure.New(failure.InvalidInput, "Lease %s: holderIdentity %q is not PIPELINERUN/UID", lease.Name, *lease.Spec.HolderIdentity))
	}
	s.Holder = &entry{Holder: Holder{Build: build, UID: uid}}
	if lease.Spec.AcquireTime != nil {
		s.Holder.Since = lease.Spec.AcquireTime.UTC()
	}
	return s, nil
}

// toLease returns the Lease that says s, and whether it differs from the one that is stored, nil if none is.
func toLease(name string, stored *coordinationv1.Lease, s *state, now time.Time) (*coordinationv1.Lease, bool, error) {
	next := &coordinationv1.Lease{TypeMeta: metav1.TypeMeta{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease"}}
	if stored != nil {
		next = stored.DeepCopy()
	} else {
		next.Name = name
		next.Labels = map[string]string{configmap.LabelManagedBy: configmap.ManagedBy, configmap.LabelKind: Kind}
		if len(name) <= maxLabel {
			next.Labels[LabelBuildConfig] = name
		}
	}
	text, err := encodeQueue(s)
	if err != nil {
		return nil, false, failure.New(failure.Internal, "encoding the lock of %s: %w", name, err)
	}
	changed := text != next.Annotations[AnnotationQueue]
	if text == "" {
		delete(next.Annotations, AnnotationQueue)
	} else {
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, AnnotationQueue, text)
	}
	return next, setHolder(&next.Spec, s.Holder, now) || changed, nil
}

func encodeQueue(s *state) (string, error) {
	if len(s.Waiting) == 0 && len(s.Superseded) == 0 { // arrivals need no numbers any more
		return "", nil
	}
	text, err := json.Marshal(queue{Waiting: s.Waiting, Superseded: s.Superseded, Next: s.Next})
	return string(text), err
}

// setHolder says whether the holder is another one now.
func setHolder(spec *coordinationv1.LeaseSpec, holder *entry, now time.Time) bool {
	before := ""
	if spec.HolderIdentity != nil {
		before = *spec.HolderIdentity
	}
	if holder == nil {
		spec.HolderIdentity, spec.AcquireTime, spec.RenewTime = nil, nil, nil
		return before != ""
	}
	after := identity(holder.Holder)
	if before == after {
		return false
	}
	taken, transitions := metav1.NewMicroTime(now), int32(1)
	if spec.LeaseTransitions != nil {
		transitions += *spec.LeaseTransitions
	}
	spec.HolderIdentity, spec.AcquireTime, spec.RenewTime, spec.LeaseTransitions = &after, &taken, &taken, &transitions
	return true
}
