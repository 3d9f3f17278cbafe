package local

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// watcher yields the events of one build, or of all. Those of this process's builds come as they happen; the records of other
// processes' builds are compared with what was seen before.
type watcher struct {
	instance *Instance
	name     string // empty for all
	sub      *subscription
	seen     map[string]osbs.Build
	stamps   map[string]time.Time // of records that are not read again
	yield    func(osbs.Event, error) bool
}

// run yields until the build has ended, ctx has, or nobody listens any more.
func (w *watcher) run(ctx context.Context) error {
	w.stamps = map[string]time.Time{}
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	for {
		if !w.own() {
			return nil
		}
		if more, err := w.others(ctx); err != nil || !more {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.sub.ready:
		case <-poll.C:
		}
	}
}

// own yields what happened in this process.
func (w *watcher) own() (more bool) {
	for _, e := range w.sub.take() {
		if !w.emit(e) {
			return false
		}
	}
	return true
}

// emit yields one event and says whether to go on.
func (w *watcher) emit(e osbs.Event) bool {
	w.seen[e.Build.Name] = e.Build
	return w.yield(e, nil) && (w.name == "" || !e.Build.State.Ended())
}

// others yields what changed in the records, and the first state of builds that were not seen yet.
func (w *watcher) others(ctx context.Context) (more bool, err error) {
	names := []string{w.name}
	if w.name == "" {
		if names, err = w.instance.records.names(); err != nil {
			return false, err
		}
	}
	for _, name := range names {
		more, err := w.look(ctx, name)
		switch {
		case failure.KindOf(err) == failure.NotFound && w.name == "": // removed meanwhile
		case err != nil || !more:
			return false, err
		}
	}
	return true, nil
}

// look compares one build with what was seen of it.
func (w *watcher) look(ctx context.Context, name string) (more bool, err error) {
	before, known := w.seen[name]
	if known && (before.State.Ended() || w.instance.own(name) != nil) {
		return true, nil
	}
	if known && !w.changed(name) {
		return true, nil
	}
	b, err := w.instance.Get(ctx, name)
	if err != nil {
		return false, err
	}
	if !known {
		return w.emit(osbs.Event{Build: *b}), nil
	}
	if sameProgress(before, *b) {
		return true, nil
	}
	for _, e := range changes(before, *b) {
		if !w.emit(e) {
			return false, nil
		}
	}
	return true, nil
}

// changed says whether the record may be another one than the last time. While its process lives, only a new file can be.
func (w *watcher) changed(name string) bool {
	info, err := os.Stat(filepath.Join(w.instance.dir.build(name), recordFile))
	if err != nil {
		return true
	}
	rec := info.ModTime()
	same := w.stamps[name].Equal(rec)
	w.stamps[name] = rec
	return !same || w.orphaned(name)
}

// orphaned says whether the build's process is gone.
func (w *watcher) orphaned(name string) bool {
	rec, err := w.instance.records.get(name)
	return err != nil || !w.instance.records.alive(rec)
}

func sameProgress(a, b osbs.Build) bool {
	if a.State != b.State || len(a.Stages) != len(b.Stages) {
		return false
	}
	for i := range a.Stages {
		if a.Stages[i].State != b.Stages[i].State || a.Stages[i].Note != b.Stages[i].Note {
			return false
		}
	}
	return true
}

func compare(a, b string) int { return strings.Compare(a, b) }
