package imagewatch

import (
	"context"
	"time"
)

// chores are what is done besides deliveries: writing what runs have tried into build configs, and giving bases ImageStreams. Each has
// a key; one that is done is done until nobody asks for it any more, so that a cache which is behind does not repeat it.
type chores struct {
	running, finished map[string]bool
	setbacks          map[string]*setback
	wanted            map[string]bool
	results           chan<- func(now time.Time)
	// wake is when a chore that failed is tried again.
	wake time.Time
}

// maxChores bounds those that run at once.
const maxChores = 4

func newChores(results chan<- func(time.Time)) *chores {
	return &chores{running: map[string]bool{}, finished: map[string]bool{}, setbacks: map[string]*setback{}, wanted: map[string]bool{}, results: results}
}

// begin forgets what nobody has asked for since the last begin.
func (c *chores) begin() {
	for key := range c.finished {
		if !c.wanted[key] {
			delete(c.finished, key)
		}
	}
	for key := range c.setbacks {
		if !c.wanted[key] && !c.running[key] {
			delete(c.setbacks, key)
		}
	}
	clear(c.wanted)
	c.wake = time.Time{}
}

// want starts a chore, unless it runs, is done, failed a moment ago, or too many run. failed is told of errors.
func (c *chores) want(ctx context.Context, key string, now time.Time, do func(context.Context) error, failed func(attempts int, err error)) {
	c.wanted[key] = true
	if c.running[key] || c.finished[key] || len(c.running) >= maxChores {
		return
	}
	if b := c.setbacks[key]; b != nil && now.Before(b.until) {
		c.wake = earlier(c.wake, b.until)
		return
	}
	c.running[key] = true
	go func() {
		err := do(ctx)
		report(ctx, c.results, func(now time.Time) {
			delete(c.running, key)
			if err == nil {
				c.finished[key] = true
				delete(c.setbacks, key)
				return
			}
			if c.setbacks[key] == nil {
				c.setbacks[key] = &setback{}
			}
			b := c.setbacks[key]
			b.attempts++
			b.until = now.Add(pause(b.attempts))
			failed(b.attempts, err)
		})
	}()
}
