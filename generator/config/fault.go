package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// maxFaults bounds how many faults of one file are told.
const maxFaults = 100

// fault is one thing that is wrong.
type fault struct {
	line int
	key  string
	// text says what is wrong; accepted what would be right, and may be empty.
	text, accepted string
}

// faults are those of one file.
type faults struct {
	file string
	// lines are where keys stand; nil if the configuration was not read from a file.
	lines map[string]int
	list  []fault
	// broken are the keys whose values could not be read: nothing more is said about them.
	broken map[string]bool
	// hurt are the broken keys, and what they are parts of.
	hurt map[string]bool
}

func newFaults(file string) *faults {
	return &faults{file: file, broken: map[string]bool{}, hurt: map[string]bool{}}
}

// add notes a fault of a key. It is dropped if that key, or one of about, which it is about as well, has none but a broken value.
func (f *faults) add(key, text, accepted string, about ...string) {
	for _, k := range append(about, key) {
		if f.isBroken(k) {
			return
		}
	}
	f.list = append(f.list, fault{line: f.line(key), key: key, text: text, accepted: accepted})
}

// spoil notes a fault that makes the value of the key useless.
func (f *faults) spoil(line int, key, text, accepted string) {
	f.list = append(f.list, fault{line: line, key: key, text: text, accepted: accepted})
	f.ignore(key)
}

// ignore sees to it that nothing more is said about a key.
func (f *faults) ignore(key string) {
	f.broken[key] = true
	for ; key != ""; key = parent(key) {
		f.hurt[key] = true
	}
}

// isBroken says whether the value of key, or what it is a part of, or a part of it, could not be read.
func (f *faults) isBroken(key string) bool {
	if f.hurt[key] || f.broken[""] {
		return true
	}
	for ; key != ""; key = parent(key) {
		if f.broken[key] {
			return true
		}
	}
	return false
}

// parent is what a key is a part of.
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

// line is where a key stands, or the nearest key that it is a part of; 0 if that is nowhere.
func (f *faults) line(key string) int {
	for key != "" {
		if line, ok := f.lines[key]; ok {
			return line
		}
		key = parent(key)
	}
	return 0
}

// err is all faults as one error, a line each in the order of the file; nil if there are none.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.key, b.key), cmp.Compare(a.text, b.text))
	})
	var lines []string
	for i, one := range f.list {
		if i == maxFaults {
			lines = append(lines, fmt.Sprintf("%s: and %d more", f.file, len(f.list)-maxFaults))
			break
		}
		lines = append(lines, f.format(one))
	}
	return failure.New(failure.Usage, "%w", errors.New(strings.Join(lines, "\n")))
}

func (f *faults) format(one fault) string {
	var b strings.Builder
	b.WriteString(f.file)
	if one.line > 0 {
		b.WriteString(":" + strconv.Itoa(one.line))
	}
	if one.key != "" {
		b.WriteString(": " + shorten(one.key))
	}
	b.WriteString(": " + oneLine(one.text))
	if one.accepted != "" {
		b.WriteString("; " + oneLine(one.accepted))
	}
	return b.String()
}

// shorten leaves the middle of a very long key out.
func shorten(key string) string {
	const most = 400
	if len(key) <= most {
		return key
	}
	return strings.ToValidUTF8(key[:most/2], "") + "..." + strings.ToValidUTF8(key[len(key)-most/2:], "")
}

// oneLine keeps what others have written from breaking the line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}

// wrong adds an error of a library or of a package of this project as a fault; a hint of it says what is accepted.
func (f *faults) wrong(key string, err error, accepted string) {
	var e *failure.Error
	if errors.As(err, &e) && e.Hint != "" {
		err, accepted = e.Err, e.Hint
	}
	f.add(key, err.Error(), accepted)
}

// join lists words as a sentence does.
func join(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// place is where a value is.
type place struct {
	// key is what messages call it: stages.build.env.HOME.
	key string
	// kind is what its rule is called: stage.env.*.
	kind string
}

// field is a key that this package knows.
func (p place) field(name string) place {
	at := place{key: legible(name), kind: name}
	if p.key != "" {
		at.key = p.key + "." + at.key
	}
	if p.kind != "" {
		at.kind = p.kind + "." + name
	}
	return at
}

// in is the place of a struct, whose rules are the same wherever it is.
func (p place) in(t reflect.Type) place {
	p.kind = strings.ToLower(t.Name())
	if t == reflect.TypeFor[Config]() {
		p.kind = ""
	}
	return p
}

// entry is a key that the site has chosen.
func (p place) entry(name string) place { return place{key: p.field(name).key, kind: p.kind + ".*"} }

func (p place) element(i int) place {
	return place{key: p.key + "[" + strconv.Itoa(i) + "]", kind: p.kind + "[]"}
}

// legible quotes a key that would not be legible as it is.
func legible(name string) string {
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
		return fmt.Sprintf("%.100q", name)
	}
	return name
}
