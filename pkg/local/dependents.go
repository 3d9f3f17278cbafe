package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// maxInterrupted is how often one rebuild may be interrupted before it counts as failed: what ends its process may be the build.
const maxInterrupted = 3

// RebuildPending starts the rebuilds that are due, whoever should have started them: a process that was killed, or builds with
// NoRebuild. It returns the names of the builds that it has started.
func (i *Instance) RebuildPending(ctx context.Context) ([]string, error) {
	if err := i.begin(); err != nil {
		return nil, err
	}
	defer i.end()
	return i.rebuildStale(ctx)
}

// rebuildStale plans from how things stand and starts what is ready. It is called when a build has ended; since every process does so,
// and a rebuild's name says what it is for, it does not matter which of several is first.
func (i *Instance) rebuildStale(ctx context.Context) ([]string, error) {
	guard := flock.New(filepath.Join(i.dir.locks(), rebuildLock))
	if _, err := guard.TryLockContext(ctx, flockPoll); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, failure.New(failure.Storage, "locking the planning of rebuilds: %w", err)
	}
	defer guard.Close()
	s, err := i.situation(ctx)
	if err != nil {
		return nil, err
	}
	if err := i.takeAway(ctx, s); err != nil {
		return nil, err
	}
	plan := rebuild.New(s.configs, s.state)
	for _, cycle := range plan.Cycles {
		i.conf.Log.Warn("these build configs are built on each other; changes are not followed around the circle", "buildConfigs", strings.Join(cycle, ", "))
	}
	var started []string
	for _, item := range plan.Start() {
		err := i.startRebuild(ctx, s, item)
		switch {
		case failure.KindOf(err) == failure.Conflict: // another process has started it
		case err != nil:
			return started, err
		default:
			started = append(started, item.Build)
		}
	}
	return started, nil
}

const (
	rebuildLock = ".rebuild.flock"
	// flockPoll is how often a taken flock is tried again; it is held while a few small files are read.
	flockPoll = 5 * time.Millisecond
)

// startRebuild starts one autorebuild, from the digests that the plan saw.
func (i *Instance) startRebuild(ctx context.Context, s *situation, item rebuild.Item) error {
	bc := s.stored[item.Config]
	request := requestOf(bc)
	rec := record{
		Build: osbs.Build{
			Name: item.Build, BuildConfig: bc.Name, State: osbs.New, Request: request, Created: i.now(),
			Autorebuild: true, Reasons: item.Reasons, CausedBy: s.cause(item.Reasons),
		},
		BaseDigests: item.Digests, GitLastCommit: bc.GitCommit,
	}
	_, err := i.start(ctx, rec, request.GitURL)
	if at := rebuild.RequestedAt(item.Reasons); !at.IsZero() && (err == nil || failure.KindOf(err) == failure.Conflict) {
		err = errors.Join(err, buildconfig.Answered(ctx, i.configs, bc.Name, at)) // if this fails, takeAway does it
	}
	return err
}

// takeAway takes away the requests that builds have begun for, where the process that started those was killed in between.
func (i *Instance) takeAway(ctx context.Context, s *situation) error {
	for name, bc := range s.stored {
		if _, pending := rebuild.Pending(bc.Requested, s.begun[name]); pending || bc.Requested == nil {
			continue
		}
		if err := buildconfig.Answered(ctx, i.configs, name, bc.Requested.Time); err != nil {
			return err
		}
	}
	return nil
}

// situation is how things stand: what the planner needs, and what its answer refers to.
type situation struct {
	configs []rebuild.Config
	stored  map[string]*buildconfig.BuildConfig
	state   rebuild.State
	builds  map[string]bool
	// begun are, for each build config, the times of the requests that builds have begun for.
	begun map[string][]time.Time
	// took is how long the newest successful build of each build config took.
	took map[string]took
}

// took is how long a build took.
type took struct {
	build string
	spent time.Duration
}

// cause is the build that made a rebuild necessary, empty if it is not known.
func (s *situation) cause(reasons []rebuild.Reason) string {
	for _, r := range reasons {
		if s.builds[r.CausedBy] {
			return r.CausedBy
		}
	}
	return ""
}

// situation reads build configs, ImageStreams and records.
func (i *Instance) situation(ctx context.Context) (*situation, error) {
	stored, err := i.configs.List(ctx)
	if err != nil {
		return nil, err
	}
	recs, err := i.records.all(ctx)
	if err != nil {
		return nil, err
	}
	s := &situation{stored: map[string]*buildconfig.BuildConfig{}, builds: map[string]bool{}, begun: map[string][]time.Time{}, took: map[string]took{}}
	for _, bc := range stored {
		s.stored[bc.Name] = bc
		s.configs = append(s.configs, rebuild.FromBuildConfig(bc))
	}
	if s.state.Tags, err = i.tags(ctx); err != nil {
		return nil, err
	}
	interrupted, finished := map[string]int{}, finished(recs)
	requests := requestsOf{begun: s.begun, again: map[string]buildconfig.Request{}}
	for _, rec := range recs {
		s.builds[rec.Name] = true
		attributeTags(s.state.Tags, rec)
		s.noteTime(rec)
		b, ok := i.plannedBuild(rec, s.stored[rec.BuildConfig])
		ok = ok && !finished[rec.Origin()]
		if ok {
			if b.State == rebuild.BuildInterrupted {
				key := b.Config + " " + fmt.Sprint(b.Digests)
				if interrupted[key]++; interrupted[key] >= maxInterrupted {
					b.State = rebuild.BuildFailed
				}
			}
			s.state.Builds = append(s.state.Builds, b)
		}
		requests.note(rec, ok && b.State == rebuild.BuildInterrupted)
	}
	s.state.Requests = requests.pending(s.stored)
	return s, nil
}

