//go:build e2e

package sync_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/pulpserver"
	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// everywhere is the configuration of a site that syncs to all that there is.
const everywhere = `mirror_registry_uri: https://%s
archive_volume: {claim: archive}
pulp_registry_name: test
pulp:
  test:
    url: %s
    ca: {config_map: pulp-ca}
    repository_prefix: e2e-
    retain_versions: 3
`

// newSite installs a configuration that syncs everywhere, for a Pulp that pods can reach.
func newSite(t *testing.T, server *pulpserver.Server, layout string) *testsite.Site {
	t.Helper()
	config := fmt.Sprintf(everywhere, testbed.Variable(t, "OSBS_E2E_IMAGES"), server.URL) + testsite.SmallRequests
	return testsite.New(t, testsite.Settings{Layout: layout, Config: config, Prepare: func(s *testsite.Site) { prepare(s, server) }})
}

// prepare makes the Secret, the ConfigMap and the claim that the configuration names.
func prepare(s *testsite.Site, server *pulpserver.Server) {
	s.T.Helper()
	s.Secret("osbs-pulp", corev1.SecretTypeBasicAuth, map[string]string{"username": pulpserver.Username, "password": server.Password})
	ca, err := os.ReadFile(server.CAFile)
	s.Must(err)
	_, err = s.Kube.CoreV1().ConfigMaps(s.Name).Create(s.T.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "pulp-ca"}, Data: map[string]string{"ca.crt": string(ca)},
	}, metav1.CreateOptions{})
	s.Must(err)
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "archive"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("100Mi")}},
	}}
	_, err = s.Kube.CoreV1().PersistentVolumeClaims(s.Name).Create(s.T.Context(), claim, metav1.CreateOptions{})
	s.Must(err)
}

// onCluster skips a test where pods cannot reach a Pulp that the test starts.
func onCluster(t *testing.T) *pulpserver.Server {
	t.Helper()
	if os.Getenv(addressVariable) == "" {
		t.Skip(addressVariable + " is not set: there is no address for a Pulp that pods could reach")
	}
	return newPulp(t)
}

// TestBuildSyncsEverywhere builds an image whose site has a mirror, an archive and Pulp, fails while Pulp is down, and looks for credentials
// wherever people can see what a build has done.
func TestBuildSyncsEverywhere(t *testing.T) {
	server := onCluster(t)
	s := newSite(t, server, "balanced")
	base, _ := s.Base("base")
	repository := s.NewRepository("app", map[string]string{"Dockerfile": s.Dockerfile(base, "COPY greeting /"), "greeting": "hello\n"})
	params := testsite.Values{"git-url": repository.URL, "git-branch": "main"}

	first := s.Start(params)
	got := s.Succeeded(first)
	digest, image := got["IMAGE_DIGEST"], s.Name+"/app"
	checkEverywhere(t, s, server, image, digest, "latest")
	checkArchive(s, image)

	server.Kill("api")
	repository.Commit(map[string]string{"Dockerfile": strings.Replace(s.Dockerfile(base, "COPY greeting /"), `release="1"`, `release="2"`, 1), "greeting": "again\n"})
	failed := s.Start(params)
	s.Failed(failed)
	if fault := s.Fault(failed); fault.Kind != failure.Unavailable || !strings.Contains(fault.Message, "syncing to pulp") {
		t.Errorf("while Pulp was down: %+v", fault)
	}
	for _, host := range []string{testbed.Variable(t, "OSBS_E2E_REGISTRY"), testbed.Variable(t, "OSBS_E2E_IMAGES")} {
		if now := s.Digest(host + "/" + image + ":latest"); now != digest {
			t.Errorf("the build that failed has moved %s/%s:latest to %s", host, image, now)
		}
	}
	s.Must(server.Launch("api"))
	s.Until("Pulp to answer", time.Minute, func(ctx context.Context) (bool, error) {
		_, err := server.Status(ctx)
		return err == nil, nil
	})
	repository.Commit(map[string]string{"Dockerfile": strings.Replace(s.Dockerfile(base, "COPY greeting /"), `release="1"`, `release="3"`, 1)})
	third := s.Start(params)
	checkEverywhere(t, s, server, image, s.Succeeded(third)["IMAGE_DIGEST"], "latest")
	checkNoSecrets(s, server, first, failed, third)
}

