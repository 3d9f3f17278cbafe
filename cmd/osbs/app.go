package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/report"
)

// program is one run of osbs: its streams, its environment, and what its command line said.
type program struct {
	stdout, stderr io.Writer
	// stdin is the terminal of the person who runs the program, nil if there is none.
	stdin                io.Reader
	stdoutTTY, stderrTTY bool
	getenv               func(string) string
	home                 string
	// builtIn is the instance that is used when nobody names one.
	builtIn  string
	version  string
	userName func() string
	now      func() time.Time
	// given has the flags of the command line, by their first names; those that come from the environment are not among them.
	given map[string]bool
	// shown says that stdout has a document already.
	shown bool
}

// The global flags.
const (
	flagConfig      = "config"
	flagInstance    = "instance"
	flagNamespace   = "namespace"
	flagOutput      = "output"
	flagRegistryURI = "registry-uri"
	flagVerbose     = "verbose"
)

// run runs one command and returns the exit code of its error's kind.
func (p *program) run(ctx context.Context, args []string) int {
	app := p.app()
	if len(args) > 0 && args[0] == completeCommand {
		p.complete(ctx, app, args[1:])
		return 0
	}
	err := p.runApp(ctx, app, args)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	message := cleanLines(err.Error())
	fmt.Fprintf(p.stderr, "osbs: %s\n", message)
	if asksForJSON(args, p.getenv) && !p.shown { // a program that reads stdout finds a document there whatever happens
		_ = report.JSON(p.stdout, failureDocument{osbs.Failure{Kind: failure.KindOf(err), Message: message}})
	}
	return failure.KindOf(err).ExitCode()
}

// failureDocument is the JSON of a command that has nothing else to show; the JSON of a build has its failure under the same key.
type failureDocument struct {
	Failure osbs.Failure `json:"failure"`
}

// asksForJSON says whether the command line, right or wrong, has --output json, or the environment its like.
func asksForJSON(args []string, getenv func(string) string) bool {
	format := getenv(variable(flagOutput))
	for i, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		switch {
		case arg == "--":
			return format == "json"
		case !strings.HasPrefix(arg, "-") || strings.TrimLeft(name, "-") != flagOutput:
		case hasValue:
			format = value
		case i+1 < len(args):
			format = args[i+1]
		}
	}
	return format == "json"
}

func (p *program) runApp(ctx context.Context, app *cli.App, args []string) error {
	line, err := parseArgs(app, args, p.getenv)
	if err != nil {
		return err
	}
	p.given = line.given
	return app.RunContext(ctx, append([]string{app.Name}, line.args...))
}

// app is the command line. Package cli parses what parseArgs has brought into its order.
func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "osbs",
		Usage: "build container images, and rebuild them when their bases change",
		Description: "Every flag falls back to an environment variable: --git-url to OSBS_GIT_URL. Flags that are keys of osbs.conf fall\n" +
			"back to that, too. Global options may be given anywhere.",
		UsageText: "osbs [global options] COMMAND [options] [arguments]",
		Version:   p.versionText(), HideVersion: true, HideHelpCommand: true,
		Writer: p.stdout, ErrWriter: p.stderr,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {},
		Action:                    cli.ShowAppHelp,
		Flags: []cli.Flag{
			text(flagConfig, "`FILE` to read instead of ~/.osbs.conf or /etc/osbs.conf"),
			text(flagInstance, "section of osbs.conf that says where builds run; local is built in", "i"),
			text(flagNamespace, "namespace on the cluster; the local instance has none"),
			text(flagOutput, "`text` or json; osbs plan and osbs graph know mermaid, dot and svg, too"),
			text(flagRegistryURI, "registry to push to, or several with commas between them"),
			boolean(flagVerbose, "say more: debug messages, and all lines of logs"),
		},
		Commands: []*cli.Command{
			p.buildCommand(), p.listBuildsCommand(), p.getBuildCommand(), p.buildLogsCommand(), p.watchBuildCommand(),
			p.watchBuildsCommand(), p.cancelBuildCommand(), p.listBuildConfigsCommand(), p.planCommand(), p.graphCommand(),
			p.importImageCommand(), p.pauseBuildsCommand(), p.resumeBuildsCommand(), p.rebuildCommand(), p.explainCommand(), p.backupBuilderCommand(), p.restoreBuilderCommand(), p.serveCommand(),
			p.installCommand(), p.uninstallCommand(), p.generateCommand(), p.completionCommand(), p.versionCommand(),
		},
	}
	for _, c := range app.Commands {
		c.HideHelpCommand = true
		c.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return failure.New(failure.Usage, "%w", err) }
	}
	app.OnUsageError = func(_ *cli.Context, err error, _ bool) error { return failure.New(failure.Usage, "%w", err) }
	return app
}

func text(name, usage string, aliases ...string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: usage, Aliases: aliases}
}

func boolean(name, usage string, aliases ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Aliases: aliases, DisableDefaultText: true}
}

func list(name, usage string) cli.Flag {
	return &cli.StringSliceFlag{Name: name, Usage: usage + "; may be repeated"}
}

// arguments checks how many arguments there are, and returns them. what names them for messages.
func arguments(c *cli.Context, least, most int, what string) ([]string, error) {
	args := c.Args().Slice()
	switch {
	case len(args) < least:
		return nil, failure.WithHint(failure.New(failure.Usage, "osbs %s needs %s", c.Command.Name, what), "osbs %s --help says more", c.Command.Name)
	case len(args) > most:
		return nil, failure.WithHint(failure.New(failure.Usage, "osbs %s: unexpected argument %q", c.Command.Name, args[most]),
			"osbs %s --help says more", c.Command.Name)
	case slices.Contains(args, ""):
		return nil, failure.New(failure.Usage, "osbs %s: an argument is empty", c.Command.Name)
	}
	return args, nil
}

// variable is the environment variable that a flag falls back to.
func variable(flag string) string {
	return "OSBS_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
