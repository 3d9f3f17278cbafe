//go:build e2e

package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// programVariable names the program osbs, and imagesVariable the file with the step images.
const (
	programVariable = "OSBS_E2E_OSBS"
	imagesVariable  = "OSBS_E2E_STEP_IMAGES"
)

func TestMain(m *testing.M) {
	remove, err := buildProgram()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	remove()
	os.Exit(code)
}

// buildProgram builds osbs if the environment names none, and returns what removes it.
func buildProgram() (remove func(), err error) {
	if os.Getenv(programVariable) != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "osbs-e2e-")
	if err != nil {
		return nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	program := filepath.Join(dir, "osbs")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "../../cmd/osbs")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return nil, fmt.Errorf("building osbs: %w: %s", err, out)
	}
	return remove, os.Setenv(programVariable, program)
}

// variable is one that must be set.
func variable(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("these tests need the variable %s: see docs/cluster.md", name)
	}
	return value
}
