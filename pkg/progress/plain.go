package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// lineEvery is how long a piece of work is silent in a log.
	lineEvery = 10 * time.Second
	// longWork is the size from which a piece of work is announced when it starts, in bytes. A smaller one has only its last line.
	longWork = 16 << 20
)

// Plain writes lines for a log: one when a large piece of work starts, one about every ten seconds while it moves, one at its end.
type Plain struct {
	w   io.Writer
	now func() time.Time
	mu  sync.Mutex
}

var _ Reporter = (*Plain)(nil)

// NewPlain writes to w; now is the clock, time.Now outside tests.
func NewPlain(w io.Writer, now func() time.Time) *Plain { return &Plain{w: w, now: now} }

// Start implements Reporter.
func (p *Plain) Start(name string, total int64) Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	task := &plainTask{owner: p, work: work{name: clean(name), total: total, began: now}, said: now}
	if total >= longWork {
		p.line(fmt.Sprintf("%s: started, %s", task.work.name, Size(total)))
	}
	return task
}

// line writes one line; that a log cannot be written must not end the work.
func (p *Plain) line(text string) { _, _ = io.WriteString(p.w, text+"\n") }

type plainTask struct {
	owner *Plain
	work  work
	said  time.Time
	ended bool
}

func (k *plainTask) Add(n int64) {
	p := k.owner
	p.mu.Lock()
	defer p.mu.Unlock()
	k.work.done += n
	if now := p.now(); !k.ended && now.Sub(k.said) >= lineEvery {
		k.said = now
		p.line(k.work.running(now))
	}
}

func (k *plainTask) Done(note string, err error) {
	p := k.owner
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.ended {
		return
	}
	k.ended = true
	p.line(k.work.finished(p.now(), note, err))
}
