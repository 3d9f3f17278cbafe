package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// errSkipped ends a build's stages without a failure.
var errSkipped = failure.New(failure.Skipped, "skipped")

// run is one build on its way through the stages.
type run struct {
	*Instance
	job       *job
	name      string
	request   osbs.Request
	auto      bool
	pinned    map[string]string // base digests of an autorebuild, by ImageStreamTag
	last      string            // commit of the build before an autorebuild
	resumes   string            // the build whose image this one finishes
	workspace workspace.Dir
	env       step.Env
	log       *buildLog
	client    *registry.Client
	locked    bool
	holder    lock.Holder
}

// stage is one of osbs.Stages. Its note says in a few words what came of it.
type stage struct {
	name string
	// state in which the stage begins.
	state osbs.State
	run   func(ctx context.Context) (outcome, error)
}

// outcome is what a stage that succeeded leaves in the record.
type outcome struct {
	note string
	// skipped says that there was nothing to do.
	skipped bool
	record  func(*record)
}

// run is the life of a build. When it has ended, whatever is stale then is rebuilt.
func (i *Instance) run(ctx context.Context, j *job) {
	i.runStages(ctx, j)
	close(j.done)
	i.forget(j)
	rec := j.record()
	if rec.State == osbs.Cancelled || rec.Request.NoRebuild || rec.Request.Scratch || rec.Request.Isolated || i.isClosed() {
		return
	}
	if _, err := i.rebuildStale(context.WithoutCancel(ctx)); err != nil && !i.isClosed() {
		i.conf.Log.Error("what is built on the image could not be rebuilt", "build", rec.Name, "error", err)
	}
}

// runStages takes the build through its stages and records how it ended.
func (i *Instance) runStages(ctx context.Context, j *job) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go i.watchCancel(watching, j)
	err := i.takeSlot(ctx)
	if err == nil {
		defer i.freeSlot()
		err = i.build(ctx, j)
	}
	i.finish(ctx, j, err)
}

// forget leaves a build that has ended to its record, unless that could not be written.
func (i *Instance) forget(j *job) {
	rec, err := i.records.get(j.rec.Name)
	if err != nil || !rec.State.Ended() {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.jobs, j.rec.Name)
}

func (i *Instance) isClosed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.closed
}

// takeSlot waits until there are not too many builds that run.
func (i *Instance) takeSlot(ctx context.Context) error {
	select {
	case i.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (i *Instance) freeSlot() { <-i.slots }

// build opens what the stages need, runs them and frees the lock.
func (i *Instance) build(ctx context.Context, j *job) (err error) {
	secrets := &j.secrets
	log, err := openLog(filepath.Join(i.dir.build(j.rec.Name), logFile), secrets)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx) // what the stage says to that helps nobody
		}
		if err != nil && !errors.Is(err, errSkipped) {
			fmt.Fprintf(log, "error: %v\n", err)
		}
		err = errors.Join(err, log.close())
	}()
	r, err := i.prepareRun(ctx, j, secrets, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.noteOutcome(ctx, err), r.unlock(ctx)) }()
	for _, s := range r.stages() {
		if err := r.stage(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// prepareRun makes the workspace and the registry client of a build.
func (i *Instance) prepareRun(ctx context.Context, j *job, secrets *redact.Set, log *buildLog) (*run, error) {
	rec := j.record()
	now := i.now()
	if err := i.update(j, "", func(r *record) { r.State, r.Started = osbs.Running, &now }); err != nil {
		return nil, err
	}
	r := &run{
		Instance: i, job: j, name: rec.Name, request: rec.Request, auto: rec.Autorebuild, resumes: rec.Resumes, pinned: rec.BaseDigests, last: rec.GitLastCommit,
		workspace: i.records.workspace(rec.Name), log: log,
		env: step.Env{Log: log.logger(i.debug(ctx)), Redact: secrets, Progress: i.progress(log), Retry: i.conf.Retry}.WithDefaults(),
	}
	var err error
	if r.holder, err = newHolder(rec.Name); err != nil {
		return nil, err
	}
	if err := r.openWorkspace(rec); err != nil {
		return nil, err
	}
	if rec.Request.CPULimit != "" || rec.Request.MemoryLimit != "" {
		r.env.Log.Warn("limits of CPU and memory are for clusters: the local instance has none")
	}
	r.client, err = i.client(ctx, r.env)
	return r, err
}

// openWorkspace makes an empty workspace, or takes over that of the build that is resumed.
func (r *run) openWorkspace(rec record) error {
	if rec.WorkspaceOf != "" {
		return r.records.takeOver(rec.WorkspaceOf, rec.Name)
	}
	if err := os.RemoveAll(string(r.workspace)); err != nil { // of a process that was killed
		return failure.New(failure.Storage, "making the workspace: %w", err)
	}
	if err := os.MkdirAll(string(r.workspace), 0o700); err != nil {
		return failure.New(failure.Storage, "making the workspace: %w", err)
	}
	return nil
}

// inherit takes over what the last build of the build config, if it did not succeed, has left: tags in registries, which are this
// build's own if it builds the same image. It is called with the lock held, so that nobody adds to that.
func (r *run) inherit(ctx context.Context, config string) error {
	all, err := r.records.all(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.BuildConfig != config || other.Name == r.name || !other.locked() {
			continue
		}
		if other.State == osbs.Complete {
			return nil
		}
		if keeper, found := r.records.keeper(all, other); found {
			other = keeper
		}
		return push.Inherit(r.records.workspace(other.Name), r.workspace)
	}
	return nil
}

func newHolder(build string) (lock.Holder, error) {
	uid, err := osbs.NewName(build)
	return lock.Holder{Build: build, UID: uid, PID: os.Getpid()}, err
}

// progress tells a build's log, and whoever else is to be told.
func (i *Instance) progress(log *buildLog) progress.Reporter {
	plain := progress.NewPlain(log, i.conf.Now)
	if i.conf.Progress == nil {
		return plain
	}
	return both{plain, i.conf.Progress}
}

// stage runs one stage between its header in the log and its entry in the record.
func (r *run) stage(ctx context.Context, s stage) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := r.beginStage(r.job, s.name, s.state); err != nil {
		return err
	}
	r.log.header(s.name, time.Now())
	out, err := protect(ctx, s.run)
	switch {
	case errors.Is(err, errSkipped):
		return errors.Join(err, r.endStage(r.job, osbs.Skipped, out.note, out.record))
	case failure.KindOf(err) == failure.Skipped:
		return errors.Join(err, r.endStage(r.job, osbs.Skipped, r.env.Redact.String(err.Error()), out.record))
	case err != nil:
		return err // finish ends the stage
	case out.skipped:
		return r.endStage(r.job, osbs.Skipped, out.note, out.record)
	default:
		return r.endStage(r.job, osbs.Complete, out.note, out.record)
	}
}

// protect keeps a panic of a stage from ending the process, and every other build with it.
func protect(ctx context.Context, op func(context.Context) (outcome, error)) (out outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = failure.New(failure.Internal, "panic: %v", p)
		}
	}()
	return op(ctx)
}

