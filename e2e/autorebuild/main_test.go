//go:build e2e

package autorebuild

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// imagewatch is the program under test, built once. It is set in the environment by TestMain.
const imagewatch = "OSBS_E2E_IMAGEWATCH"

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "autorebuild-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if os.Getenv(imagewatch) == "" {
		program := filepath.Join(dir, "imagewatch")
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/osbs-tekton/osbs/cmd/imagewatch")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building imagewatch:", err)
			return 1
		}
		if err := os.Setenv(imagewatch, program); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}
