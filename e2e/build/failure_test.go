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
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, "COPY Dockerfile /")})
	got := s.succeeded(s.start(values{"git-url": repository.url, "git-branch": "main", "scratch": "true"}))
	if tags := s.tags("app"); len(tags) != 1 || tags[0] != got["TAGS"] {
		t.Errorf("the registry has the tags %q, TAGS is %q", tags, got["TAGS"])
	}
	streams, err := s.image.ImageV1().ImageStreams(s.Name).List(t.Context(), metav1.ListOptions{})
	s.must(err)
	if len(streams.Items) != 0 {
		t.Errorf("a scratch build makes an ImageStream: %+v", streams.Items)
	}
}

func TestStagesOfADockerfileAreBuiltOnSeveralPrivateBases(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{})
	base, baseDigest := s.base("base")
	tools, _ := s.base("elsewhere/tools")
	_ = baseDigest
	repository := s.newRepository("app", map[string]string{
		"Dockerfile": "FROM " + tools + " AS tools\nRUN echo made >/made\n" + s.dockerfile(base, "COPY --from=tools /made /made", `CMD ["cat", "/made"]`),
	})
	got := s.succeeded(s.start(values{"git-url": repository.url, "git-branch": "main"}))
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
	s := newSite(t, settings{config: "git_secret: git-ssh\n"})
	key, err := os.ReadFile(testbed.Variable(t, "OSBS_E2E_GIT_SSH_KEY"))
	s.must(err)
	hosts, err := os.ReadFile(testbed.Variable(t, "OSBS_E2E_GIT_KNOWN_HOSTS"))
	s.must(err)
	s.secret("git-ssh", corev1.SecretTypeSSHAuth, map[string]string{corev1.SSHAuthPrivateKey: string(key), "known_hosts": string(hosts)})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, "COPY Dockerfile /")})
	got := s.succeeded(s.start(values{"git-url": repository.ssh(), "git-branch": "main"}))
	if got["CHAINS-GIT_URL"] != repository.ssh() || got["CHAINS-GIT_COMMIT"] != repository.head() {
		t.Errorf("the results say %s at %s", got["CHAINS-GIT_URL"], got["CHAINS-GIT_COMMIT"])
	}
}

func TestAPushThatIsRefusedFailsTheBuildAndNamesTheRegistry(t *testing.T) {
	t.Parallel()
	s := newSite(t, settings{layout: "[[clone, detect-base, lock, prepare, build], [push], [import]]"})
	base, _ := s.base("base")
	repository := s.newRepository("app", map[string]string{"Dockerfile": s.dockerfile(base, "COPY Dockerfile /")})
	run := s.start(values{"git-url": repository.url, "git-branch": "main"})
	s.reached(run, "build")
	// The bases are read by now: what push reads is wrong.
	s.must(s.Kube.CoreV1().Secrets(s.Name).Delete(t.Context(), "osbs-registry", metav1.DeleteOptions{}))
	s.registrySecret("osbs-registry", "wrong")
	s.failed(run)
	if f := s.fault(run); f.stage != "push" || f.kind != failure.Unauthorized || !strings.Contains(f.message, testbed.Variable(t, "OSBS_E2E_REGISTRY")) {
		t.Errorf("the TaskRun says of the failure: %+v", f)
	}
	if tags := s.tags("base"); !slices.Equal(tags, []string{"1"}) {
		t.Errorf("the base's tags are %q", tags)
	}
}
