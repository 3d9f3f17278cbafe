package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// execute runs the step on a Dockerfile, and returns its exit code, its results and its log.
func execute(t *testing.T, dockerfile string, args ...string) (int, map[string]string, string) {
	t.Helper()
	dir, resultsDir := t.TempDir(), t.TempDir()
	source := workspace.Dir(dir).Source()
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(source, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	args = append([]string{"--workspace", dir, "--results-dir", resultsDir, "--termination-message", filepath.Join(dir, "none")}, args...)
	code := spec().Execute(t.Context(), args, func(string) string { return "" }, &log)
	got := map[string]string{}
	entries, err := os.ReadDir(resultsDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(resultsDir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = string(data)
	}
	return code, got, log.String()
}

func TestStep(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	img, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	r.Push(t, "team/base:1", img)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	code, got, log := execute(t, "ARG V\nFROM team/base:$V\n", "--registry-uri", r.URL, "--registry-secret-dir", r.SecretDir,
		"--registry-ca-file", r.CAFile, "--source-registry-uri", r.Host+"/v2", "--build-arg", "V=1")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, log)
	}
	want := map[string]string{
		"base-images":  fmt.Sprintf(`[{"reference":"team/base:1","digest":%q,"imageStreamTag":"team-base:1"}]`, digest),
		"parent-image": r.Host + "/team/base:1", "parent-digest": digest.String(), "scratch": "false", "message": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestStepErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		dockerfile string
		args       []string
		code       int
		message    string
	}{
		"no FROM":         {"# x", nil, 3, "no base image specified in Dockerfile"},
		"/v1":             {"FROM x", []string{"--registry-uri", "r/v1"}, 2, "Invalid API version requested in URI"},
		"secret":          {"FROM x", []string{"--registry-secret-dir", "."}, 5, "registry secret . holds none of"},
		"base-digest":     {"FROM x", []string{"--base-digest", "x"}, 2, "is not REF=DIGEST"},
		"other registry":  {"FROM quay.io/x", []string{"--source-registry-uri", "r"}, 3, "bases must come from r"},
		"malformed /v2/x": {"FROM x", []string{"--source-registry-uri", "r/v2/x"}, 2, "invalid registry URI"},
	} {
		t.Run(name, func(t *testing.T) {
			code, got, _ := execute(t, tc.dockerfile, tc.args...)
			if code != tc.code || !strings.Contains(got["message"], tc.message) {
				t.Errorf("exit code %d, message %q; want %d, %q", code, got["message"], tc.code, tc.message)
			}
		})
	}
}

func TestResultsAreBounded(t *testing.T) {
	var record workspace.DetectBase
	for i := range 100 {
		record.Bases = append(record.Bases, workspace.Base{Reference: fmt.Sprintf("image%d", i), Digest: "sha256:" + strings.Repeat("a", 64)})
	}
	list, err := baseImages(record, 500)
	if err != nil || len(list) > 500 || !strings.HasSuffix(list, "}]") {
		t.Errorf("%d bytes, %v: %s", len(list), err, list)
	}
}
