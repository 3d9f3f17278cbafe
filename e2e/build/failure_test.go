//go:build e2e

package build

import (
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestAScratchBuildOnlyPushesItsUniqueTag(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY Dockerfile /")})
	got := s.Succeeded(s.Start(values{"git-url": repository.URL, "git-branch": "main", "scratch": "true"}))
	if tags := s.Tags("app"); len(tags) != 1 || tags[0] != got["TAGS"] {
		t.Errorf("the registry has the tags %q, TAGS is %q", tags, got["TAGS"])
	}
	streams, err := s.Image.ImageV1().ImageStreams(s.Name).List(t.Context(), metav1.ListOptions{})
	s.Must(err)
	if len(streams.Items) != 0 {
		t.Errorf("a scratch build makes an ImageStream: %+v", streams.Items)
	}
}

func TestStagesOfADockerfileAreBuiltOnSeveralPrivateBases(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, baseDigest := s.Base("base")
	tools, _ := s.Base("elsewhere/tools")
	_ = baseDigest
	repository := s.NewRepository("app", map[string]string{
		"Dockerfile": "FROM " + tools + " AS tools\nRUN echo made >/made\n" + s.Dockerfile(base, "COPY --from=tools /made /made", `CMD ["cat", "/made"]`),
	})
	got := s.Succeeded(s.Start(values{"git-url": repository.URL, "git-branch": "main"}))
	for _, reference := range []string{base, tools} {
		if !strings.Contains(got["BASE_IMAGES"], reference) {
			t.Errorf("BASE_IMAGES lacks %s: %s", reference, got["BASE_IMAGES"])
		}
	}
	if said := s.runImage(got["IMAGE_URL"] + "@" + got["IMAGE_DIGEST"]); said != "made\n" {
		t.Errorf("the image says %q", said)
	}
}

func TestARepositoryIsClonedOverSSH(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{Config: "git_secret: git-ssh\n"})
	key, err := os.ReadFile(testbed.Variable(t, "OSBS_E2E_GIT_SSH_KEY"))
	s.Must(err)
	hosts, err := os.ReadFile(testbed.Variable(t, "OSBS_E2E_GIT_KNOWN_HOSTS"))
	s.Must(err)
	s.Secret("git-ssh", corev1.SecretTypeSSHAuth, map[string]string{corev1.SSHAuthPrivateKey: string(key), "known_hosts": string(hosts)})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY Dockerfile /")})
	got := s.Succeeded(s.Start(values{"git-url": repository.SSH(), "git-branch": "main"}))
	if got["CHAINS-GIT_URL"] != repository.SSH() || got["CHAINS-GIT_COMMIT"] != repository.Head() {
		t.Errorf("the results say %s at %s", got["CHAINS-GIT_URL"], got["CHAINS-GIT_COMMIT"])
	}
}

func TestAPushThatIsRefusedFailsTheBuildAndNamesTheRegistry(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{Layout: "[[clone, detect-base, lock, prepare, build], [push], [import]]"})
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY Dockerfile /")})
	run := s.Start(values{"git-url": repository.URL, "git-branch": "main"})
	s.Reached(run, "build")
	// The bases are read by now: what push reads is wrong.
	s.Must(s.Kube.CoreV1().Secrets(s.Name).Delete(t.Context(), "osbs-registry", metav1.DeleteOptions{}))
	s.RegistrySecret("osbs-registry", "wrong")
	s.Failed(run)
	if f := s.Fault(run); f.Stage != "push" || f.Kind != failure.Unauthorized || !strings.Contains(f.Message, testbed.Variable(t, "OSBS_E2E_REGISTRY")) {
		t.Errorf("the TaskRun says of the failure: %+v", f)
	}
	if tags := s.Tags("base"); !slices.Equal(tags, []string{"1"}) {
		t.Errorf("the base's tags are %q", tags)
	}
}