// noteOutcome tells the build config of a build that did not succeed; the import stage tells it of one that did.
func (r *run) noteOutcome(ctx context.Context, cause error) error {
	if !r.locked || cause == nil || r.request.Scratch || r.request.Isolated {
		return nil
	}
	outcomes := map[osbs.State]buildconfig.Outcome{
		osbs.Skipped: buildconfig.Skipped, osbs.Cancelled: buildconfig.Cancelled, osbs.Failed: buildconfig.Failed,
	}
	last := &buildconfig.LastBuild{
		Name: r.name, Outcome: outcomes[endState(cause)], Autorebuild: r.auto, Ended: r.now().Truncate(time.Second),
		Message: firstLine(r.env.Redact.String(cause.Error())),
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_, err := buildconfig.Change(ctx, r.configs, r.job.record().BuildConfig, func(bc *buildconfig.BuildConfig) error {
		last.Succeeded = bc.LastBuild.LastSucceeded()
		bc.LastBuild = last
		return nil
	})
	if failure.KindOf(err) == failure.NotFound { // deleted meanwhile
		return nil
	}
	return err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// unlock frees the lock, also when ctx has ended.
func (r *run) unlock(ctx context.Context) error {
	if !r.locked {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return r.locks.Release(ctx, r.job.record().BuildConfig, r.holder)
}

// releaseTimeout bounds how long freeing a lock may take; it is one small file.
const releaseTimeout = 5 * time.Second

// debug says whether logs of builds hold debug messages.
func (i *Instance) debug(ctx context.Context) bool { return i.conf.Log.Enabled(ctx, -4) }

// finish records how the build ended, and removes what nobody needs any more.
func (i *Instance) finish(ctx context.Context, j *job, err error) {
	state := endState(err)
	stage, now := j.stage(), i.now()
	updateErr := i.update(j, "", func(r *record) {
		for n := range r.Stages {
			if s := &r.Stages[n]; !s.State.Ended() {
				s.State, s.Finished = state, &now
			}
		}
		r.State, r.Finished, r.Resumable = state, &now, i.records.resumable(*r, state)
		r.Interrupted = errors.As(err, new(*closedError))
		if err != nil && !errors.Is(err, errSkipped) {
			r.Failure = &osbs.Failure{Stage: stage, Kind: failure.KindOf(err), Message: message(&j.secrets, err)}
		}
	})
	if updateErr != nil {
		i.conf.Log.Error("how the build ended could not be recorded", "build", j.rec.Name, "state", state, "error", updateErr)
	}
	i.tidy(ctx, j, state)
}

// tidy removes the workspace of a build that the next one has no use for, and builds beyond those that are kept.
func (i *Instance) tidy(ctx context.Context, j *job, state osbs.State) {
	if state == osbs.Complete || state == osbs.Skipped {
		if err := os.RemoveAll(string(i.records.workspace(j.rec.Name))); err != nil {
			i.conf.Log.Warn("the workspace could not be removed", "build", j.rec.Name, "error", err)
		}
	}
	if err := i.records.prune(context.WithoutCancel(ctx), i.conf.KeepBuilds); err != nil {
		i.conf.Log.Warn("old builds could not be removed", "error", err)
	}
}

func endState(err error) osbs.State {
	switch failure.KindOf(err) {
	case "":
		return osbs.Complete
	case failure.Skipped:
		return osbs.Skipped
	case failure.Cancelled:
		return osbs.Cancelled
	default:
		return osbs.Failed
	}
}

// maxMessage bounds the text of a failure in a record, in bytes; the log has all of it.
const maxMessage = 4000

func message(secrets *redact.Set, err error) string {
	text := secrets.String(err.Error())
	if len(text) > maxMessage {
		text = text[:maxMessage] + " ..."
	}
	return text
}

// both tells two reporters.
type both struct{ a, b progress.Reporter }

func (r both) Start(name string, total int64) progress.Task {
	return bothTasks{r.a.Start(name, total), r.b.Start(name, total)}
}

type bothTasks struct{ a, b progress.Task }

func (t bothTasks) Add(n int64) { t.a.Add(n); t.b.Add(n) }

func (t bothTasks) Done(note string, err error) { t.a.Done(note, err); t.b.Done(note, err) }
