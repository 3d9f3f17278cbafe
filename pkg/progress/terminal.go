package progress

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// redrawEvery limits how often a terminal is redrawn: faster than this a person sees only flicker.
const redrawEvery = 100 * time.Millisecond

// maxLines bounds the lines that are redrawn, so that they fit a small terminal.
const maxLines = 8

// Terminal shows work in progress in lines that redraw themselves, and finished work in lines that stay above them. It is an
// io.Writer too: text written to it, such as a log, appears above the lines in progress and does not tear them.
type Terminal struct {
	w     io.Writer
	now   func() time.Time
	width func() int

	mu     sync.Mutex
	active []*terminalTask
	drawn  int // lines on the screen that a redraw replaces
	last   time.Time
}

var (
	_ Reporter  = (*Terminal)(nil)
	_ io.Writer = (*Terminal)(nil)
)

// NewTerminal draws on w with ANSI sequences; now is the clock, time.Now outside tests. If w is a file that is a terminal, its width
// is followed, else it is 80.
func NewTerminal(w io.Writer, now func() time.Time) *Terminal {
	return &Terminal{w: w, now: now, width: func() int { return widthOf(w) }}
}

// widthOf is the number of columns of w.
func widthOf(w io.Writer) int {
	const fallback = 80
	f, ok := w.(*os.File)
	if !ok {
		return fallback
	}
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
		return columns
	}
	return fallback
}

// Start implements Reporter.
func (t *Terminal) Start(name string, total int64) Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	task := &terminalTask{owner: t, work: work{name: clean(name), total: total, began: t.now()}}
	t.active = append(t.active, task)
	_ = t.redraw(nil) // a terminal that went away must not end the work
	return task
}

// Write puts text above the lines in progress.
func (t *Terminal) Write(text []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := text
	if t.drawn > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		out = append(bytes.Clone(text), '\n')
	}
	if err := t.redraw(out); err != nil {
		return 0, err
	}
	return len(text), nil
}

// redraw replaces the lines in progress; above goes before them and stays.
func (t *Terminal) redraw(above []byte) error {
	var b bytes.Buffer
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", t.drawn) // up to the first of our lines, clear all below
	}
	b.Write(above)
	now, width := t.now(), t.width()
	t.drawn = 0
	for i, task := range t.active {
		line := task.work.running(now)
		if i == maxLines-1 && len(t.active) > maxLines {
			line = fmt.Sprintf("  ... and %d more", len(t.active)-i)
		}
		b.WriteString(cut(line, width-1) + "\n")
		t.drawn++
		if t.drawn == maxLines {
			break
		}
	}
	t.last = now
	_, err := t.w.Write(b.Bytes())
	return err
}

type terminalTask struct {
	owner *Terminal
	work  work
	ended bool
}

func (k *terminalTask) Add(n int64) {
	t := k.owner
	t.mu.Lock()
	defer t.mu.Unlock()
	k.work.done += n
	if !k.ended && t.now().Sub(t.last) >= redrawEvery {
		_ = t.redraw(nil)
	}
}

func (k *terminalTask) Done(note string, err error) {
	t := k.owner
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.ended {
		return
	}
	k.ended = true
	for i, other := range t.active {
		if other == k {
			t.active = append(t.active[:i], t.active[i+1:]...)
			break
		}
	}
	_ = t.redraw([]byte(k.work.finished(t.now(), note, err) + "\n"))
}

// cut shortens a line to width columns, one column a rune.
func cut(line string, width int) string {
	runes := []rune(line)
	if width < 4 || len(runes) <= width {
		return line
	}
	return string(runes[:width-3]) + "..."
}

// clean removes what could move the cursor: names come from outside.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return '?'
		}
		return r
	}, text)
}
