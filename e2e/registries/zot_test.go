//go:build e2e

package registries

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/registrymatrix"
	"github.com/osbs-tekton/osbs/internal/registrytest"
)

// buildLimit bounds how long zot may take to build, its modules included.
const buildLimit = 10 * time.Minute

// buildZot builds the registry zot from the module beside this file. Its go.mod names no more than zot, so the go command completes it, in
// a copy.
func buildZot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("zot")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), buildLimit)
	defer cancel()
	program := filepath.Join(dir, "zot")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "minimal,containers_image_openpgp", "-o", program, "zotregistry.io/zot/cmd/zot")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return program
	}
	for _, unreachable := range []string{"dial tcp", "no such host", "403 Forbidden", "404 Not Found", "module lookup disabled"} {
		if strings.Contains(string(out), unreachable) {
			t.Skipf("zot's modules cannot be had: %s", out)
		}
	}
	t.Fatalf("building zot: %v\n%s", err, out)
	return ""
}

func TestZot(t *testing.T) {
	program := buildZot(t)
	registrymatrix.Run(t, registrymatrix.Kind{OnlyOCI: true, Start: func(t testing.TB, o registrytest.Options) *registrytest.Registry {
		t.Helper()
		return registrytest.StartZot(t, program, o)
	}})
}
