//go:build e2e

package sync_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/e2e/pulpserver"
)

// The variables that e2e/run.sh sets: the directory with Pulp's programs, or why there is none.
const (
	environmentVariable = "OSBS_E2E_PULP"
	missingVariable     = "OSBS_E2E_PULP_MISSING"
	// On the test cluster a server can have an address that pods reach.
	addressVariable = "OSBS_E2E_PULP_ADDRESS"
	hostVariable    = "OSBS_E2E_PULP_HOST"
)

// site is what the tests share: one Pulp, which takes half a minute to start.
var site struct {
	once sync.Once
	pulp *pulpserver.Server
	err  error
	dir  string
	// small says that what Pulp downloads goes to a file system of smallSize.
	small bool
}

// smallSize is the size of the file system for what Pulp downloads, in bytes.
const smallSize = 64 << 20

func TestMain(m *testing.M) {
	code := m.Run()
	if site.pulp != nil {
		site.pulp.Stop()
	}
	if site.small {
		_ = syscall.Unmount(filepath.Join(site.dir, "tmp"), syscall.MNT_DETACH)
	}
	if site.dir != "" {
		_ = os.RemoveAll(site.dir)
	}
	os.Exit(code)
}

// newPulp is the server that the tests share. Without Pulp the test is skipped.
func newPulp(t *testing.T) *pulpserver.Server {
	t.Helper()
	environment := os.Getenv(environmentVariable)
	if why := os.Getenv(missingVariable); environment == "" && why != "" {
		t.Skip("there is no Pulp to test with: " + why)
	}
	if environment == "" {
		t.Fatalf("%s is not set: it is what e2e/pulpserver/prepare.sh prints", environmentVariable)
	}
	site.once.Do(func() {
		if site.dir, site.err = os.MkdirTemp("", "osbs-pulp"); site.err != nil {
			return
		}
		if site.err = os.Mkdir(filepath.Join(site.dir, "tmp"), 0o700); site.err != nil {
			return
		}
		site.small = syscall.Mount("tmpfs", filepath.Join(site.dir, "tmp"), "tmpfs", 0, fmt.Sprintf("size=%d", smallSize)) == nil
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		began := time.Now()
		site.pulp, site.err = pulpserver.Start(ctx, site.dir, pulpserver.Options{
			Environment: environment, Listen: os.Getenv(addressVariable), Host: os.Getenv(hostVariable),
		})
		fmt.Printf("Pulp was ready after %s\n", time.Since(began).Round(time.Second))
	})
	if site.err != nil {
		t.Fatal(site.err)
	}
	return site.pulp
}
