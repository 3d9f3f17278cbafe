package progress

import (
	"fmt"
	"time"
)

// work is the state of one piece of work, and how it reads.
type work struct {
	name        string
	total, done int64
	began       time.Time
}

// running is the line for work that is not finished at the time now.
func (w work) running(now time.Time) string {
	line := fmt.Sprintf("%s: %s", w.name, Size(w.done))
	if w.total > 0 {
		line = fmt.Sprintf("%s: %3d%% of %s", w.name, min(100, max(0, w.done*100/w.total)), Size(w.total))
	}
	return line + rate(w.done, now.Sub(w.began))
}

// finished is the last line of work that ended at the time now.
func (w work) finished(now time.Time, note string, err error) string {
	spent := now.Sub(w.began)
	switch {
	case err != nil:
		return fmt.Sprintf("%s: failed: %s", w.name, clean(err.Error()))
	case note != "" && w.done == 0:
		return fmt.Sprintf("%s: %s", w.name, clean(note))
	case w.done == 0:
		return w.name + ": done in " + seconds(spent)
	}
	line := fmt.Sprintf("%s: done, %s in %s", w.name, Size(w.done), seconds(spent)) + rate(w.done, spent)
	if note != "" {
		line += ", " + clean(note)
	}
	return line
}

// rate is the speed of done bytes in a while, or nothing if it would mean nothing.
func rate(done int64, spent time.Duration) string {
	if done <= 0 || spent < 10*time.Millisecond {
		return ""
	}
	return fmt.Sprintf(" (%s/s)", Size(int64(float64(done)/spent.Seconds())))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// Size is a number of bytes for people, in decimal units as registries and disks count them: 999 B, 1.5 kB, 130 MB.
func Size(bytes int64) string {
	const unit = 1000
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, units := float64(bytes)/unit, "kMGTPE"
	for value >= 999.5 && len(units) > 1 {
		value, units = value/unit, units[1:]
	}
	if value < 10 {
		return fmt.Sprintf("%.1f %cB", value, units[0])
	}
	return fmt.Sprintf("%.0f %cB", value, units[0])
}
