//go:build e2e

package rebuild

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// The instructions of an image whose build waits at the gate that its base names, if it names one, until that is open for whoever builds; the
// content of the base is kept.
const gated = `ARG WHO=rebuild
RUN until [ ! -s /gate ] || wget -q -O /dev/null "$(cat /gate)-$WHO"; do sleep 1; done; cp /content /kept`

// gatekeeper is a pod that builds ask whether they may go on, so that a test can do something during a build, however slow the machine is.
type gatekeeper struct{ url string }

const gatePod = "gate"

func (s *site) newGatekeeper() *gatekeeper {
	s.T.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: gatePod},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: gatePod, Image: testbed.Variable(s.T, "OSBS_E2E_BUSYBOX_IMAGE"), Command: []string{"httpd", "-f", "-p", "8080", "-h", "/tmp/open"},
				VolumeMounts: []corev1.VolumeMount{{Name: "open", MountPath: "/tmp/open"}},
			}},
			Volumes: []corev1.Volume{{Name: "open", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	_, err := s.Kube.CoreV1().Pods(s.Name).Create(s.T.Context(), pod, metav1.CreateOptions{})
	s.Must(err)
	g := &gatekeeper{}
	s.Until("the pod that builds ask", 2*time.Minute, func(ctx context.Context) (bool, error) {
		p, err := s.Kube.CoreV1().Pods(s.Name).Get(ctx, gatePod, metav1.GetOptions{})
		if err != nil || p.Status.Phase != corev1.PodRunning {
			return false, err
		}
		g.url = "http://" + p.Status.PodIP + ":8080/"
		return true, nil
	})
	return g
}

// base are the files of a base on which a build waits at a gate; without one it does not wait.
func (g *gatekeeper) base(content, gate string) map[string]string {
	files := map[string]string{"content": content + "\n", "gate": ""}
	if gate != "" {
		files["gate"] = g.url + gate + "\n"
	}
	return files
}

// open lets the builds of rebuilds, or of the user, go on that wait at a gate.
func (s *site) open(gate, who string) {
	s.T.Helper()
	s.Kubectl("exec", gatePod, "--", "touch", "/tmp/open/"+gate+"-"+who)
}
