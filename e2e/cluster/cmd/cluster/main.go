// Command cluster runs a real single-node Kubernetes cluster with Tekton and ImageStreams on this machine, in namespaces of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/e2e/cluster/instance"
	"github.com/osbs-tekton/osbs/e2e/cluster/node"
)

const usage = `usage: cluster VERB [ARGUMENT ...]

  up [-lifetime 3h] [-api-only]   build what is missing and bring the cluster up
  down                            end the cluster and remove all that belonged to it
  status                          say whether it is up, and what its daemons do
  build                           build what is missing, and start nothing
  shell                           a shell inside the cluster's namespaces
  run COMMAND [ARGUMENT ...]      a command inside the cluster's namespaces
  env                             the file with addresses and credentials, for a shell
  start|stop|kill COMPONENT ...   for tests of faults: one of the daemons that status names
  hold|go-on COMPONENT ...        the same, for one that accepts connections and answers none
  logs COMPONENT                  what a daemon said
  publish [-o FILE] [NAME ...]    build step images with ko into the cluster's registry, and write their references
  peers DIR                       what builds are compared with: an image with buildah and git, and Shipwright
  test                            try a pod, a claim, a PipelineRun, an EventListener, an import

The cluster is named after the checkout, or by the environment variable ` + instance.NameVariable + `.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || slices.Contains([]string{"help", "-h", "--help", "-help"}, args[0]) {
		fmt.Print(usage)
		return nil
	}
	verb, rest := args[0], args[1:]
	// What the program starts itself with, inside the namespaces.
	if inside, ok := daemons()[verb]; ok && len(rest) == 1 {
		settings, err := node.ReadSettings(rest[0])
		if err != nil {
			return err
		}
		return inside(ctx, settings, rest[0])
	}
	do, ok := verbs()[verb]
	if !ok {
		return fmt.Errorf("there is no verb %q\n\n%s", verb, usage)
	}
	i, err := instance.Open(os.Stderr)
	if err != nil {
		return err
	}
	return do(ctx, i, rest)
}

func daemons() map[string]func(context.Context, node.Settings, string) error {
	return map[string]func(context.Context, node.Settings, string) error{
		"init": func(ctx context.Context, s node.Settings, file string) error {
			// The supervisor hears of signals and decides; the first process must outlive it.
			return node.Init(context.WithoutCancel(ctx), s, "supervise", file)
		},
		"supervise": func(ctx context.Context, s node.Settings, _ string) error { return node.Supervise(ctx, s) },
		"serve-git": func(ctx context.Context, s node.Settings, _ string) error { return node.ServeGit(ctx, s) },
	}
}

func verbs() map[string]func(context.Context, *instance.Instance, []string) error {
	return map[string]func(context.Context, *instance.Instance, []string) error{
		"up":     up,
		"down":   func(ctx context.Context, i *instance.Instance, _ []string) error { return i.Down(ctx) },
		"status": status,
		"build": func(ctx context.Context, i *instance.Instance, _ []string) error {
			return i.Build(ctx, instance.Options{})
		},
		"shell":   shell,
		"run":     command,
		"env":     environment,
		"logs":    logs,
		"publish": publish,
		"peers":   peers,
		"test":    try,
		"start": func(ctx context.Context, i *instance.Instance, names []string) error {
			return i.Control().Start(ctx, names...)
		},
		"stop": func(ctx context.Context, i *instance.Instance, names []string) error {
			return i.Control().Stop(ctx, names...)
		},
		"kill": func(ctx context.Context, i *instance.Instance, names []string) error {
			return i.Control().Kill(ctx, names...)
		},
		"hold": func(ctx context.Context, i *instance.Instance, names []string) error {
			return i.Control().Hold(ctx, names...)
		},
		"go-on": func(ctx context.Context, i *instance.Instance, names []string) error {
			return i.Control().GoOn(ctx, names...)
		},
	}
}

func up(ctx context.Context, i *instance.Instance, args []string) error {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	var o instance.Options
	flags.DurationVar(&o.Lifetime, "lifetime", 3*time.Hour, "after what time the cluster ends by itself")
	flags.BoolVar(&o.APIOnly, "api-only", false, "only the API server with ImageStreams, the registry and the git server: no pods, no Tekton")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return i.Up(ctx, o)
}

func shell(_ context.Context, i *instance.Instance, _ []string) error {
	program := os.Getenv("SHELL")
	if program == "" {
		program = "/bin/bash"
	}
	return i.Exec(program)
}

func command(_ context.Context, i *instance.Instance, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("run what?")
	}
	return i.Exec(args...)
}
