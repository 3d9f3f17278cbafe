package step

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Bounds of a list flag.
const (
	maxElements = 1000
	maxElement  = 32 << 10 // bytes
)

// list is the value of a flag that holds any number of texts.
type list struct {
	name string
	// words says that no element holds a comma, so that commas separate elements too.
	words  bool
	values []string
}

// mayBeRepeated ends the description of every list flag.
const mayBeRepeated = " (may be repeated)"

// List registers a flag that holds any number of texts. It may be repeated. One value, and the environment variable, holds one
// element, one in each line, or a JSON list of strings.
func (f *FlagSet) List(name, usage string) *[]string { return &f.list(name, usage).values }

// Words is List for elements that hold no comma: commas separate them too.
func (f *FlagSet) Words(name, usage string) *[]string {
	l := f.list(name, usage)
	l.words = true
	return &l.values
}

// Positional is List, and takes the arguments after `--` besides: each is an element, whatever it holds, or a JSON list of strings. So
// what a Tekton array param holds cannot become another flag. A step has at most one.
func (f *FlagSet) Positional(name, usage string) *[]string {
	f.positional = f.list(name, usage)
	return &f.positional.values
}

func (f *FlagSet) list(name, usage string) *list {
	l := &list{name: name}
	f.Var(l, name, usage+mayBeRepeated)
	return l
}

// String implements flag.Value.
func (l *list) String() string { return strings.Join(l.values, "\n") }

// Set implements flag.Value.
func (l *list) Set(s string) error {
	if isJSON(s) {
		return l.add(s)
	}
	elements := strings.Split(s, "\n")
	if l.words {
		elements = strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == ',' })
	}
	for _, e := range elements {
		if l.words {
			e = strings.TrimSpace(e)
		}
		if err := l.append(e); err != nil {
			return err
		}
	}
	return nil
}

// add takes one argument: an element, or a JSON list of them.
func (l *list) add(s string) error {
	if !isJSON(s) {
		return l.append(s)
	}
	var elements []string
	if err := json.Unmarshal([]byte(s), &elements); err != nil {
		return fmt.Errorf("not a JSON list of strings: %w", err) // without the text: it may hold a secret
	}
	for _, e := range elements {
		if err := l.append(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *list) append(element string) error {
	switch {
	case element == "":
		return nil
	case len(element) > maxElement:
		return fmt.Errorf("an element has %d bytes, accepted are %d", len(element), maxElement)
	case len(l.values) == maxElements:
		return fmt.Errorf("more than %d elements", maxElements)
	}
	l.values = append(l.values, element)
	return nil
}

// isJSON tells a JSON list from an element that begins like one, such as the host [::1]:5000.
func isJSON(s string) bool {
	inside, ok := strings.CutPrefix(strings.TrimSpace(s), "[")
	inside = strings.TrimSpace(inside)
	return ok && (strings.HasPrefix(inside, `"`) || inside == "]")
}
