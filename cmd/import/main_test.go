package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/clusterstore"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// run runs the step and returns its exit code and what it logged.
func run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var log strings.Builder
	code := spec().Execute(t.Context(), args, func(string) string { return "" }, &log)
	return code, log.String()
}

// With TLS, a CA of its own and credentials, as a private registry has them.
func TestImport(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	r.Push(t, "team/app:1-1", image)
	dir := t.TempDir()
	record := workspace.Push{Digest: digest.String(), Images: []workspace.PushedImage{{Repository: r.Host + "/team/app", Floating: []string{"1", "latest"}}}}
	if err := workspace.Write(workspace.Dir(dir), record); err != nil {
		t.Fatal(err)
	}
	streams := filepath.Join(dir, "streams")
	args := []string{"-workspace", dir, "-results-dir", dir, "-imagestream-dir", streams, "-registry-uri", r.URL + "/v2", "-registry-ca-file", r.CAFile}
	if code, log := run(t, args...); code != failure.Unauthorized.ExitCode() {
		t.Errorf("without credentials: exit code %d: %s", code, log)
	}
	code, log := run(t, append(args, "-registry-secret-dir", r.SecretDir)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	if strings.Contains(log, r.Password) {
		t.Error("the password is in the log")
	}
	for name, want := range map[string]string{"image-stream": "team-app", "tags": "1,latest"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("result %s is %q, %v; want %q", name, got, err, want)
		}
	}
	stream, err := imageimport.NewFile(streams, nil).Get(t.Context(), "team-app")
	if err != nil || imageimport.Current(stream, "latest") != digest.String() {
		t.Errorf("stream %+v, %v", stream, err)
	}
	if stream.Spec.Tags[0].ImportPolicy.Insecure {
		t.Error("a registry with TLS is imported from as insecure")
	}
}

// On a cluster the ImageStream is the API's, which reads the registry itself.
func TestImportIntoACluster(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	r.Push(t, "team/app:1-1", image)
	dir := t.TempDir()
	for _, record := range []workspace.Record{
		workspace.Push{Digest: digest.String(), Images: []workspace.PushedImage{{Repository: r.Host + "/team/app", Floating: []string{"latest"}}}},
		workspace.Lock{BuildConfig: "app", Holder: "app-1"}, workspace.DetectBase{},
	} {
		if err := workspace.Write(workspace.Dir(dir), record); err != nil {
			t.Fatal(err)
		}
	}
	api := apitest.Start(t, "v1/configmaps", "image.openshift.io/v1/imagestreams")
	api.Handle("image.openshift.io/v1/imagestreamimports", func(w http.ResponseWriter, req *http.Request) {
		var request imagev1.ImageStreamImport
		if err := json.NewDecoder(req.Body).Decode(&request); err != nil || len(request.Spec.Images) != 1 || request.Spec.Images[0].From.Name != r.Host+"/team/app:latest" {
			t.Errorf("request %+v, %v", request, err)
		}
		request.Status.Images = []imagev1.ImageImportStatus{{Image: &imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: digest.String()}}}}
		_ = json.NewEncoder(w).Encode(request)
	})
	configs := clusterstore.New(apitest.Client(t, api.URL))
	if _, err := configs.Create(t.Context(), &buildconfig.BuildConfig{Name: "app"}); err != nil {
		t.Fatal(err)
	}
	code, log := run(t, "-workspace", dir, "-results-dir", dir, "-registry-uri", r.URL, "-kubeconfig", apitest.Kubeconfig(t, api.URL), "-namespace", apitest.Namespace)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	bc, err := configs.Get(t.Context(), "app")
	if err != nil || bc.ImageStream != "team-app" || bc.LastBuild == nil {
		t.Errorf("build config %+v, %v", bc, err)
	}
	if api.UID("image.openshift.io/v1/imagestreams", "team-app") == "" {
		t.Error("there is no ImageStream")
	}
}

func TestNoCluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for text, args := range map[string][]string{
		"with -imagestream-dir none is needed": nil, "needs -imagestream-dir": {"-buildconfig-dir", t.TempDir()},
	} {
		if code, log := run(t, append(args, "-registry-uri", "r.example.com")...); code != failure.Usage.ExitCode() || !strings.Contains(log, text) {
			t.Errorf("%v: exit code %d: %s", args, code, log)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil, {"-imagestream-dir", t.TempDir(), "-registry-uri", "https://r.example.com/v1"}, {"-registry-uri", "r.example.com"}, {"-no-such-flag"},
	} {
		if code, log := run(t, args...); code != failure.Usage.ExitCode() {
			t.Errorf("%v: exit code %d: %s", args, code, log)
		}
	}
}
