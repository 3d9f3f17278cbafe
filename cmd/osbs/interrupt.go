package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// errInterrupted is what a command ends with that a person or the system has ended.
var errInterrupted = failure.New(failure.Cancelled, "interrupted")

// interruptible is ctx until the first SIGINT or SIGTERM, which lets what runs end cleanly. A second one ends the process at once.
// That nobody reads the output any more ends nothing: a build goes on without being shown.
func interruptible(ctx context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE) // the write fails then, and programs that a build starts do not inherit it
	go func() {
		if _, open := <-signals; !open {
			return
		}
		cancel(errInterrupted)
		if _, open := <-signals; open {
			fmt.Fprintln(stderr, "osbs: ended at once")
			os.Exit(failure.Cancelled.ExitCode())
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(broken)
		close(signals)
		cancel(nil)
	}
}
