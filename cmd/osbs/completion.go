package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/report"
)

// completeCommand is what the shells' scripts call: its arguments are the words of the command line after osbs, the last of them the
// one to complete. It prints a candidate a line, and nothing when files are to be offered.
const completeCommand = "__complete"

// The scripts hand the words over as they are; nothing that a person types is evaluated.
const (
	bashScript = `# bash completion of osbs: source this file, or put it into /etc/bash_completion.d
_osbs() {
    local IFS=$'\n' word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "$word"))
}
complete -o default -F _osbs osbs
`
	zshScript = `#compdef osbs
# zsh completion of osbs: put this file as _osbs into a directory of $fpath
_osbs() {
    local -a candidates
    candidates=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${candidates[1]}" ]]; then
        compadd -a candidates
    else
        _files
    fi
}
if [ "$funcstack[1]" = "_osbs" ]; then _osbs; else compdef _osbs osbs; fi
`
	fishScript = `# fish completion of osbs: put this file as osbs.fish into ~/.config/fish/completions
function __osbs_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..] 2>/dev/null
end
complete -c osbs -a '(__osbs_complete)'
`
)

func (p *program) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the script that completes osbs in a shell", ArgsUsage: "bash|zsh|fish",
		Description: "For bash: source <(osbs completion bash)",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1, "the name of a shell: bash, zsh or fish")
			if err != nil {
				return err
			}
			script, ok := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[args[0]]
			if !ok {
				return failure.New(failure.Usage, "there is no completion for %q: accepted are bash, zsh and fish", args[0])
			}
			_, err = io.WriteString(p.stdout, script)
			return err
		},
	}
}

// complete prints the candidates for the last of words.
func (p *program) complete(ctx context.Context, app *cli.App, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	before, word := words[:len(words)-1], words[len(words)-1]
	for _, candidate := range p.candidates(ctx, app, before, word) {
		if strings.HasPrefix(candidate, word) {
			fmt.Fprintln(p.stdout, candidate)
		}
	}
}

func (p *program) candidates(ctx context.Context, app *cli.App, before []string, word string) []string {
	line := &lineParser{app: app, getenv: func(string) string { return "" }, given: map[string]bool{}}
	for rest := before; len(rest) > 0; {
		if name := strings.TrimLeft(rest[0], "-"); len(rest) == 1 && strings.HasPrefix(rest[0], "-") {
			if f, _ := line.find(name); f != nil && takesValue(f) {
				return p.values(f.Names()[0], line.command)
			}
		}
		var err error
		if rest, err = line.next(rest); err != nil {
			return nil
		}
	}
	switch {
	case strings.HasPrefix(word, "-"):
		return line.flags()
	case line.command == nil:
		return commandNames(app)
	case len(line.positional) == 0:
		return p.positional(ctx, line.command.Name)
	}
	return nil
}

func commandNames(app *cli.App) []string {
	names := make([]string, 0, len(app.Commands))
	for _, c := range app.Commands {
		names = append(names, c.Name)
	}
	return names
}

// flags are those that may follow, the longer names only.
func (p *lineParser) flags() []string {
	var names []string
	if p.command != nil {
		names = flagNames(p.command.Flags)
	}
	names = append(names, flagNames(p.app.Flags)...)
	for i := range names {
		names[i] = "--" + names[i]
	}
	return append(slices.DeleteFunc(names, func(name string) bool { return p.given[strings.TrimLeft(name, "-")] }), "--help")
}

// values are those of a flag that has but a few; command may be nil.
func (p *program) values(flag string, command *cli.Command) []string {
	if flag == flagOutput && command != nil && slices.Contains([]string{commandPlan, commandGraph}, command.Name) {
		return drawingOutputs()
	}
	return map[string][]string{
		flagOutput: {outputText, outputJSON}, flagInstance: {osbsconf.Local}, "lock-policy": {"fail", "wait"}, "columns": report.Columns(),
	}[flag]
}

// positional are the candidates for a command's argument. What cannot be found out is no candidate.
func (p *program) positional(ctx context.Context, command string) []string {
	switch command {
	case "completion":
		return []string{"bash", "zsh", "fish"}
	case "get-build", "build-logs":
		return p.buildNames(ctx, osbs.Filter{})
	case "watch-build", "cancel-build":
		return p.buildNames(ctx, osbs.Filter{Running: true})
	case "rebuild", "explain", "pause-builds", "resume-builds":
		return p.buildConfigNames(ctx)
	}
	return nil
}

func (p *program) buildNames(ctx context.Context, filter osbs.Filter) []string {
	instance := p.openForNames(ctx)
	if instance == nil {
		return nil
	}
	defer instance.Close()
	builds, err := instance.List(ctx, filter)
	if err != nil {
		return nil
	}
	var names []string
	for _, b := range builds {
		names = append(names, b.Name)
	}
	return names
}

func (p *program) buildConfigNames(ctx context.Context) []string {
	instance := p.openForNames(ctx)
	if instance == nil {
		return nil
	}
	defer instance.Close()
	configs, err := instance.BuildConfigs(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, bc := range configs {
		names = append(names, bc.Name)
	}
	return names
}

// openForNames opens the instance that the environment and osbs.conf name; nil if that cannot be done.
func (p *program) openForNames(ctx context.Context) osbs.Instance {
	config, _, err := osbsconf.Load(osbsconf.Options{
		Path: p.getenv(variable(flagConfig)), Instance: p.getenv(variable(flagInstance)), Getenv: p.getenv, Home: p.home,
	})
	if err != nil {
		return nil
	}
	instance, err := openInstance(ctx, config, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil
	}
	return instance
}
