package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/report"
)

// session is an instance, opened for one command, and the ways to show what it says.
type session struct {
	*program
	osbs.Instance
	config *osbsconf.Config
	json   bool
	// text shows things to people: on stdout, or with --output json on stderr.
	text *report.Printer
	// plain is stdout itself, for what is neither.
	plain io.Writer
}

// open reads osbs.conf and opens the instance that it names. live says that the command shows work in progress.
func (p *program) open(ctx context.Context, c *cli.Context, live bool) (*session, error) {
	asJSON, err := p.output(c)
	if err != nil {
		return nil, err
	}
	return p.openAs(ctx, c, live, asJSON)
}

// openAs is open; asJSON says that stdout is for a program.
func (p *program) openAs(ctx context.Context, c *cli.Context, live, asJSON bool) (*session, error) {
	config, err := p.configure(c)
	if err != nil {
		return nil, err
	}
	s := &session{program: p, config: config, json: asJSON, plain: p.stdout}
	w, tty := p.stdout, p.stdoutTTY
	if asJSON {
		w, tty = p.stderr, p.stderrTTY
	}
	logs := p.stderr
	var shown progress.Reporter
	if live && tty {
		screen := progress.NewTerminal(w, p.now)
		w, shown = screen, largeWork{screen}
		if p.stderrTTY {
			logs = screen
		}
	}
	s.text = report.New(w, report.Options{Color: tty && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb", Now: p.now})
	s.Instance, err = openInstance(ctx, config, p.logger(logs, config), shown)
	return s, err
}

// The values of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

// output reads --output.
func (p *program) output(c *cli.Context) (asJSON bool, err error) {
	format, err := p.outputOf(c, outputText, outputJSON)
	return format == outputJSON, err
}

// outputOf reads --output of a command that knows these values; the first one counts if none is given.
func (p *program) outputOf(c *cli.Context, known ...string) (string, error) {
	format := c.String(flagOutput)
	switch {
	case format == "":
		return known[0], nil
	case slices.Contains(known, format):
		return format, nil
	default:
		last := len(known) - 1
		return "", failure.New(failure.Usage, "--output %q: accepted are %s and %s", format, strings.Join(known[:last], ", "), known[last])
	}
}

// configure reads osbs.conf; what the command line says goes before it.
func (p *program) configure(c *cli.Context) (*osbsconf.Config, error) {
	flags := map[string]string{}
	for name := range p.given {
		if osbsconf.IsKey(key(name)) {
			if _, isBool := c.Value(name).(bool); isBool {
				flags[key(name)] = "false"
				if c.Bool(name) {
					flags[key(name)] = "true"
				}
				continue
			}
			flags[key(name)] = c.String(name)
		}
	}
	config, warnings, err := osbsconf.Load(osbsconf.Options{
		Path: c.String(flagConfig), Instance: c.String(flagInstance), Flags: flags, Getenv: p.getenv, Home: p.home,
		BuiltIn: p.builtIn,
	})
	for _, w := range warnings {
		p.warn(w)
	}
	if err == nil && p.given[flagNamespace] && config.IsLocal() {
		p.warn("--namespace has no meaning for the local instance")
	}
	return config, err
}

func (p *program) warn(text string) {
	_, _ = io.WriteString(p.stderr, "osbs: warning: "+cleanLines(text)+"\n")
}

// logger writes what concerns no single build: warnings, with --verbose everything.
func (p *program) logger(w io.Writer, config *osbsconf.Config) *slog.Logger {
	level := slog.LevelWarn
	if config.Verbose {
		level = slog.LevelDebug
	}
	secrets := &redact.Set{}
	secrets.Add(config.Secrets()...)
	return slog.New(secrets.Handler(logline.NewHandler(w, level, "osbs: ")))
}

// show prints v as JSON, or calls text.
func (s *session) show(v any, text func()) error {
	if !s.json {
		text()
		return nil
	}
	s.shown = true
	if err := report.JSON(s.plain, v); err != nil && !errors.Is(err, os.ErrClosed) {
		return failure.New(failure.Storage, "writing the output: %w", err)
	}
	return nil
}

// largeWork shows only what takes a while: the rest would push a build's own lines off the screen.
type largeWork struct{ progress.Reporter }

// large is the size from which work is shown, in bytes.
const large = 4 << 20

// Start implements progress.Reporter.
func (l largeWork) Start(name string, total int64) progress.Task {
	if total > 0 && total < large {
		return progress.Discard.Start(name, total)
	}
	return l.Reporter.Start(name, total)
}
