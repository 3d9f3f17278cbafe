package situation

import (
	imagev1 "github.com/openshift/api/image/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Trim keeps of an object what a situation needs of it: of a PipelineRun its facts, of an ImageStream the newest image of each tag. It
// is a cache.TransformFunc.
func Trim(object any) (any, error) {
	switch o := object.(type) {
	case *PipelineRun:
		return trimRun(o), nil
	case *corev1.ConfigMap: // all but what the API server keeps for itself
		o.ManagedFields = nil
		return o, nil
	case *coordinationv1.Lease:
		return trimLease(o), nil
	case *imagev1.ImageStream:
		return trimStream(o), nil
	default:
		return object, nil
	}
}

// trimRun keeps the facts of a PipelineRun, and what a cache needs.
func trimRun(r *PipelineRun) *PipelineRun {
	if r.Facts.State != "" {
		return r
	}
	out := &PipelineRun{Facts: r.find()}
	out.Name, out.Namespace, out.UID = r.Name, r.Namespace, r.UID
	out.ResourceVersion, out.CreationTimestamp = r.ResourceVersion, r.CreationTimestamp
	return out
}

func trimLease(l *coordinationv1.Lease) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: l.Name, Namespace: l.Namespace, UID: l.UID, ResourceVersion: l.ResourceVersion},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: l.Spec.HolderIdentity},
	}
}

// trimStream keeps the names of the tags, and the newest image of each.
func trimStream(s *imagev1.ImageStream) *imagev1.ImageStream {
	out := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, UID: s.UID, ResourceVersion: s.ResourceVersion}}
	for _, tag := range s.Spec.Tags {
		out.Spec.Tags = append(out.Spec.Tags, imagev1.TagReference{Name: tag.Name})
	}
	for _, tag := range s.Status.Tags {
		newest := imagev1.NamedTagEventList{Tag: tag.Tag}
		if len(tag.Items) > 0 {
			i := tag.Items[0]
			newest.Items = []imagev1.TagEvent{{Created: i.Created, Image: i.Image, Generation: i.Generation}}
		}
		out.Status.Tags = append(out.Status.Tags, newest)
	}
	return out
}
