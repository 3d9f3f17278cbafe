package step

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// FlagSet holds the flags of a step: those of the flag package, flags that are lists, and those that every step has.
//
// A flag with an empty value counts as not given, so that a Tekton Task can pass all its params on (`-user=$(params.user)`): the flag
// then falls back to its environment variable, and then to its default.
type FlagSet struct {
	*flag.FlagSet
	required    []string
	summary     string
	positional  *list
	workspace   *string
	resultsDir  *string
	limit       *int
	termination *string
	logLevel    *string
	logFormat   *string
}

func newFlagSet(s Spec) *FlagSet {
	f := &FlagSet{FlagSet: flag.NewFlagSet(s.Name, flag.ContinueOnError), summary: s.Summary}
	f.SetOutput(io.Discard)
	f.workspace = f.String("workspace", ".", "directory that the stages of a build share")
	f.resultsDir = f.String("results-dir", "/tekton/results", "directory for results, a file each; nothing is written if it does not exist")
	f.limit = f.Int("results-limit", 0, "bytes that the results may take in the message in which Tekton carries them; 0 means what a pod of few steps has room for")
	f.termination = f.String("termination-message", "/dev/termination-log", "file for the termination message; nothing is written if it does not exist")
	f.logLevel = f.String("log-level", "info", "debug, info, warn or error")
	f.logFormat = f.String("log-format", "text", "text or json")
	return f
}

// Workspace is the shared directory, once the flags are parsed.
func (f *FlagSet) Workspace() workspace.Dir { return workspace.Dir(*f.workspace) }

// Required names the flags that must not be empty.
func (f *FlagSet) Required(names ...string) { f.required = append(f.required, names...) }

// Variable is the environment variable that a flag falls back to: git-url has OSBS_GIT_URL.
func Variable(flagName string) string {
	return "OSBS_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// terminator ends the flags; what follows are values of the positional list.
const terminator = "--"

// parse sets the flags. All that is wrong is in the error, one line each.
func (f *FlagSet) parse(args []string, getenv func(string) string) error {
	var rest []string
	if i := slices.Index(args, terminator); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	set, err := f.parseArguments(args)
	if err != nil {
		return err
	}
	if f.NArg() > 0 || len(rest) > 0 && f.positional == nil {
		return fmt.Errorf("unexpected argument %q: every setting is a flag", clip(append(f.Args(), rest...)[0]))
	}
	var errs []error
	for _, argument := range rest {
		if err := f.positional.add(argument); err != nil {
			errs = append(errs, fmt.Errorf("after %s: %w", terminator, err))
		}
	}
	f.VisitAll(func(g *flag.Flag) {
		if err := set[g.Name].err; err != nil {
			errs = append(errs, fmt.Errorf("-%s: %w", g.Name, err))
		}
		value := getenv(Variable(g.Name))
		if set[g.Name].given || value == "" || g.Value == f.positional && len(f.positional.values) > 0 {
			return
		}
		if err := accept(g.Value, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", Variable(g.Name), err))
		}
	})
	return errors.Join(append(errs, f.check()...)...)
}

// check looks at what the flags are, wherever it came from.
func (f *FlagSet) check() (errs []error) {
	for _, name := range f.required {
		if f.Lookup(name).Value.String() == "" {
			errs = append(errs, fmt.Errorf("-%s is required", name))
		}
	}
	if err := new(slog.Level).UnmarshalText([]byte(*f.logLevel)); err != nil {
		errs = append(errs, fmt.Errorf("-log-level %q: accepted are debug, info, warn and error", clip(*f.logLevel)))
	}
	if *f.logFormat != "text" && *f.logFormat != "json" {
		errs = append(errs, fmt.Errorf("-log-format %q: accepted are text and json", clip(*f.logFormat)))
	}
	return errs
}

// argument stands in for a flag's value while the arguments are parsed: it leaves out empty values, and notes what was wrong, so that
// one fault does not hide the next.
type argument struct {
	flag.Value
	given bool
	err   error
}

// Set implements flag.Value.
func (a *argument) Set(s string) error {
	if s != "" {
		a.given = true
		a.err = errors.Join(a.err, accept(a.Value, s))
	}
	return nil
}

// IsBoolFlag tells the flag package that the flag may stand alone.
func (a *argument) IsBoolFlag() bool {
	b, ok := a.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// parseArguments sets the flags that the arguments name, and tells of each what became of it.
func (f *FlagSet) parseArguments(args []string) (map[string]*argument, error) {
	set := map[string]*argument{}
	f.VisitAll(func(g *flag.Flag) {
		set[g.Name] = &argument{Value: g.Value}
		g.Value = set[g.Name]
	})
	err := f.Parse(args)
	f.VisitAll(func(g *flag.Flag) { g.Value = set[g.Name].Value })
	return set, err
}

// accept sets a value, or says what would have been right.
func accept(v flag.Value, text string) error {
	err := v.Set(text)
	if err == nil {
		return nil
	}
	want := ""
	if g, ok := v.(flag.Getter); ok {
		switch g.Get().(type) {
		case bool:
			want = "accepted are true and false"
		case int:
			want = "accepted is a whole number"
		case time.Duration:
			want = "accepted is a duration such as 30s, 10m or 2h"
		}
	}
	if want == "" {
		return err
	}
	return fmt.Errorf("invalid value %q: %s", clip(text), want)
}

// clip shortens what a message quotes.
func clip(s string) string { return shorten(s, 200) }

func (f *FlagSet) help(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n\nEvery flag falls back to an environment variable: -git-url to OSBS_GIT_URL. An empty value counts as none.\n", f.Name(), f.summary)
	if f.positional != nil {
		fmt.Fprintf(w, "What follows %s are values of -%s.\n", terminator, f.positional.name)
	}
	fmt.Fprintln(w)
	f.SetOutput(w)
	f.PrintDefaults()
}
