//go:build e2e

package testbed

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// ControlVariable names the program that starts, stops and holds the cluster's daemons: that of e2e/cluster.
const ControlVariable = "OSBS_E2E_RUN"

// Daemons that tests of faults end or hold. A test that does so must not run beside others: they all need them.
const (
	APIServer      = "kube-apiserver"
	ImageAPIServer = "image-apiserver"
	Registry       = "registry"
	Images         = "images"
	GitServer      = "git"
	Kubelet        = "kubelet"
)

// NeedsDaemons skips the test on a cluster whose daemons nobody can stop.
func NeedsDaemons(t testing.TB) {
	t.Helper()
	if os.Getenv(ControlVariable) == "" {
		t.Skip("nobody can stop the daemons of this cluster")
	}
}

// Stop asks a daemon to end, and waits. It is started again when the test ends, if nothing else has.
func Stop(t testing.TB, daemon string) { interrupt(t, "stop", daemon, "start") }

// Kill ends a daemon without asking. It is started again when the test ends, if nothing else has.
func Kill(t testing.TB, daemon string) { interrupt(t, "kill", daemon, "start") }

// Hold has a daemon stand still: connections to it are accepted, and never answered. It goes on when the test ends, if nothing else has
// had it go on.
func Hold(t testing.TB, daemon string) { interrupt(t, "hold", daemon, "go-on") }

// Start starts a daemon, and waits until it answers. One that runs already is left alone.
func Start(t testing.TB, daemon string) { tell(t.Context(), t, "start", daemon) }

// GoOn has a daemon go on that was held.
func GoOn(t testing.TB, daemon string) { tell(t.Context(), t, "go-on", daemon) }

func interrupt(t testing.TB, verb, daemon, undo string) {
	t.Helper()
	NeedsDaemons(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 4*time.Minute)
		defer cancel()
		tell(ctx, t, undo, daemon)
	})
	tell(t.Context(), t, verb, daemon)
}

func tell(ctx context.Context, t testing.TB, verb, daemon string) {
	t.Helper()
	NeedsDaemons(t)
	if out, err := exec.CommandContext(ctx, os.Getenv(ControlVariable), verb, daemon).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v: %s", verb, daemon, err, out)
	}
}
