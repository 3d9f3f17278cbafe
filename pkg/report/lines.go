package report

import (
	"bytes"
	"io"

	"github.com/osbs-tekton/osbs/pkg/logline"
)

// Lines collects a log by lines. The zero value is ready to use.
type Lines struct {
	lines []string
	rest  []byte
}

// Write implements io.Writer.
func (l *Lines) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(text), nil
		}
		l.lines = append(l.lines, logline.Clean(string(line)))
		l.rest = bytes.Clone(rest)
	}
}

// All returns the lines, never nil; the last one may have had no end.
func (l *Lines) All() []string {
	all := append([]string{}, l.lines...)
	if len(l.rest) > 0 {
		all = append(all, logline.Clean(string(l.rest)))
	}
	return all
}

// CleanWriter passes whole lines on to next, without what a terminal would obey.
func CleanWriter(next io.Writer) io.Writer { return &cleanWriter{next: next} }

type cleanWriter struct {
	next io.Writer
	rest []byte
}

func (c *cleanWriter) Write(text []byte) (int, error) {
	c.rest = append(c.rest, text...)
	var out []byte
	for {
		line, rest, found := bytes.Cut(c.rest, []byte("\n"))
		if !found {
			break
		}
		out = append(append(out, logline.Clean(string(line))...), '\n')
		c.rest = rest
	}
	c.rest = bytes.Clone(c.rest)
	if len(c.rest) > maxRest {
		out = append(out, logline.Clean(string(c.rest))...)
		c.rest = nil
	}
	if len(out) == 0 {
		return len(text), nil
	}
	if _, err := c.next.Write(out); err != nil {
		return 0, err
	}
	return len(text), nil
}
