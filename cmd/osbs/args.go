package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// commandLine is a command line in the order that package cli understands: global flags, command, its flags, arguments.
type commandLine struct {
	args    []string
	given   map[string]bool
	command *cli.Command // nil if there is none
}

// lineParser goes through the arguments from left to right.
type lineParser struct {
	app     *cli.App
	getenv  func(string) string
	command *cli.Command
	given   map[string]bool

	global, local, positional []string
}

// parseArgs accepts flags before and after the command and its arguments, as OSBS did, and says clearly what is wrong. What the
// command line does not say and no key of osbs.conf does, it takes from the environment.
func parseArgs(app *cli.App, args []string, getenv func(string) string) (commandLine, error) {
	p := &lineParser{app: app, getenv: getenv, given: map[string]bool{}}
	for len(args) > 0 {
		rest, err := p.next(args)
		if err != nil {
			return commandLine{command: p.command}, err
		}
		args = rest
	}
	if err := p.environment(); err != nil {
		return commandLine{}, err
	}
	out := commandLine{args: p.global, given: p.given, command: p.command}
	if p.command != nil {
		out.args = append(append(out.args, p.command.Name), p.local...)
		out.args = append(append(out.args, "--"), p.positional...)
	}
	return out, nil
}

// next takes one flag or one argument off the front.
func (p *lineParser) next(args []string) ([]string, error) {
	arg, rest := args[0], args[1:]
	switch {
	case arg == "--":
		p.positional = append(p.positional, rest...)
		return nil, p.needCommand()
	case strings.HasPrefix(arg, "-") && arg != "-":
		return p.flag(arg, rest)
	case p.command != nil:
		p.positional = append(p.positional, arg)
		return rest, nil
	}
	if arg == "help" {
		p.take(false, "--help")
		if len(rest) > 0 && p.app.Command(rest[0]) != nil {
			p.global = p.global[:len(p.global)-1]
			return []string{rest[0], "--help"}, nil
		}
		return nil, nil
	}
	if p.command = p.app.Command(arg); p.command == nil || p.command.Hidden {
		return nil, p.unknownCommand(arg)
	}
	return rest, nil
}

func (p *lineParser) needCommand() error {
	if p.command == nil && len(p.positional) > 0 {
		return p.unknownCommand(p.positional[0])
	}
	return nil
}

func (p *lineParser) unknownCommand(name string) error {
	err := failure.New(failure.Usage, "there is no command %q", name)
	if why, ok := elsewhere()[name]; ok {
		return failure.WithHint(err, "%s", why)
	}
	var names []string
	for _, c := range p.app.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	if near := nearest(name, names); near != "" {
		return failure.WithHint(err, "did you mean osbs %s?", near)
	}
	return failure.WithHint(err, "commands are: %s", strings.Join(names, ", "))
}

// elsewhere says what became of commands of OSBS that are not commands here.
func elsewhere() map[string]string {
	return map[string]string{ //nolint:gosec // names of commands, no credentials
		"get-token": "oc whoami --show-token prints it", "get-user": "oc whoami prints it",
		"login": "oc login logs in",
	}
}

// flag takes a flag, and its value if it has one, to where it belongs.
func (p *lineParser) flag(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	if name == "help" || name == "h" {
		p.take(p.command != nil, "--help")
		return rest, nil
	}
	if name == "version" && p.command == nil {
		p.command = p.app.Command("version")
		return rest, nil
	}
	f, local := p.find(name)
	if f == nil && !strings.HasPrefix(arg, "--") && len(name) > 1 { // -gURL
		if short, isLocal := p.find(name[:1]); short != nil && takesValue(short) {
			f, local, value, hasValue = short, isLocal, strings.TrimLeft(arg, "-")[1:], true
		}
	}
	if f == nil {
		return nil, p.unknownFlag(arg)
	}
	p.given[f.Names()[0]] = true
	if !takesValue(f) {
		return rest, p.boolean(f, local, value, hasValue)
	}
	if !hasValue {
		if len(rest) == 0 || p.isFlag(rest[0]) {
			return nil, failure.WithHint(failure.New(failure.Usage, "%s needs a value", arg), "%s=VALUE, if the value begins with -", dashed(f.Names()[0]))
		}
		value, rest = rest[0], rest[1:]
	}
	p.take(local, dashed(f.Names()[0])+"="+value)
	return rest, nil
}

func (p *lineParser) boolean(f cli.Flag, local bool, value string, hasValue bool) error {
	set := true
	if hasValue {
		var err error
		if set, err = osbsconf.ParseBool(value); err != nil {
			return failure.New(failure.Usage, "%s: %w", dashed(f.Names()[0]), err)
		}
	}
	p.take(local, dashed(f.Names()[0])+"="+strconv.FormatBool(set))
	return nil
}

func (p *lineParser) take(local bool, arg string) {
	if local {
		p.local = append(p.local, arg)
	} else {
		p.global = append(p.global, arg)
	}
}

