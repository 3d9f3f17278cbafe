// Package release changes the release of an image in the text of its Dockerfile: it bumps the number with which LABEL release begins,
// wherever it is written, and nothing else; or it adds the time of a build.
package release

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/labels"
)

// maxRelease bounds a release, in bytes: it becomes part of a tag, which has at most 128.
const maxRelease = 128

// Next is the release after the given one: the number at its beginning plus one, the rest kept. A release that does not begin with
// a number is InvalidInput.
func Next(release string) (string, error) {
	digits := leadingDigits(release)
	if digits == "" || len(release) > maxRelease {
		return "", failure.WithHint(failure.New(failure.InvalidInput, "release %.40q cannot be bumped: it does not begin with a number", release),
			"a release such as 1 or 1.el7 can be bumped")
	}
	n, _ := new(big.Int).SetString(digits, 10)
	return n.Add(n, big.NewInt(1)).String() + release[len(digits):], nil
}

func leadingDigits(text string) string {
	for i, r := range text {
		if r < '0' || r > '9' {
			return text[:i]
		}
	}
	return text
}

// Stamped is the release with a time: 5 becomes 5.20191007151825, in UTC. What is then no release is InvalidInput.
func Stamped(release string, at time.Time) (string, error) {
	stamped := release + "." + at.UTC().Format("20060102150405")
	if err := labels.CheckRelease(stamped, false); err != nil || len(stamped) > maxRelease {
		return "", failure.WithHint(failure.New(failure.InvalidInput, "release %.40q cannot get a timestamp: it would be no release then", release),
			"a release begins with a number, and its parts are joined by . or _, such as 1, 1.el7 or 10.2")
	}
	return stamped, nil
}

// Result is a new release.
type Result struct {
	// Text is the Dockerfile with the new release. After a bump it differs from the old text in the number only.
	Text []byte
	// Old and New are the values of the label.
	Old, New string
	// Where names what held the number that was bumped: "LABEL release", or "ENV NAME".
	Where string
}

// Stamp adds the time to the release that a Dockerfile sets, by a further LABEL behind the one that decides on it. ok is false if the
// Dockerfile sets no release. o and baseEnv are what the labels are expanded with.
func Stamp(text []byte, o dockerfile.Options, baseEnv []string, at time.Time) (r Result, ok bool, err error) {
	entries, err := parse(text, o, baseEnv)
	if err != nil {
		return Result{}, false, err
	}
	i := lastLabel(entries)
	if i < 0 {
		return Result{}, false, nil
	}
	r = Result{Old: entries[i].Value, Where: "LABEL " + entries[i].Name}
	if r.New, err = Stamped(r.Old, at); err != nil {
		return Result{}, false, err
	}
	r.Text = addLine(text, entries[i].EndLine, fmt.Sprintf("LABEL %s=%q", labels.Release, r.New))
	return r, true, verify(r, o, baseEnv, labels.Release)
}

// addLine adds a line behind that of the number, counted from 1.
func addLine(text []byte, number int, line string) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	before := bytes.Join(lines[:min(number, len(lines))], nil)
	if !bytes.HasSuffix(before, []byte("\n")) {
		line = "\n" + line
	}
	return slices.Concat(before, []byte(line+"\n"), text[len(before):])
}

// Bump bumps the release in a Dockerfile. ok is false if the Dockerfile sets no release. o and baseEnv are what the labels are
// expanded with. A release that cannot be bumped is InvalidInput.
func Bump(text []byte, o dockerfile.Options, baseEnv []string) (r Result, ok bool, err error) {
	entries, err := parse(text, o, baseEnv)
	if err != nil {
		return Result{}, false, err
	}
	at := lastLabel(entries)
	if at < 0 {
		return Result{}, false, nil
	}
	r.Old = entries[at].Value
	if r.New, err = Next(r.Old); err != nil {
		return Result{}, false, err
	}
	source, err := findSource(entries, at)
	if err != nil {
		return Result{}, false, err
	}
	e := entries[source]
	r.Where = e.Instruction + " " + e.Name
	if r.Text, err = edit(text, entries, source); err != nil {
		return Result{}, false, err
	}
	return r, true, verify(r, o, baseEnv, entries[at].Name)
}

