package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/pulptest"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// newWorkspace is that of a build whose image is in the registry.
func newWorkspace(t *testing.T, home *registrytest.Registry) (dir workspace.Dir, digest string) {
	t.Helper()
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	home.Push(t, "team/app:none-abcde-1", image)
	home.Push(t, "team/app:1-2", image)
	dir = workspace.Dir(t.TempDir())
	err = workspace.Write(dir, workspace.Push{Digest: hash.String(),
		Images: []workspace.PushedImage{{Repository: home.Host + "/team/app", Unique: "none-abcde-1", Primary: "1-2"}}})
	if err != nil {
		t.Fatal(err)
	}
	return dir, hash.String()
}

// execute runs the step, and returns its exit code, its result and its log.
func execute(t *testing.T, dir workspace.Dir, args ...string) (int, string, string) {
	t.Helper()
	resultsDir := t.TempDir()
	var log bytes.Buffer
	args = append([]string{"--workspace", string(dir), "--results-dir", resultsDir, "--termination-message", filepath.Join(resultsDir, "../none")}, args...)
	code := spec().Execute(t.Context(), args, func(string) string { return "" }, &log)
	locations, err := os.ReadFile(filepath.Join(resultsDir, "locations"))
	if err != nil && code == 0 {
		t.Fatal(err)
	}
	return code, string(locations), log.String()
}

func TestStep(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{BasicAuth: true})
	mirror := registrytest.StartDebian(t, registrytest.Options{})
	server := pulptest.Start(t)
	dir, digest := newWorkspace(t, home)
	archives, secret := t.TempDir(), t.TempDir()
	for file, content := range map[string]string{"username": pulptest.Username, "password": pulptest.Password} {
		if err := os.WriteFile(filepath.Join(secret, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, got, log := execute(t, dir, "--registry-uri", home.URL, "--registry-secret-dir", home.SecretDir,
		"--mirror-registry-uri", mirror.URL, "--archive-dir", archives, "--archive-format", "docker",
		"--pulp-url", server.URL, "--pulp-secret-dir", secret, "--pulp-repository-prefix", "crane-",
		"--pulp-api-prefix", "/pulp/", "--pulp-registry", server.Served.Host, "--pulp-retain-versions", "3",
		"--registry-insecure", server.Served.Host, "--pulp-timeout", "1m")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	want := mirror.Host + "/team/app:1-2," + filepath.Join(archives, "team-app-1-2.tar") + "," + server.Served.Host + "/team/app:1-2"
	if got != want {
		t.Errorf("locations = %q, want %q", got, want)
	}
	if got := server.Get("repositories", "crane-team-app", "retain_repo_versions"); got != 3.0 {
		t.Errorf("Pulp keeps %v versions", got)
	}
	record, err := workspace.Read[workspace.Sync](dir)
	if err != nil || len(record.Targets) != 3 || record.Targets[0].Digest != digest || record.Targets[2].Digest != digest {
		t.Errorf("record = %+v, %v", record, err)
	}
	for _, password := range []string{home.Password, pulptest.Password} {
		if strings.Contains(log, password) {
			t.Errorf("the log holds a password: %s", log)
		}
	}
}

func TestStepErrors(t *testing.T) {
	home := registrytest.Start(t, registrytest.Options{})
	dir, _ := newWorkspace(t, home)
	for name, tc := range map[string]struct {
		args    []string
		code    int
		message string
	}{
		"nothing to do":   {nil, 0, ""},
		"/v1":             {[]string{"--mirror-registry-uri", "r/v1"}, 2, "Invalid API version requested in URI"},
		"archive format":  {[]string{"--archive-dir", "/", "--archive-format", "zip"}, 2, "archive format"},
		"no directory":    {[]string{"--archive-dir", "/nonexistent"}, 9, "is the volume mounted?"},
		"Pulp's URL":      {[]string{"--pulp-url", "pulp"}, 2, "the URL of Pulp is malformed"},
		"Pulp's secret":   {[]string{"--pulp-url", "https://pulp", "--pulp-secret-dir", "."}, 5, "holds no credentials"},
		"Pulp's prefix":   {[]string{"--pulp-url", "https://pulp", "--pulp-api-prefix", "pulp"}, 2, "the API prefix of Pulp"},
		"versions":        {[]string{"--pulp-url", "https://pulp", "--pulp-retain-versions", "-1"}, 2, "is no number of versions"},
		"mirror twice":    {[]string{"--mirror-registry-uri", "r,https://r"}, 2, "named twice"},
		"mirror is home":  {[]string{"--mirror-registry-uri", home.URL}, 2, "is the one that was pushed into"},
		"malformed limit": {[]string{"--pulp-timeout", "soon"}, 2, "pulp-timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, log := execute(t, dir, append([]string{"--registry-uri", home.URL}, tc.args...)...)
			if code != tc.code || !strings.Contains(log, tc.message) {
				t.Errorf("exit code %d, want %d with %q: %s", code, tc.code, tc.message, log)
			}
		})
	}
}