// find looks a flag up, first among those of the command.
func (p *lineParser) find(name string) (f cli.Flag, local bool) {
	if p.command != nil {
		for _, f := range p.command.Flags {
			if slices.Contains(f.Names(), name) {
				return f, true
			}
		}
	}
	for _, f := range p.app.Flags {
		if slices.Contains(f.Names(), name) {
			return f, false
		}
	}
	return nil, false
}

// isFlag says whether an argument is a flag that there is, and no value.
func (p *lineParser) isFlag(arg string) bool {
	if !strings.HasPrefix(arg, "-") || arg == "-" {
		return false
	}
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	f, _ := p.find(name)
	return f != nil || arg == "--"
}

func (p *lineParser) unknownFlag(arg string) error {
	name, _, _ := strings.Cut(arg, "=")
	where, help := "osbs", "osbs --help lists the flags; those of a command come after it"
	var names []string
	if p.command != nil {
		where, help = "osbs "+p.command.Name, "osbs "+p.command.Name+" --help lists the flags"
		names = flagNames(p.command.Flags)
	}
	err := failure.New(failure.Usage, "%s has no flag %s", where, name)
	if why, ok := goneFlags()[strings.TrimLeft(name, "-")]; ok {
		return failure.WithHint(err, "%s", why)
	}
	if near := nearest(strings.TrimLeft(name, "-"), append(names, flagNames(p.app.Flags)...)); near != "" {
		return failure.WithHint(err, "did you mean %s?", dashed(near))
	}
	return failure.WithHint(err, "%s", help)
}

// goneFlags says what became of flags of OSBS that are not flags here.
func goneFlags() map[string]string {
	const conf = "it is a key of osbs.conf"
	return map[string]string{
		"add-yum-repo": "COPY the .repo file in the Dockerfile", "storage-limit": "the size of a build's volume is set in the overlay of the generated pipeline",
		"build-type": "builds are described by Tekton tasks, not by JSON templates", "build-json-dir": "builds are described by Tekton tasks, not by JSON templates",
		"source-secret": "set pulp_secret in osbs.conf", "openshift-uri": "set openshift_url in osbs.conf", "username": conf, "password": conf,
		"token": conf, "token-file": conf, "verify-ssl": conf, "use-kerberos": "log in with oc login", "kerberos-keytab": "log in with oc login",
		"kerberos-principal": "log in with oc login", "kerberos-ccache": "log in with oc login",
		"with-auth": "credentials are used if they are set", "without-auth": "credentials are used if they are set",
		"quiet": "--no-logs shows the outcome of a build only", "q": "--no-logs shows the outcome of a build only",
		"from-docker-build": "the log has the lines of the build stage", "wait-if-missing": "a build is there when osbs build has said its name",
		"compose-ids": "composes are not requested", "flatpak": "Flatpaks are not built", "yum-repourls": "COPY the .repo file in the Dockerfile",
		"platforms": "--platform: one build is one platform's", "koji-parent-build": "builds are not registered in Koji",
		"signing-intent": "composes are not requested",
	}
}

// environment gives the flags that were not given the values of their variables. Keys of osbs.conf are left to package osbsconf.
func (p *lineParser) environment() error {
	var own []cli.Flag
	if p.command != nil {
		own = p.command.Flags
	}
	for i, flags := range [][]cli.Flag{p.app.Flags, own} {
		for _, f := range flags {
			name := f.Names()[0]
			value := p.getenv(variable(name))
			if value == "" || p.given[name] || name == "help" || osbsconf.IsKey(key(name)) {
				continue
			}
			if err := p.fromVariable(f, i == 1, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *lineParser) fromVariable(f cli.Flag, local bool, value string) error {
	name := f.Names()[0]
	switch f.(type) {
	case *cli.BoolFlag:
		if err := p.boolean(f, local, value, true); err != nil {
			return failure.New(failure.Usage, "environment variable %s: %w", variable(name), err)
		}
	case *cli.StringSliceFlag:
		for one := range strings.SplitSeq(value, "\n") {
			if one != "" {
				p.take(local, dashed(name)+"="+one)
			}
		}
	default:
		p.take(local, dashed(name)+"="+value)
	}
	return nil
}

// key is the key of osbs.conf that a flag is.
func key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

func takesValue(f cli.Flag) bool {
	_, isBool := f.(*cli.BoolFlag)
	return !isBool
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func flagNames(flags []cli.Flag) []string {
	names := make([]string, 0, len(flags))
	for _, f := range flags {
		names = append(names, f.Names()[0])
	}
	return names
}

// nearest is the name that is probably meant, empty if none is near: one that it begins, that begins it, or that differs in a letter or two.
func nearest(name string, names []string) string {
	if len(name) < 2 {
		return ""
	}
	return osbsconf.Nearest(name, names)
}

// cleanLines makes text from outside fit for a terminal, line by line.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = logline.Clean(lines[i])
	}
	return strings.Join(lines, "\n")
}
