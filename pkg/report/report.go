// Package report shows builds, plans and build configs: as text for people, as JSON for programs.
//
// Text that comes from outside, such as a log or an error message, never moves a terminal's cursor. JSON has the words of package
// osbs, one document a command.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/osbs-tekton/osbs/pkg/logline"
)

// Options say how text looks.
type Options struct {
	// Color allows ANSI colours; it is for terminals whose user has not set NO_COLOR.
	Color bool
	// Location is the time zone of times; nil is the user's.
	Location *time.Location
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Printer writes text for people.
type Printer struct {
	w io.Writer
	Options
}

// New returns a Printer that writes to w. What cannot be written is lost without an error: a reader that went away must not end a
// build.
func New(w io.Writer, o Options) *Printer {
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Printer{w: w, Options: o}
}

// JSON writes v as one document, indented, with a new line at its end.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// JSONLine writes v as one line, for a stream of documents.
func JSONLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (p *Printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// Line writes a line of what comes from outside, such as names.
func (p *Printer) Line(text string) { p.printf("%s\n", logline.Clean(text)) }

// The colours of a terminal's palette, so that they fit what the user has chosen.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (p *Printer) paint(colour, text string) string {
	if !p.Color || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// when is a time for people.
func (p *Printer) when(t time.Time) string { return t.In(p.Location).Format(time.DateTime) }

// Spent is a duration for people: 0.4s, 12.3s, 2m05s, 1h02m.
func Spent(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute-50*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour-500*time.Millisecond:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
}

// table writes rows in columns; a cell's width is its number of characters.
func (p *Printer) table(rows [][]string, paint func(row, column int, cell string) string) {
	p.rows(rows, math.MaxInt, paint, nil)
}

// rows is table with more to say. A cell longer than widest, in characters, does not widen its column: what follows is right behind it.
// below, if not nil, is called after each row, to write what belongs to it.
func (p *Printer) rows(rows [][]string, widest int, paint func(row, column int, cell string) string, below func(row int)) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if width := utf8.RuneCountInString(cell); width <= widest {
				widths[i] = max(widths[i], width)
			}
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(paint(n, i, cell))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell))+2))
			}
		}
		p.printf("%s\n", strings.TrimRight(line.String(), " "))
		if below != nil {
			below(n)
		}
	}
}

// field writes `name  value`, with the name in a column of its own.
func (p *Printer) field(indent, name, value string) {
	if value != "" {
		p.printf("%s%s %s\n", indent, p.paint(dim, fmt.Sprintf("%-14s", name)), value)
	}
}