// requestsOf are the requests of people that builds were made for.
type requestsOf struct {
	begun map[string][]time.Time
	// again are those whose build was interrupted, the newest of each build config.
	again map[string]buildconfig.Request
}

func (r *requestsOf) note(rec record, interrupted bool) {
	for _, reason := range rec.Reasons {
		switch at := reason.At; {
		case reason.Kind != rebuild.Requested:
		case !interrupted:
			r.begun[rec.BuildConfig] = append(r.begun[rec.BuildConfig], at)
		case at.After(r.again[rec.BuildConfig].Time):
			r.again[rec.BuildConfig] = buildconfig.Request{Time: at, User: reason.CausedBy}
		}
	}
}

// pending are the requests that are still to be answered, by build config: those that nothing has begun for, and those whose build was
// interrupted.
func (r *requestsOf) pending(stored map[string]*buildconfig.BuildConfig) map[string]buildconfig.Request {
	out := map[string]buildconfig.Request{}
	for name, bc := range stored {
		again, interrupted := r.again[name]
		if interrupted && !slices.ContainsFunc(r.begun[name], func(begun time.Time) bool { return !begun.Before(again.Time) }) {
			out[name] = again
		}
		if request, pending := rebuild.Pending(bc.Requested, r.begun[name]); pending {
			out[name] = request
		}
	}
	return out
}

// noteTime notes how long a build took. Records come newest first.
func (s *situation) noteTime(rec record) {
	if rec.State != osbs.Complete || rec.Request.Scratch || rec.Request.Isolated || rec.Started == nil || rec.Finished == nil {
		return
	}
	if _, known := s.took[rec.BuildConfig]; !known {
		s.took[rec.BuildConfig] = took{rec.Name, rec.Finished.Sub(*rec.Started)}
	}
}

// tags are all ImageStreamTags.
func (i *Instance) tags(ctx context.Context) (map[string]rebuild.Tag, error) {
	streams, err := imageimport.NewFile(i.dir.imageStreams(), nil).List(ctx)
	if err != nil {
		return nil, err
	}
	tags := map[string]rebuild.Tag{}
	for _, stream := range streams {
		for _, t := range stream.Status.Tags {
			if len(t.Items) > 0 {
				tags[stream.Name+":"+t.Tag] = rebuild.Tag{Digest: t.Items[0].Image, Since: t.Items[0].Created.Time}
			}
		}
	}
	return tags, nil
}

// attributeTags notes which build moved a tag to where it is. Records come newest first.
func attributeTags(tags map[string]rebuild.Tag, rec record) {
	if rec.Import == nil {
		return
	}
	for _, t := range rec.Import.Tags {
		name := rec.Import.ImageStream + ":" + t.Tag
		if tag, ok := tags[name]; ok && tag.Digest == t.Digest && t.OldDigest != t.Digest && tag.By == "" {
			tag.By = rec.Name
			tags[name] = tag
		}
	}
}

// plannedBuild is what the planner must know of a build; of most it is nothing.
func (i *Instance) plannedBuild(rec record, bc *buildconfig.BuildConfig) (rebuild.Build, bool) {
	b := rebuild.Build{Config: rec.BuildConfig, Name: rec.Name, Digests: rec.digests(), Created: rec.Created, Requested: rebuild.RequestedAt(rec.Reasons)}
	if rec.Request.Scratch || rec.Request.Isolated {
		return b, false
	}
	if !rec.State.Ended() {
		switch alive := i.records.alive(rec); {
		case alive:
			b.State = rebuild.BuildRunning
		case rec.Autorebuild, bc != nil && bc.ImageStream != "" && rec.locked():
			b.State = rebuild.BuildInterrupted
		default: // a person's build, and there has been none before it: it is the person's turn
			b.State = rebuild.BuildFailed
		}
		return b, b.State != rebuild.BuildFailed || rec.locked()
	}
	switch {
	case !rec.Autorebuild && !rec.locked():
		return b, false // it has changed nothing, and tried nothing
	case rec.Interrupted && rec.Autorebuild:
		b.State = rebuild.BuildInterrupted
	case rec.State == osbs.Failed, rec.State == osbs.Cancelled:
		b.State = rebuild.BuildFailed
	case rec.State == osbs.Skipped:
		b.State = rebuild.BuildSkipped
	default:
		return b, false
	}
	return b, true
}

// digests are those that the build is made from, by ImageStreamTag; nil if they are not known.
func (r record) digests() map[string]string {
	if r.BaseDigests != nil || r.Bases == nil {
		return r.BaseDigests
	}
	out := map[string]string{}
	for _, b := range r.Bases {
		if b.ImageStreamTag != "" {
			out[b.ImageStreamTag] = b.Digest
		}
	}
	return out
}

// locked says whether the build has had the lock.
func (r record) locked() bool {
	for _, s := range r.Stages {
		if s.Name == stageLock {
			return s.State == osbs.Complete
		}
	}
	return false
}
