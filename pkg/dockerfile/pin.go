package dockerfile

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// use is a place at which the Dockerfile names an image.
type use struct {
	node *parser.Node
	// word names it, as written: what FROM names, or the flag of COPY or RUN.
	word string
	// reference is the image, arguments substituted.
	reference string
}

// Pinned is the text of the Dockerfile in which every image that building the target needs is replaced by what pin says for its
// reference. All else stays as it is. A name that cannot be found where it must be, because it is spread over lines, is
// failure.InvalidInput.
func (f *File) Pinned(o Options, pin func(reference string) string) ([]byte, error) {
	_, uses, err := f.bases(o)
	if err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(f.text, []byte("\n"))
	for _, u := range uses {
		first, last := u.node.StartLine-1, u.node.EndLine
		if first < 0 || last > len(lines) || first >= last {
			return nil, lineError(u.node.StartLine, "the instruction is not where it was read")
		}
		if !u.replace(lines[first:last], pin(u.reference)) {
			return nil, lineError(u.node.StartLine, "%s is not written in one piece", clip(u.word))
		}
	}
	return bytes.Join(lines, nil), nil
}

// fromKeyword is the beginning of a FROM, and comment a line that does not count.
var (
	fromKeyword = regexp.MustCompile(`(?i)^\s*from\s`)
	comment     = regexp.MustCompile(`^\s*#`)
)

// replace puts the pinned reference into the lines of the instruction.
func (u use) replace(lines [][]byte, pinned string) bool {
	word, by := regexp.MustCompile(`(^|\s)`+regexp.QuoteMeta(u.word)+`(\s|$)`), pinned
	if !strings.EqualFold(u.node.Value, command.From) {
		source, ok := sourceOf(u.node, u.word)
		by = strings.Replace(u.word, "from="+source, "from="+pinned, 1)
		if !ok || by == u.word && source != pinned {
			return false
		}
	}
	for i, line := range lines {
		begin := 0
		if keyword := fromKeyword.FindIndex(line); i == 0 && keyword != nil {
			begin = keyword[1] - 1
		}
		at := word.FindSubmatchIndex(line[begin:])
		if at == nil || comment.Match(line) {
			continue
		}
		begin += at[3] // the end of what stands before the word
		lines[i] = slices.Concat(line[:begin], []byte(by), line[begin+len(u.word):])
		return true
	}
	return false
}
