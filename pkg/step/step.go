package step

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Spec is a step binary: its name, what it says of itself, its flags, its results, and what it does.
type Spec struct {
	// Name is the stage's.
	Name string
	// Summary is one sentence for -help and the Task's description.
	Summary string
	// Results are all results that Run may set, in addition to ResultMessage. What it has not set when it succeeds becomes empty: a task
	// that succeeds without a result fails the whole PipelineRun that names it.
	Results []Result
	// Skippable says that the step has nothing to do when the prepare stage has skipped the build: it then succeeds with empty results.
	Skippable bool
	// Flags registers the flags and returns what runs once they are parsed.
	Flags func(*FlagSet) Run
}

// Run is the work of a step. It ends within a second when ctx does.
type Run func(ctx context.Context, env Env, out *Results) error

// grace is how long a step may go on after a signal before it is ended: cancellation is honoured within a second.
const grace = 900 * time.Millisecond

// Main runs the step with the process's arguments, environment and streams, and ends the process with the exit code of the kind
// of its error (see failure.Kind).
func Main(s Spec) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	done := make(chan int, 1)
	go func() { done <- s.Execute(ctx, os.Args[1:], os.Getenv, os.Stderr) }()
	var code int
	select {
	case code = <-done:
	case <-ctx.Done():
		select {
		case code = <-done:
		case <-time.After(grace):
			fmt.Fprintln(os.Stderr, s.Name+": did not stop in time, ending it")
			code = failure.Cancelled.ExitCode()
		}
	}
	stop()
	os.Exit(code)
}

// Execute runs the step and returns the exit code. getenv gives the flags' fall-backs; log lines and help go to stderr.
func (s Spec) Execute(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	if len(args) == 1 && args[0] == describeFlag {
		return s.describe(stderr)
	}
	f := newFlagSet(s)
	run := s.Flags(f)
	switch err := f.parse(args, getenv); {
	case errors.Is(err, flag.ErrHelp):
		f.help(stderr)
		return 0
	case err != nil:
		// No secret has been read yet, but a URL that stands in the wrong place may hold one.
		fmt.Fprintf(stderr, "%s: %s\n%s -help lists the flags\n", s.Name, redact.URL(err.Error()), s.Name)
		f.terminate(s.outcome(nil, nil, failure.New(failure.Usage, "%w", err)))
		return failure.Usage.ExitCode()
	}
	secrets := &redact.Set{}
	log := s.logger(stderr, *f.logLevel, *f.logFormat, secrets)
	env := Env{Log: log, Redact: secrets, Progress: progress.New(stderr, false)}.WithDefaults()
	results := newResults(s.Results, *f.resultsDir, *f.limit)
	err := s.run(ctx, f, run, env, results)
	out := s.outcome(results, secrets, err)
	if err != nil {
		log.Error(out.Message, "kind", out.Kind)
		results.message(out.Message)
	}
	f.terminate(out)
	logUsage(log)
	return out.code()
}

// run calls the stage, keeping a panic from ending the process without a word.
func (s Spec) run(ctx context.Context, f *FlagSet, run Run, env Env, results *Results) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = failure.New(failure.Internal, "panic: %v", p)
		}
	}()
	skipped, err := s.skipped(f.Workspace(), env)
	if err == nil && !skipped {
		err = run(ctx, env, results)
	}
	if err == nil {
		err = results.finish()
	}
	if ctx.Err() != nil && err != nil && failure.KindOf(err) != failure.Cancelled {
		err = failure.New(failure.Cancelled, "cancelled: %w", err)
	}
	return err
}

// skipped says, also to the log, that the prepare stage has ended the build. A build that has no prepare stage goes on.
func (s Spec) skipped(d workspace.Dir, env Env) (bool, error) {
	if !s.Skippable {
		return false, nil
	}
	prepared, err := workspace.Read[workspace.Prepare](d)
	if failure.KindOf(err) == failure.NotFound {
		return false, nil
	}
	if err != nil || prepared.State != workspace.StateSkipped {
		return false, err
	}
	env.Log.Info("skipped: " + prepared.Reason)
	return true, nil
}

// logger writes lines for people, as the local instance does, or JSON for programs, which are told the stage.
func (s Spec) logger(w io.Writer, level, format string, secrets *redact.Set) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // parse has checked it
	if format == "json" {
		return slog.New(secrets.Handler(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))).With("stage", s.Name)
	}
	return slog.New(secrets.Handler(logline.NewHandler(w, l, "")))
}
