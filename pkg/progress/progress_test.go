package progress

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestPlain(t *testing.T) {
	var out bytes.Buffer
	c := &clock{t: time.Unix(1000, 0)}
	p := NewPlain(&out, c.now)
	layer := p.Start("push layer 3f2a", 100_000_000)
	small := p.Start("push \x1b[2Jconfig", 1500)
	c.pass(time.Second)
	layer.Add(10_000_000) // within ten seconds: silent
	small.Add(1500)
	small.Done("", nil)
	c.pass(9 * time.Second)
	layer.Add(40_000_000)
	layer.Add(-20_000_000) // a retry takes bytes back
	c.pass(10 * time.Second)
	layer.Add(70_000_000)
	layer.Done("resumed", nil)
	layer.Done("twice", nil)
	p.Start("layer 1", 5).Done("exists already", nil)
	p.Start("layer 2", 5).Done("", errors.New("connection reset"))
	p.Start("tag", 0).Done("", nil)
	want := strings.Join([]string{
		"push layer 3f2a: started, 100 MB",
		"push ?[2Jconfig: done, 1.5 kB in 1.0s (1.5 kB/s)",
		"push layer 3f2a:  50% of 100 MB (5.0 MB/s)",
		"push layer 3f2a: 100% of 100 MB (5.0 MB/s)",
		"push layer 3f2a: done, 100 MB in 20.0s (5.0 MB/s), resumed",
		"layer 1: exists already",
		"layer 2: failed: connection reset",
		"tag: done in 0.0s",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines differ (-want +got):\n%s", diff)
	}
}

func TestTerminal(t *testing.T) {
	var out bytes.Buffer
	c := &clock{t: time.Unix(1000, 0)}
	term := NewTerminal(&out, c.now)
	a := term.Start("a", 100)
	a.Add(50) // too soon for a redraw
	c.pass(time.Second)
	a.Add(0)
	if _, err := io.WriteString(term, "log line"); err != nil {
		t.Fatal(err)
	}
	a.Done("", nil)
	want := "a:   0% of 100 B\n" +
		"\x1b[1A\r\x1b[Ja:  50% of 100 B (50 B/s)\n" +
		"\x1b[1A\r\x1b[Jlog line\na:  50% of 100 B (50 B/s)\n" +
		"\x1b[1A\r\x1b[Ja: done, 50 B in 1.0s (50 B/s)\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("screen differs (-want +got):\n%s", diff)
	}
}

func TestTerminalBoundsLines(t *testing.T) {
	var out bytes.Buffer
	term := NewTerminal(&out, (&clock{}).now)
	for range maxLines + 3 {
		out.Reset()
		term.Start(strings.Repeat("x", 200), 0)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != maxLines || !strings.Contains(lines[maxLines-1], "and 4 more") {
		t.Errorf("screen = %q", lines)
	}
	if last := lines[1]; len(last) != 79 || !strings.HasSuffix(last, "...") {
		t.Errorf("line of %d columns: %q", len(last), last)
	}
}

func TestConcurrentUse(_ *testing.T) {
	for _, r := range []Reporter{New(io.Discard, true), New(io.Discard, false), Discard} {
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				task := r.Start("x", 10)
				for range 100 {
					task.Add(1)
				}
				task.Done("", nil)
			})
		}
		group.Wait()
	}
}

func TestSize(t *testing.T) {
	for in, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1500: "1.5 kB", 12_345: "12 kB", 999_400: "999 kB", 999_900: "1.0 MB",
		130_000_000: "130 MB", 2_000_000_000: "2.0 GB", 1 << 62: "4.6 EB",
	} {
		if got := Size(in); got != want {
			t.Errorf("Size(%d) = %q, want %q", in, got, want)
		}
	}
}