// Of is the release that a Dockerfile sets, empty if none.
func Of(text []byte, o dockerfile.Options, baseEnv []string) (string, error) {
	entries, err := parse(text, o, baseEnv)
	if err != nil {
		return "", err
	}
	if at := lastLabel(entries); at >= 0 {
		return entries[at].Value, nil
	}
	return "", nil
}

func parse(text []byte, o dockerfile.Options, baseEnv []string) ([]dockerfile.Entry, error) {
	f, err := dockerfile.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return f.Entries(o, baseEnv)
}

// lastLabel finds the LABEL that decides on the release, in the newer spelling if it is there.
func lastLabel(entries []dockerfile.Entry) int {
	values := map[string]string{}
	last := map[string]int{}
	for i, e := range entries {
		if e.Instruction == "LABEL" {
			values[e.Name], last[e.Name] = e.Value, i
		}
	}
	if spelling := labels.Spelling(values, labels.Release); spelling != "" {
		return last[spelling]
	}
	return -1
}

// reference matches a value that begins with a variable: $NAME or ${NAME...}, possibly in double quotes.
var reference = regexp.MustCompile(`^"?\$(?:\{([A-Za-z_][A-Za-z0-9_]*)|([A-Za-z_][A-Za-z0-9_]*))`)

// findSource follows a value that begins with a variable to the ENV that sets it, until one begins with the number itself.
func findSource(entries []dockerfile.Entry, at int) (int, error) {
	for {
		m := reference.FindStringSubmatch(entries[at].Raw)
		if m == nil {
			return at, nil
		}
		name, found := m[1]+m[2], -1
		for i, e := range entries[:at] {
			// values in one instruction are expanded with what was before it
			if e.Instruction == "ENV" && e.Name == name && e.StartLine != entries[at].StartLine {
				found = i
			}
		}
		if found < 0 {
			return 0, failure.WithHint(failure.New(failure.InvalidInput, "the release cannot be bumped: it begins with %s, which no ENV of the Dockerfile sets", name),
				"write the release into LABEL release, or set %s with ENV", name)
		}
		at = found
	}
}

// edit replaces the number at the beginning of an entry's value by the next one.
func edit(text []byte, entries []dockerfile.Entry, at int) ([]byte, error) {
	e := entries[at]
	index := 0 // of the entry in its instruction
	for i := range entries[:at] {
		if entries[i].StartLine == e.StartLine {
			index++
		}
	}
	start, end, ok := locate(text, e.StartLine, e.EndLine, index)
	if !ok {
		return nil, cannotEdit(e)
	}
	next, err := Next(string(text[start:end]))
	if err != nil {
		return nil, cannotEdit(e)
	}
	return append(append(append(make([]byte, 0, len(text)+1), text[:start]...), next...), text[end:]...), nil
}

func cannotEdit(e dockerfile.Entry) error {
	return failure.WithHint(failure.New(failure.InvalidInput, "Dockerfile line %d: the release cannot be bumped: %s %s is not written plainly", e.StartLine, e.Instruction, e.Name),
		"write it as %s %s=1, with or without quotes", e.Instruction, e.Name)
}

// verify reads the new text as a build would. An edit that did not have exactly the wanted effect on the release is an error, and
// never reaches a commit.
func verify(r Result, o dockerfile.Options, baseEnv []string, label string) error {
	entries, err := parse(r.Text, o, baseEnv)
	if err != nil {
		return fmt.Errorf("after changing the release: %w", err)
	}
	if at := lastLabel(entries); at < 0 || entries[at].Name != label || entries[at].Value != r.New {
		return failure.WithHint(failure.New(failure.InvalidInput, "the release cannot be changed: it is not written plainly in %s", r.Where),
			"write it as %s=%s", strings.TrimSpace(r.Where), r.Old)
	}
	return nil
}
