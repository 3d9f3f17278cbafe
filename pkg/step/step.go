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
	"strings"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
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
	// Results are all results that Run may set, in addition to ResultMessage.
	Results []Result
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
	log := newLogger(stderr, *f.logLevel, *f.logFormat, secrets).With("stage", s.Name)
	env := Env{Log: log, Redact: secrets, Progress: progress.New(stderr, false)}.WithDefaults()
	results := newResults(s.Results, *f.resultsDir)
	err := s.run(ctx, run, env, results)
	out := s.outcome(results, secrets, err)
	if err != nil {
		log.Error(out.Message, "kind", out.Kind)
		results.message(out.Message)
	}
	f.terminate(out)
	return out.code()
}

// run calls the stage, keeping a panic from ending the process without a word.
func (s Spec) run(ctx context.Context, run Run, env Env, results *Results) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = failure.New(failure.Internal, "panic: %v", p)
		}
	}()
	err = run(ctx, env, results)
	if ctx.Err() != nil && err != nil && failure.KindOf(err) != failure.Cancelled {
		err = failure.New(failure.Cancelled, "cancelled: %w", err)
	}
	return err
}

func newLogger(w io.Writer, level, format string, secrets *redact.Set) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // parse has checked it
	options := &slog.HandlerOptions{Level: l}
	var h slog.Handler = slog.NewTextHandler(w, options)
	if format == "json" {
		h = slog.NewJSONHandler(w, options)
	}
	return slog.New(secrets.Handler(h))
}

// FlagSet holds the flags of a step: those of the flag package, flags that repeat, and those that every step has.
type FlagSet struct {
	*flag.FlagSet
	required    []string
	summary     string
	workspace   *string
	resultsDir  *string
	termination *string
	logLevel    *string
	logFormat   *string
}

func newFlagSet(s Spec) *FlagSet {
	f := &FlagSet{FlagSet: flag.NewFlagSet(s.Name, flag.ContinueOnError), summary: s.Summary}
	f.SetOutput(io.Discard)
	f.workspace = f.String("workspace", ".", "directory that the stages of a build share")
	f.resultsDir = f.String("results-dir", "/tekton/results", "directory for results, a file each; nothing is written if it does not exist")
	f.termination = f.String("termination-message", "/dev/termination-log", "file for the termination message; nothing is written if it does not exist")
	f.logLevel = f.String("log-level", "info", "debug, info, warn or error")
	f.logFormat = f.String("log-format", "text", "text or json")
	return f
}

// Workspace is the shared directory, once the flags are parsed.
func (f *FlagSet) Workspace() workspace.Dir { return workspace.Dir(*f.workspace) }

// List registers a flag that may be repeated. Its environment fall-back holds one value a line.
func (f *FlagSet) List(name, usage string) *[]string {
	v := new(list)
	f.Var(v, name, usage+" (may be repeated)")
	return (*[]string)(v)
}

// Required names the flags that must not be empty.
func (f *FlagSet) Required(names ...string) { f.required = append(f.required, names...) }

type list []string

func (l *list) String() string { return strings.Join(*l, "\n") }

func (l *list) Set(s string) error {
	for v := range strings.SplitSeq(s, "\n") {
		if v != "" {
			*l = append(*l, v)
		}
	}
	return nil
}

// Variable is the environment variable that a flag falls back to: git-url has OSBS_GIT_URL.
func Variable(flagName string) string {
	return "OSBS_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

func (f *FlagSet) parse(args []string, getenv func(string) string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: every setting is a flag", f.Arg(0))
	}
	set := map[string]bool{}
	f.Visit(func(g *flag.Flag) { set[g.Name] = true })
	var errs []error
	f.VisitAll(func(g *flag.Flag) {
		value := getenv(Variable(g.Name))
		if set[g.Name] || value == "" {
			return
		}
		if err := g.Value.Set(value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: invalid value %q: %w", Variable(g.Name), value, err))
		}
	})
	for _, name := range f.required {
		if f.Lookup(name).Value.String() == "" {
			errs = append(errs, fmt.Errorf("-%s is required", name))
		}
	}
	if err := new(slog.Level).UnmarshalText([]byte(*f.logLevel)); err != nil {
		errs = append(errs, fmt.Errorf("-log-level %q: accepted are debug, info, warn and error", *f.logLevel))
	}
	if *f.logFormat != "text" && *f.logFormat != "json" {
		errs = append(errs, fmt.Errorf("-log-format %q: accepted are text and json", *f.logFormat))
	}
	return errors.Join(errs...)
}

func (f *FlagSet) help(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\nEvery flag falls back to an environment variable: -git-url to OSBS_GIT_URL.\n\n", f.Name(), f.summary)
	f.SetOutput(w)
	f.PrintDefaults()
}
