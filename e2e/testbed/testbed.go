//go:build e2e

package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/pkg/cluster"
)

// Program is a command of this module that a suite runs.
type Program struct {
	// Variable is the environment variable that names the file. It is set if nobody has set it.
	Variable string
	// Name is that of the command below cmd/.
	Name string
}

// Osbs is the program for people.
func Osbs() Program { return Program{"OSBS_E2E_OSBS", "osbs"} }

// Imagewatch is the watcher of ImageStreams.
func Imagewatch() Program { return Program{"OSBS_E2E_IMAGEWATCH", "imagewatch"} }

// Path is the file of the program.
func (p Program) Path(t testing.TB) string {
	t.Helper()
	return Variable(t, p.Variable)
}

// Main runs the tests of a suite, and builds the programs before that no variable names. It returns the exit code.
func Main(m *testing.M, programs ...Program) int {
	dir, err := os.MkdirTemp("", "osbs-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, p := range programs {
		if err := p.build(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

func (p Program) build(dir string) error {
	if os.Getenv(p.Variable) != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	file := filepath.Join(dir, p.Name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, "github.com/osbs-tekton/osbs/cmd/"+p.Name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w: %s", p.Name, err, out)
	}
	return os.Setenv(p.Variable, file)
}

// Variable is an environment variable that must be set.
func Variable(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("these tests need the variable %s: see docs/e2e.md", name)
	}
	return value
}

// Admin is the configuration of the cluster's administrator, who may ask much at once.
func Admin(t testing.TB) *rest.Config {
	t.Helper()
	found, err := cluster.Find(cluster.Options{})
	if err != nil {
		t.Fatalf("these tests need a cluster: %v", err)
	}
	admin := rest.CopyConfig(found.REST)
	admin.QPS, admin.Burst, admin.WarningHandler = 200, 400, rest.NoWarnings{}
	return admin
}

// Until polls until done says so or fails. The limit is for machines that are busy: nothing is said of speed.
func Until(t testing.TB, what string, limit time.Duration, done func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}
