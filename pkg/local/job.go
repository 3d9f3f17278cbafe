package local

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/redact"
)

// job is a build that runs in this process. Its record changes only through update.
type job struct {
	mu     sync.Mutex
	rec    record
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the build has ended and its record says so
	// gitURL is the URL as the user gave it, possibly with credentials, which the record has not.
	gitURL string
	// secrets are what the build's log and record must not show.
	secrets redact.Set
}

// build is the state of the build now.
func (j *job) build() osbs.Build {
	j.mu.Lock()
	defer j.mu.Unlock()
	return snapshot(j.rec.Build)
}

// record is the record as it is now.
func (j *job) record() record {
	j.mu.Lock()
	defer j.mu.Unlock()
	rec := j.rec
	rec.Build = snapshot(rec.Build)
	return rec
}

// snapshot copies what update changes in place; everything else is set once and never changed.
func snapshot(b osbs.Build) osbs.Build {
	b.Stages = slices.Clone(b.Stages)
	return b
}

// update changes the record, stores it and tells those who watch. stage names the stage that changes, if one does.
func (i *Instance) update(j *job, stage string, change func(*record)) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(&j.rec)
	err := i.records.save(&j.rec)
	i.publish(osbs.Event{Build: snapshot(j.rec.Build), Stage: stage})
	return err
}

// publish tells whoever listens.
func (i *Instance) publish(e osbs.Event) {
	if i.conf.Observe != nil {
		i.conf.Observe(e)
	}
	i.events.publish(e)
}

// beginStage records that a stage has begun.
func (i *Instance) beginStage(j *job, name string, state osbs.State) error {
	now := i.now()
	return i.update(j, name, func(r *record) {
		r.Stages = append(r.Stages, osbs.StageStatus{Name: name, State: state, Started: &now})
	})
}

// endStage records how the stage that was begun last has ended.
func (i *Instance) endStage(j *job, state osbs.State, note string, result func(*record)) error {
	now := i.now()
	return i.update(j, j.stage(), func(r *record) {
		if n := len(r.Stages); n > 0 {
			s := &r.Stages[n-1]
			s.State, s.Note, s.Finished = state, note, &now
		}
		if result != nil {
			result(r)
		}
	})
}

// stage is the name of the stage that was begun last.
func (j *job) stage() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.rec.Stages); n > 0 {
		return j.rec.Stages[n-1].Name
	}
	return ""
}

// cancelPoll is how often a build looks whether another process wants it to end.
const cancelPoll = 150 * time.Millisecond

// errCancelled is what a build that a person cancelled ends with.
func errCancelled(name string) error {
	return failure.New(failure.Cancelled, "build %s was cancelled", name)
}

// closedError is what a build ends with whose process ends. A rebuild is then begun again by the next process.
type closedError struct{ build string }

func (e *closedError) Error() string {
	return "build " + e.build + " was cancelled because its process ends"
}

func errClosed(name string) error { return failure.New(failure.Cancelled, "%w", &closedError{name}) }

// watchCancel cancels the build when another process has asked for it, until ctx ends.
func (i *Instance) watchCancel(ctx context.Context, j *job) {
	poll := time.NewTicker(cancelPoll)
	defer poll.Stop()
	file := filepath.Join(i.dir.build(j.rec.Name), cancelFile)
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
			if _, err := os.Stat(file); err == nil {
				j.cancel(errCancelled(j.rec.Name))
				return
			}
		}
	}
}
