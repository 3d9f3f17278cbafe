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
func interruptible(ctx context.Context, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
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
		close(signals)
		cancel(nil)
	}
}
