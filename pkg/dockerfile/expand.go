package dockerfile

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// Options are what a build would be given.
type Options struct {
	// Target is the stage to build, by name or index; empty means the last.
	Target string
	// BuildArgs override the defaults of ARG.
	BuildArgs map[string]string
	// Platform is os/arch[/variant] of the image; empty means linux on this machine's architecture.
	Platform string
	// BuildPlatform is that of the machine that builds; empty means linux on this machine's architecture.
	BuildPlatform string
}

// Bounds of expansion. They keep ARG A=$A$A, repeated, from eating the memory.
const (
	maxWord  = 8 << 10  // of a word that holds a variable, in bytes
	maxValue = 8 << 10  // of a variable that is used, in bytes
	maxRead  = 1 << 20  // of all values that one word takes, in bytes
	maxTotal = 16 << 20 // of all values of a Dockerfile, in bytes
)

var errTooMuch = errors.New("its variables expand to too much text")

// scope is the variables at one place of the Dockerfile. ENV hides ARG.
type scope struct{ env, args map[string]string }

func newScope() scope { return scope{env: map[string]string{}, args: map[string]string{}} }

func (s scope) clone() scope { return scope{env: maps.Clone(s.env), args: maps.Clone(s.args)} }

func (s scope) lookup(name string) (string, bool) {
	if v, ok := s.env[name]; ok {
		return v, true
	}
	v, ok := s.args[name]
	return v, ok
}

// budget gives a scope to the lexer, and counts what it takes.
type budget struct {
	scope
	left     int
	exceeded bool
}

var _ shell.EnvGetter = (*budget)(nil)

// Get implements shell.EnvGetter.
func (b *budget) Get(name string) (string, bool) {
	value, ok := b.lookup(name)
	b.left -= len(value)
	if len(value) > maxValue || b.left < 0 {
		b.exceeded = true
		return "", ok
	}
	return value, ok
}

// Keys implements shell.EnvGetter.
func (b *budget) Keys() []string { return nil }

// lexer expands words by the rules of a Dockerfile.
type lexer struct{ escape rune }

// expand substitutes variables and removes quotes. unset names the variables that had no value.
func (l lexer) expand(word string, in scope) (value string, unset []string, err error) {
	return l.process(word, in, false)
}

// expandKeepQuotes is for the old form LABEL name value, whose quotes are part of the value.
func (l lexer) expandKeepQuotes(word string, in scope) (string, error) {
	value, _, err := l.process(word, in, true)
	return value, err
}

func (l lexer) process(word string, in scope, keepQuotes bool) (string, []string, error) {
	if len(word) > maxWord && strings.Contains(word, "$") {
		return "", nil, errTooMuch
	}
	lex := shell.NewLex(l.escape)
	lex.SkipProcessQuotes = keepQuotes
	get := &budget{scope: in, left: maxRead}
	result, err := lex.ProcessWordWithMatches(word, get)
	switch {
	case get.exceeded:
		return "", nil, errTooMuch
	case err != nil:
		return "", nil, err
	}
	return result.Result, slices.Sorted(maps.Keys(result.Unmatched)), nil
}

// undefined names the variable without which word cannot be expanded, if there is one: it is used plainly, as $X or ${X}, it has no
// value, and the result depends on it.
func (l lexer) undefined(word, value string, unset []string, in scope) string {
	for _, name := range unset {
		if !usesPlainly(word, name) {
			continue
		}
		probe := in.clone()
		probe.env[name] = "undefined"
		if other, _, err := l.expand(word, probe); err != nil || other != value {
			return name
		}
	}
	return ""
}

// usesPlainly looks for $name and ${name}.
func usesPlainly(word, name string) bool {
	if strings.Contains(word, "${"+name+"}") {
		return true
	}
	for rest := word; ; {
		_, after, found := strings.Cut(rest, "$"+name)
		if !found {
			return false
		}
		if after == "" || !isNameByte(after[0]) {
			return true
		}
		rest = after
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// platformArgs are the automatic arguments.
func platformArgs(o Options) map[string]string {
	here := "linux/" + runtime.GOARCH
	args := map[string]string{}
	set := func(prefix, platform string) {
		if platform == "" {
			platform = here
		}
		args[prefix+"PLATFORM"] = platform
		parts := append(strings.SplitN(platform, "/", 3), "", "")
		args[prefix+"OS"], args[prefix+"ARCH"], args[prefix+"VARIANT"] = parts[0], parts[1], parts[2]
	}
	set("TARGET", o.Platform)
	set("BUILD", o.BuildPlatform)
	for name := range args {
		if v, ok := o.BuildArgs[name]; ok {
			args[name] = v
		}
	}
	return args
}

// evaluator expands a Dockerfile for one set of options.
type evaluator struct {
	file    *File
	options Options
	lexer   lexer
	// automatic are the platform arguments; globals add those before the first FROM.
	automatic map[string]string
	globals   scope
	// total is the size of all values so far.
	total int
}

// value expands the value of an ARG, ENV or LABEL.
func (e *evaluator) value(word string, in scope) (string, error) {
	value, _, err := e.lexer.expand(word, in)
	return e.count(value, err)
}

// count bounds the memory of all values together.
func (e *evaluator) count(value string, err error) (string, error) {
	if e.total += len(value); err == nil && e.total > maxTotal {
		return "", errTooMuch
	}
	return value, err
}

func newEvaluator(f *File, o Options) (*evaluator, error) {
	e := &evaluator{file: f, options: o, lexer: lexer{f.escape}, automatic: platformArgs(o), globals: newScope()}
	maps.Copy(e.globals.args, e.automatic)
	for _, node := range f.metaArgs {
		if err := e.declare(node, e.globals, nil); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// declare runs an ARG instruction. fallback gives the value of an argument that has no default here.
func (e *evaluator) declare(node *parser.Node, in scope, fallback map[string]string) error {
	for _, word := range words(node) {
		name, value, hasDefault := strings.Cut(word, "=")
		name, err := e.value(name, in)
		if err != nil {
			return lineError(node.StartLine, "ARG: %w", err)
		}
		switch given, isGiven := e.options.BuildArgs[name]; {
		case isGiven:
			in.args[name] = given
		case hasDefault:
			expanded, err := e.value(value, in)
			if err != nil {
				return lineError(node.StartLine, "ARG %s: %w", clip(name), err)
			}
			in.args[name] = expanded
		default:
			if v, ok := fallback[name]; ok {
				in.args[name] = v
			}
		}
	}
	return nil
}

// pair is one NAME=VALUE of ENV or LABEL.
type pair struct {
	key, raw string
	// plain marks the old form, NAME VALUE.
	plain bool
}

// pairs reads the arguments of ENV and LABEL.
func pairs(node *parser.Node) []pair {
	var all []pair
	for n := node.Next; n != nil && n.Next != nil && n.Next.Next != nil; n = n.Next.Next.Next {
		all = append(all, pair{key: n.Value, raw: n.Next.Value, plain: n.Next.Next.Value == ""})
	}
	return all
}
