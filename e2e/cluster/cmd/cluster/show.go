package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/e2e/cluster/instance"
	"github.com/osbs-tekton/osbs/e2e/cluster/smoke"
)

// status prints what runs. Down is an answer, not a failure.
func status(ctx context.Context, i *instance.Instance, _ []string) error {
	state, running, err := i.State()
	if err != nil {
		return err
	}
	if !running {
		fmt.Printf("the cluster %s is down\n", i.Name)
		return nil
	}
	complete := ""
	if !state.Complete {
		complete = ", not complete"
	}
	fmt.Printf("the cluster %s is up (process %d%s), and ends at %s\n", i.Name, state.Process.PID, complete, state.Ends.Local().Format("15:04"))
	components, err := i.Control().Status(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(components)) {
		fmt.Printf("  %-24s %s\n", name, components[name])
	}
	if out, err := i.Run(ctx, "/", "", "kubectl", "get", "pods", "--all-namespaces"); err == nil {
		fmt.Print(out)
	}
	return nil
}

func environment(_ context.Context, i *instance.Instance, _ []string) error {
	text, err := os.ReadFile(i.EnvironmentFile())
	if err != nil {
		return fmt.Errorf("%w: %w", instance.ErrDown, err)
	}
	_, err = os.Stdout.Write(text)
	return err
}

func logs(_ context.Context, i *instance.Instance, args []string) error {
	if len(args) != 1 || strings.Contains(args[0], "/") {
		return errors.New("usage: cluster logs COMPONENT")
	}
	f, err := os.Open(i.Log(args[0])) //nolint:gosec // a name without slashes
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(os.Stdout, f)
	return err
}

func publish(ctx context.Context, i *instance.Instance, args []string) error {
	return i.Publish(ctx, args)
}

func peers(ctx context.Context, i *instance.Instance, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: cluster peers DIRECTORY")
	}
	return i.Peers(ctx, args[0])
}

// try runs the smoke test.
func try(ctx context.Context, i *instance.Instance, _ []string) error {
	environment, err := i.Environment()
	if err != nil {
		return err
	}
	c := &smoke.Cluster{Run: i.Run, Environment: environment, Progress: os.Stdout}
	return c.Try(ctx)
}
