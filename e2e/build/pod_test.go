//go:build e2e

package build

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
)

// tokenDir is where the API server's admission mounts a token.
const tokenDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// noToken are instructions and scripts that fail if there is a token.
const noToken = "test ! -e " + tokenDir + "/token"

// A step that an overlay inserts into the pod of all stages looks for a token, and so does the Dockerfile.
const lookForToken = `
- insert: look
  after: build
  task:
    taskSpec:
      steps:
      - name: look
        image: BUSYBOX
        command: [sh, -c, "` + noToken + ` && echo there-is-no-token"]
        securityContext:
          runAsNonRoot: true
          runAsUser: 65532
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
          seccompProfile: {type: RuntimeDefault}
- finally: tell
  task:
    params:
    - name: state
      value: $(tasks.status)
    taskSpec:
      params:
      - name: state
        type: string
      steps:
      - name: tell
        image: BUSYBOX
        command: [echo, "the build has ended as $(params.state)"]
        securityContext:
          runAsNonRoot: true
          runAsUser: 65532
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
          seccompProfile: {type: RuntimeDefault}
`

func TestInsertedTasksRunAndOnlyLockAndImportHaveAToken(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"fused", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{Layout: layout, Overlay: strings.ReplaceAll(lookForToken, "BUSYBOX", testbed.Variable(t, "OSBS_E2E_BUSYBOX_IMAGE"))})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "RUN "+noToken)})
			run := s.Start(values{"git-url": repository.URL, "git-branch": "main"})
			s.Succeeded(run)
			if said := s.Logs(run, "look"); !strings.Contains(said, "there-is-no-token") {
				t.Errorf("the inserted step says %q", said)
			}
			if said := s.Logs(run, "tell"); !strings.Contains(said, "the build has ended as ") {
				t.Errorf("the last step says %q", said)
			}
			if with := s.withToken(run); !slices.Equal(with, []string{"step-import", "step-lock"}) {
				t.Errorf("a token is in %q", with)
			}
		})
	}
}

// withToken are the steps of a PipelineRun that the API server gave a token.
func (s *site) withToken(run string) []string {
	s.T.Helper()
	pods, err := s.Kube.CoreV1().Pods(s.Name).List(s.T.Context(), metav1.ListOptions{LabelSelector: "tekton.dev/pipelineRun=" + run})
	s.Must(err)
	var with []string
	for _, pod := range pods.Items {
		for _, c := range pod.Spec.Containers {
			if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
				return m.MountPath == tokenDir && strings.HasPrefix(m.Name, "kube-api-access-")
			}) {
				with = append(with, c.Name)
			}
		}
	}
	slices.Sort(with)
	return with
}

func TestARebuildThatTheRepositoryDoesNotWantIsSkippedAndCompletes(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"fused", "balanced", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, settings{Layout: layout})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{
				"Dockerfile": s.Dockerfile(base, `RUN ["false"]`), ".osbs-repo-config": "[autorebuild]\nenabled=false\n",
			})
			run := s.Start(values{"git-url": repository.URL, "git-branch": "main", "is-autorebuild": "true"})
			if got := s.Succeeded(run); got["STATE"] != "skipped" || got["IMAGE_DIGEST"] != "" {
				t.Errorf("the results are %q", got)
			}
			if reason, message := testsite.Condition(s.Get(run)); reason != v1.PipelineRunReasonCompleted.String() && layout != "fused" {
				t.Errorf("%s: %s", reason, message)
			}
		})
	}
}
