// Package configparser reads INI files as Python's ConfigParser does, which OSBS read its files with: osbs.conf and the repo config
// file. It is bounded, and knows the line of everything: the libraries that were looked at tell no lines, let the last of two keys
// win silently, or follow references without end.
package configparser

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// MaxLine bounds one line of the file, in bytes.
	MaxLine = 16 << 10
	// MaxValue bounds a value after substitution, in bytes.
	MaxValue = 64 << 10
	// maxDepth bounds how often a value may refer to another that refers to another. It is Python's limit.
	maxDepth = 10
	// DefaultSection has values for all other sections to refer to, as in Python's ConfigParser.
	DefaultSection = "DEFAULT"
)

// Entry is a value and the line that it begins on.
type Entry struct {
	Value string
	Line  int
}

// Section is one section of the file.
type Section struct {
	Name string
	Line int
	Keys map[string]Entry
	// Order has the keys in the order of the file.
	Order []string
}

// Error is an error in one line of a file.
type Error struct {
	Line int
	Text string
}

func (e *Error) Error() string { return e.Text }

func errorAt(line int, format string, args ...any) error {
	return &Error{Line: line, Text: fmt.Sprintf(format, args...)}
}

// File is what was read. While it is read, it is the state between two lines.
type File struct {
	Sections map[string]*Section
	// Order has the sections in the order of the file.
	Order   []string
	current *Section
	// key is the one that a continuation line belongs to, indent that key's indentation.
	key    string
	indent int
}

// Parse reads the text of a file as Python's ConfigParser does: comments have lines of their own, a value goes on in lines that are indented
// deeper than its key, keys are folded to lower case.
func Parse(text string) (*File, error) {
	p := &File{Sections: map[string]*Section{}}
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
	if len(line) > MaxLine {
		return errorAt(number, "the line is longer than %d bytes", MaxLine)
	}
	if !utf8.ValidString(line) {
		return errorAt(number, "the line is not UTF-8")
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return errorAt(number, "the line has control characters: %.60q", line)
	}
	return nil
}

func (p *File) line(number int, line string) error {
	text := strings.TrimSpace(line)
	if text == "" || text[0] == '#' || text[0] == ';' {
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	if p.key != "" && indent > p.indent {
		e := p.current.Keys[p.key]
		if len(e.Value)+len(text) > MaxValue {
			return errorAt(number, "the value of %s is longer than %d bytes", p.key, MaxValue)
		}
		e.Value = strings.TrimPrefix(e.Value+"\n"+text, "\n")
		p.current.Keys[p.key] = e
		return nil
	}
	if text[0] == '[' {
		return p.header(number, text)
	}
	return p.assignment(number, text, indent)
}

func (p *File) header(number int, text string) error {
	name, after, closed := strings.Cut(text[1:], "]")
	after = strings.TrimSpace(after)
	if !closed || name == "" || after != "" && after[0] != '#' && after[0] != ';' {
		return errorAt(number, "%.60q is no section: a section is written [name]", text)
	}
	if earlier, twice := p.Sections[name]; twice {
		return errorAt(number, "section [%s] is there twice, first in line %d", name, earlier.Line)
	}
	p.current = &Section{Name: name, Line: number, Keys: map[string]Entry{}}
	p.Sections[name] = p.current
	p.Order = append(p.Order, name)
	p.key = ""
	return nil
}

func (p *File) assignment(number int, text string, indent int) error {
	i := strings.IndexAny(text, "=:")
	if i < 0 {
		return errorAt(number, "%.60q is neither a section nor a setting: a setting is written key = value", text)
	}
	key := strings.ToLower(strings.TrimSpace(text[:i]))
	switch {
	case key == "":
		return errorAt(number, "there is no key before the %q", text[i:i+1])
	case p.current == nil:
		return errorAt(number, "key %s belongs to no section: put it below a [section]", key)
	}
	if earlier, twice := p.current.Keys[key]; twice {
		return errorAt(number, "key %s is there twice in [%s], first in line %d", key, p.current.Name, earlier.Line)
	}
	p.current.Keys[key] = Entry{Value: strings.TrimSpace(text[i+1:]), Line: number}
	p.current.Order = append(p.current.Order, key)
	p.key, p.indent = key, indent
	return nil
}

// Value is the value of a key with %(name)s replaced by other values of its section or of [DEFAULT], and %% by %.
func (p *File) Value(s *Section, key string) (string, error) {
	e := s.Keys[key]
	if !strings.Contains(e.Value, "%") {
		return e.Value, nil
	}
	budget := MaxValue
	value, err := p.substitute(s, e.Value, 0, &budget)
	if err != nil {
		return "", errorAt(e.Line, "%s: %s", key, err.Error())
	}
	return value, nil
}

// substitute takes what it writes from budget, so that values which refer to others several times cannot grow without end.
func (p *File) substitute(s *Section, text string, depth int, budget *int) (string, error) {
	if depth > maxDepth {
		return "", fmt.Errorf("values refer to each other more than %d deep", maxDepth)
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "%")
		b.WriteString(before)
		if *budget -= len(before) + 1; *budget < 0 {
			return "", fmt.Errorf("the value is longer than %d bytes after substitution", MaxValue)
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
				return "", fmt.Errorf("%%(%s)s refers to a key that is neither in [%s] nor in [%s]; a plain %% is written %%%%", name, s.Name, DefaultSection)
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

func (p *File) lookup(s *Section, key string) (string, bool) {
	if e, ok := s.Keys[key]; ok {
		return e.Value, true
	}
	if d, ok := p.Sections[DefaultSection]; ok {
		e, ok := d.Keys[key]
		return e.Value, ok
	}
	return "", false
}
