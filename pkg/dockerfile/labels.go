package dockerfile

import (
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Entry is one NAME=VALUE that a LABEL or ENV instruction of the target's chain of stages sets.
type Entry struct {
	// Instruction is "LABEL" or "ENV".
	Instruction string
	// Name and Value are expanded; Raw is the value as written, its quotes included.
	Name, Value, Raw string
	// StartLine and EndLine are those of the whole instruction, from 1.
	StartLine, EndLine int
}

// Labels are the labels that the Dockerfile sets on the target, expanded with the environment of the base (NAME=value each). Those
// that the base has itself are not among them.
func (f *File) Labels(o Options, baseEnv []string) (map[string]string, error) {
	entries, err := f.Entries(o, baseEnv)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{}
	for _, e := range entries {
		if e.Instruction == "LABEL" {
			labels[e.Name] = e.Value
		}
	}
	return labels, nil
}

// Entries are what LABEL and ENV set on the target, in the order in which they take effect: a later one of the same name wins.
// baseEnv is the environment of the base, NAME=value each.
func (f *File) Entries(o Options, baseEnv []string) ([]Entry, error) {
	e, err := newEvaluator(f, o)
	if err != nil {
		return nil, err
	}
	target, err := f.target(o.Target)
	if err != nil {
		return nil, err
	}
	chain := []int{target}
	for i := target; ; {
		p, err := e.parentOf(i)
		if err != nil {
			return nil, err
		}
		if p.stage < 0 {
			break
		}
		i = p.stage
		chain = append(chain, i)
	}
	in := newScope()
	for _, pair := range baseEnv {
		if name, value, ok := strings.Cut(pair, "="); ok {
			in.env[name] = value
		}
	}
	var entries []Entry
	for _, i := range slices.Backward(chain) {
		if err := e.runEntries(i, in, &entries); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// runEntries runs one stage in the scope that the stages before it have left: arguments and environment are inherited.
func (e *evaluator) runEntries(index int, in scope, entries *[]Entry) error {
	for _, node := range e.file.stages[index].body {
		if err := e.step(node, in, entries); err != nil {
			return err
		}
	}
	return nil
}

// step runs one instruction as far as it changes variables or labels. With entries nil, labels are not looked at.
func (e *evaluator) step(node *parser.Node, in scope, entries *[]Entry) error {
	switch strings.ToLower(node.Value) {
	case command.Arg:
		return e.declare(node, in, e.globals.args)
	case command.Env:
		return e.set(node, in, entries)
	case command.Label:
		if entries == nil {
			return nil
		}
		return e.label(node, in, entries)
	default:
		return nil
	}
}

// set runs ENV: all values of one instruction are expanded with what was before it.
func (e *evaluator) set(node *parser.Node, in scope, entries *[]Entry) error {
	var set []Entry
	for _, p := range pairs(node) {
		key, err := e.value(p.key, in)
		if err != nil {
			return lineError(node.StartLine, "ENV %s: %w", clip(p.key), err)
		}
		value, err := e.value(p.raw, in)
		if err != nil {
			return lineError(node.StartLine, "ENV %s: %w", clip(p.key), err)
		}
		set = append(set, newEntry("ENV", key, value, p.raw, node))
	}
	for _, s := range set {
		in.env[s.Name] = s.Value
	}
	if entries != nil {
		*entries = append(*entries, set...)
	}
	return nil
}

func (e *evaluator) label(node *parser.Node, in scope, entries *[]Entry) error {
	for _, p := range pairs(node) {
		key, err := e.value(p.key, in)
		if err != nil {
			return lineError(node.StartLine, "LABEL %s: %w", clip(p.key), err)
		}
		value, err := e.labelValue(p, in)
		if err != nil {
			return lineError(node.StartLine, "LABEL %s: %w", clip(p.key), err)
		}
		*entries = append(*entries, newEntry("LABEL", key, value, p.raw, node))
	}
	return nil
}

func (e *evaluator) labelValue(p pair, in scope) (string, error) {
	if p.plain {
		return e.count(e.lexer.expandKeepQuotes(p.raw, in))
	}
	return e.value(p.raw, in)
}

func newEntry(instruction, name, value, raw string, node *parser.Node) Entry {
	return Entry{Instruction: instruction, Name: name, Value: value, Raw: raw, StartLine: node.StartLine, EndLine: node.EndLine}
}
