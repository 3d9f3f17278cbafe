package osbsconf

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxLine bounds one line of the file, in bytes.
	maxLine = 16 << 10
	// maxValue bounds a value after substitution, in bytes.
	maxValue = 64 << 10
	// maxDepth bounds how often a value may refer to another that refers to another. It is Python's limit.
	maxDepth = 10
	// defaultSection has values for all other sections to refer to, as in Python's ConfigParser.
	defaultSection = "DEFAULT"
)

// entry is a value and the line that it begins on.
type entry struct {
	value string
	line  int
}

// section is one section of the file.
type section struct {
	name string
	line int
	keys map[string]entry
	// order has the keys in the order of the file.
	order []string
}

// lineError is an error in one line of the file.
type lineError struct {
	line int
	text string
}

func (e *lineError) Error() string { return e.text }

func errorAt(line int, format string, args ...any) error {
	return &lineError{line: line, text: fmt.Sprintf(format, args...)}
}

// parser is the state between two lines.
type parser struct {
	sections map[string]*section
	order    []string
	current  *section
	// key is the one that a continuation line belongs to, indent that key's indentation.
	key    string
	indent int
}

// parse reads the file as Python's ConfigParser does: comments have lines of their own, a value goes on in lines that are indented
// deeper than its key, keys are folded to lower case.
func parse(text string) (*parser, error) {
	p := &parser{sections: map[string]*section{}}
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\ufeff"), "\n") {
		number++
		line = strings.TrimSuffix(line, "\r")
		if err := checkLine(number, line); err != nil {
			return nil, err
		}
		if err := p.line(number, line); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// checkLine refuses what no text file has.
func checkLine(number int, line string) error {
	if len(line) > maxLine {
		return errorAt(number, "the line is longer than %d bytes", maxLine)
	}
	if !utf8.ValidString(line) {
		return errorAt(number, "the line is not UTF-8")
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errorAt(number, "the line has control characters: %.60q", line)
	}
	return nil
}

func (p *parser) line(number int, line string) error {
	text := strings.TrimSpace(line)
	if text == "" || text[0] == '#' || text[0] == ';' {
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	if p.key != "" && indent > p.indent {
		e := p.current.keys[p.key]
		if len(e.value)+len(text) > maxValue {
			return errorAt(number, "the value of %s is longer than %d bytes", p.key, maxValue)
		}
		e.value = strings.TrimPrefix(e.value+"\n"+text, "\n")
		p.current.keys[p.key] = e
		return nil
	}
	if text[0] == '[' {
		return p.header(number, text)
	}
	return p.assignment(number, text, indent)
}

func (p *parser) header(number int, text string) error {
	name, after, closed := strings.Cut(text[1:], "]")
	after = strings.TrimSpace(after)
	if !closed || name == "" || after != "" && after[0] != '#' && after[0] != ';' {
		return errorAt(number, "%.60q is no section: a section is written [name]", text)
	}
	if earlier, twice := p.sections[name]; twice {
		return errorAt(number, "section [%s] is there twice, first in line %d", name, earlier.line)
	}
	p.current = &section{name: name, line: number, keys: map[string]entry{}}
	p.sections[name] = p.current
	p.order = append(p.order, name)
	p.key = ""
	return nil
}

func (p *parser) assignment(number int, text string, indent int) error {
	i := strings.IndexAny(text, "=:")
	if i < 0 {
		return errorAt(number, "%.60q is neither a section nor a setting: a setting is written key = value", text)
	}
	key := strings.ToLower(strings.TrimSpace(text[:i]))
	switch {
	case key == "":
		return errorAt(number, "there is no key before the %q", text[i:i+1])
	case p.current == nil:
		return errorAt(number, "key %s belongs to no section: put it below [general] or below an instance's section", key)
	}
	if earlier, twice := p.current.keys[key]; twice {
		return errorAt(number, "key %s is there twice in [%s], first in line %d", key, p.current.name, earlier.line)
	}
	p.current.keys[key] = entry{value: strings.TrimSpace(text[i+1:]), line: number}
	p.current.order = append(p.current.order, key)
	p.key, p.indent = key, indent
	return nil
}

// value is the value of a key with %(name)s replaced by other values of its section or of [DEFAULT], and %% by %.
func (p *parser) value(s *section, key string) (string, error) {
	e := s.keys[key]
	if !strings.Contains(e.value, "%") {
		return e.value, nil
	}
	budget := maxValue
	value, err := p.substitute(s, e.value, 0, &budget)
	if err != nil {
		return "", errorAt(e.line, "%s: %s", key, err.Error())
	}
	return value, nil
}

// substitute takes what it writes from budget, so that values which refer to others several times cannot grow without end.
func (p *parser) substitute(s *section, text string, depth int, budget *int) (string, error) {
	if depth > maxDepth {
		return "", fmt.Errorf("values refer to each other more than %d deep", maxDepth)
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "%")
		b.WriteString(before)
		if *budget -= len(before) + 1; *budget < 0 {
			return "", fmt.Errorf("the value is longer than %d bytes after substitution", maxValue)
		}
		if !found {
			return b.String(), nil
		}
		name, rest, isReference := strings.Cut(strings.TrimPrefix(after, "("), ")s")
		switch {
		case strings.HasPrefix(after, "%"):
			b.WriteByte('%')
			text = after[1:]
		case !strings.HasPrefix(after, "(") || !isReference:
			b.WriteByte('%')
			text = after
		default:
			value, ok := p.lookup(s, strings.ToLower(name))
			if !ok {
				return "", fmt.Errorf("%%(%s)s refers to a key that is neither in [%s] nor in [%s]; a plain %% is written %%%%", name, s.name, defaultSection)
			}
			value, err := p.substitute(s, value, depth+1, budget)
			if err != nil {
				return "", err
			}
			b.WriteString(value)
			text = rest
		}
	}
}

func (p *parser) lookup(s *section, key string) (string, bool) {
	if e, ok := s.keys[key]; ok {
		return e.value, true
	}
	if d, ok := p.sections[defaultSection]; ok {
		e, ok := d.keys[key]
		return e.value, ok
	}
	return "", false
}