// checkEverywhere compares what a tag means in the three registries.
func checkEverywhere(t *testing.T, s *testsite.Site, server *pulpserver.Server, image, digest, tag string) {
	t.Helper()
	for _, host := range []string{testbed.Variable(t, "OSBS_E2E_REGISTRY"), testbed.Variable(t, "OSBS_E2E_IMAGES")} {
		if now := s.Digest(host + "/" + image + ":" + tag); now != digest {
			t.Errorf("%s/%s:%s is %s, want %s", host, image, tag, now, digest)
		}
	}
	found, err := remote.Head(reference(t, server.Host+"/"+image+":"+tag), served(t, server, step.Env{}).Remote(t.Context())...)
	if err != nil || found.Digest.String() != digest {
		t.Errorf("Pulp: %s:%s is %+v, %v, want %s", image, tag, found, err, digest)
	}
}

// checkArchive has a pod compare the files on the volume with their checksums.
func checkArchive(s *testsite.Site, image string) {
	s.T.Helper()
	no, user := false, int64(65532)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "check-archive"}, Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
		SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user},
		Containers: []corev1.Container{{
			Name: "check", Image: testbed.Variable(s.T, "OSBS_E2E_BUSYBOX_IMAGE"), WorkingDir: "/archive",
			Command:      []string{"sh", "-ec", "ls; sha256sum -c *.sha256; tar -tf " + strings.ReplaceAll(image, "/", "-") + "-1.0-1.tar"},
			VolumeMounts: []corev1.VolumeMount{{Name: "archive", MountPath: "/archive"}},
		}},
		Volumes: []corev1.Volume{{Name: "archive", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "archive"}}}},
	}}
	_, err := s.Kube.CoreV1().Pods(s.Name).Create(s.T.Context(), pod, metav1.CreateOptions{})
	s.Must(err)
	var phase corev1.PodPhase
	s.Until("the archive to be checked", 3*time.Minute, func(ctx context.Context) (bool, error) {
		now, err := s.Kube.CoreV1().Pods(s.Name).Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil {
			phase = now.Status.Phase
		}
		return phase == corev1.PodSucceeded || phase == corev1.PodFailed, nil
	})
	if said := s.ContainerLog(pod.Name, "check"); phase != corev1.PodSucceeded || !strings.Contains(said, "index.json") {
		s.T.Errorf("the archive (%s): %s", phase, said)
	}
}

// checkNoSecrets looks for credentials in all objects of the namespace that are not Secrets, in the logs of the builds, and in what Pulp shows.
func checkNoSecrets(s *testsite.Site, server *pulpserver.Server, runs ...string) {
	s.T.Helper()
	seen := map[string]string{"objects": s.Kubectl("get", "pipelineruns,taskruns,pods,events,configmaps,leases,serviceaccounts,pvc,imagestreams", "-o", "yaml")}
	for _, run := range runs {
		seen["logs of "+run] = s.Logs(run)
	}
	for _, path := range []string{"remotes/container/container/?limit=1000", "tasks/?limit=1000", "repositories/?limit=1000", "distributions/?limit=1000"} {
		var all any
		s.Must(server.Do(s.T.Context(), "GET", path, nil, &all))
		seen["Pulp's "+path] = fmt.Sprint(all)
	}
	seen["Pulp's logs"] = server.Logs(1 << 20)
	for where, text := range seen {
		for what, secret := range map[string]string{
			"registry": testbed.Variable(s.T, "OSBS_E2E_REGISTRY_PASSWORD"), "git": testbed.Variable(s.T, "OSBS_E2E_GIT_PASSWORD"), "Pulp": server.Password,
		} {
			if strings.Contains(text, secret) {
				s.T.Errorf("%s: the password of %s is there", where, what)
			}
		}
	}
}
