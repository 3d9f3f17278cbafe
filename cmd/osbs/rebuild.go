package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) rebuildCommand() *cli.Command {
	return &cli.Command{
		Name: "rebuild", Usage: "rebuild an image as it was built last, though no base has moved, and show how it goes", ArgsUsage: "BUILD-CONFIG|IMAGE",
		Description: "The request is written into the build config, and taken away when the build has begun: whatever dies meanwhile, it is built once.\n" +
			"An image that failed, or whose repository has changed, is rebuilt so too. Ends when the builds that were asked for have ended; the\n" +
			"exit code is that of the image's build, or if that is complete, of the first of its dependents that is not.",
		Flags: []cli.Flag{
			boolean("with-dependents", "rebuild everything that is built on it, too, in order, whether it changes or not"),
			boolean("no-wait", "do not wait for the builds; for clusters"),
			text("user", "`USER` who asks; the one who runs osbs if nobody says otherwise", "u"),
		},
		Action: p.rebuild,
	}
}

// rebuildDocument is the JSON of osbs rebuild.
type rebuildDocument struct {
	// BuildConfigs are those that were asked for, parents first.
	BuildConfigs []string  `json:"buildConfigs"`
	Requested    time.Time `json:"requested"`
	User         string    `json:"user"`
	// LeftOut are dependents that a person wants no autorebuilds of.
	LeftOut []string `json:"leftOut"`
	// Builds are those that were made for the request, in their last states; empty with --no-wait.
	Builds []osbs.Build `json:"builds"`
	// Rebuilds are those that came of that, on the local instance.
	Rebuilds []osbs.Build `json:"rebuilds"`
}

func (p *program) rebuild(c *cli.Context) error {
	args, err := arguments(c, 1, 1, "the name of a build config or of an image")
	if err != nil {
		return err
	}
	s, err := p.open(c.Context, c, true)
	if err != nil {
		return err
	}
	defer s.Close()
	noWait := c.Bool("no-wait")
	if noWait && s.config.IsLocal() {
		return failure.New(failure.Usage, "--no-wait has no meaning on the local instance: its builds run in this program")
	}
	outlook, name, err := s.findBuilt(c.Context, args[0])
	if err != nil {
		return err
	}
	doc := rebuildDocument{BuildConfigs: []string{name}, LeftOut: []string{}, Builds: []osbs.Build{}, Rebuilds: []osbs.Build{}, User: s.config.User}
	if doc.User == "" {
		doc.User = s.userName()
	}
	if err := outlook.Images[name].BuildConfig.Rebuildable(); err != nil {
		return err
	}
	if c.Bool("with-dependents") {
		doc.withDependents(outlook, name)
	}
	if doc.Requested, err = s.RequestRebuild(c.Context, doc.User, doc.BuildConfigs); err != nil {
		return err
	}
	s.showRequest(doc, outlook)
	if noWait {
		return s.show(doc, func() {})
	}
	err = s.followRequest(c.Context, &doc, outlook.Unwatched)
	if len(doc.Builds) > 0 || err == nil {
		if err := s.show(doc, func() {}); err != nil {
			return err
		}
	}
	return doc.outcome(err)
}

// withDependents adds what is built on the image, parents first, but for what a person wants no autorebuilds of.
func (d *rebuildDocument) withDependents(o *osbs.Outlook, name string) {
	for _, below := range rebuild.NewGraph(o.Configs).Below(name) {
		if bc := o.Images[below].BuildConfig; bc == nil || bc.Rebuildable() != nil {
			d.LeftOut = append(d.LeftOut, below)
			continue
		}
		d.BuildConfigs = append(d.BuildConfigs, below)
	}
}

func (s *session) showRequest(doc rebuildDocument, o *osbs.Outlook) {
	s.text.Line("asked for a rebuild of " + doc.BuildConfigs[0])
	for _, name := range doc.BuildConfigs[1:] {
		s.text.Line("  and then of " + name)
	}
	for _, name := range doc.LeftOut {
		s.text.Line("  but not of " + name + ", whose autorebuilds are paused or off")
	}
	if o.Unwatched {
		s.warn("no imagewatch is there to start it: the request stays until one is\nhint: osbs install has one run; imagewatch -once starts what is due")
	}
}

// outcome is the error of the image's build, else of the first dependent that did not succeed, else err.
func (d *rebuildDocument) outcome(err error) error {
	for _, name := range d.BuildConfigs {
		for _, b := range d.Builds {
			if b.BuildConfig == name && outcome(b) != nil {
				return outcome(b)
			}
		}
	}
	return err
}

// startPatience is how long a request may take to be begun when no imagewatch seems to be there.
const startPatience = time.Minute

// followRequest shows the builds that are made for a request until all have ended, and notes their last states in doc, in the order in which
// they were asked for. On the local instance it shows and notes what comes of them, too.
func (s *session) followRequest(ctx context.Context, doc *rebuildDocument, unwatched bool) error {
	f := &requestFollower{
		session: s, configs: doc.BuildConfigs, at: doc.Requested, follower: report.NewFollower(s.text, "", report.NoLines, nil), builds: map[string]osbs.Build{},
	}
	watching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if unwatched {
		impatience := time.AfterFunc(startPatience, func() { stop(errNothingBegins) })
		defer impatience.Stop()
		f.begun = func() { impatience.Stop() }
	}
	gone := make(chan struct{})
	go func() { defer close(gone); f.missGone(watching, stop, lookForGone) }()
	err := f.watch(watching)
	if cause := context.Cause(watching); err != nil && ctx.Err() == nil && cause != nil {
		err = cause
	}
	stop(nil)
	<-gone
	running := context.WithoutCancel(ctx)
	switch {
	case errors.Is(context.Cause(watching), errNothingBegins):
		err = failure.WithHint(failure.New(failure.Unavailable, "nothing has begun in %s, since no imagewatch is there; the request stays", startPatience),
			"run imagewatch, or imagewatch -once")
	case ctx.Err() != nil:
		s.leaveRequest(running, *doc)
		err = errInterrupted
	case err == nil && s.config.IsLocal():
		err = s.Wait(ctx)
	}
	doc.Builds = f.last()
	for _, b := range doc.Builds {
		f.follower.Show(b)
	}
	if s.config.IsLocal() {
		doc.Rebuilds = slices.DeleteFunc(s.rebuilds(running, osbs.Build{Created: doc.Requested}), func(b osbs.Build) bool {
			f.follower.Show(b)
			return slices.ContainsFunc(doc.Builds, func(asked osbs.Build) bool { return asked.Name == b.Name })
		})
	}
	return err
}

var errNothingBegins = failure.New(failure.Unavailable, "nothing begins")

// requestFollower follows the builds of a request.
type requestFollower struct {
	*session
	configs  []string
	at       time.Time
	follower *report.Follower
	// begun, if not nil, is called for each build.
	begun func()

	mu sync.Mutex
	// builds by build config.
	builds map[string]osbs.Build
}

// lookForGone is how often it is looked whether the builds are still there: that one was deleted is no event.
const lookForGone = 30 * time.Second

// missGone ends the watch when a build that runs is not there any more.
func (f *requestFollower) missGone(ctx context.Context, stop context.CancelCauseFunc, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, b := range f.last() {
			if b.State.Ended() {
				continue
			}
			if _, err := f.Get(ctx, b.Name); failure.KindOf(err) == failure.NotFound {
				stop(failure.New(failure.NotFound, "build %s was deleted while it ran", b.Name))
				return
			}
		}
	}
}

func (f *requestFollower) watch(ctx context.Context) error {
	for event, err := range f.Watch(ctx, "") {
		if err != nil {
			return err
		}
		b := event.Build
		if f.note(b) {
			if f.begun != nil {
				f.begun()
			}
			f.follower.Show(b)
		}
		if f.done() {
			return nil
		}
		if instance, ok := f.Instance.(starter); ok && f.missing() && b.Finished != nil && b.Finished.After(f.at) {
			// It may have been another process's, which starts nothing after its end if it was killed.
			if _, err := instance.RebuildPending(ctx); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// note keeps the build if it is an answer, and says so.
func (f *requestFollower) note(b osbs.Build) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isAnswer(b) {
		return false
	}
	f.builds[b.BuildConfig] = b
	return true
}

// isAnswer says whether the build was made for this request, or for a later one that took its place.
func (f *requestFollower) isAnswer(b osbs.Build) bool {
	if !slices.Contains(f.configs, b.BuildConfig) || rebuild.RequestedAt(b.Reasons).Before(f.at) {
		return false
	}
	known, found := f.builds[b.BuildConfig]
	return !found || known.Name == b.Name || known.State.Ended() && known.State != osbs.Complete && known.Created.Before(b.Created)
}

func (f *requestFollower) missing() bool { return len(f.last()) < len(f.configs) }

func (f *requestFollower) done() bool {
	return !f.missing() && !slices.ContainsFunc(f.last(), func(b osbs.Build) bool { return !b.State.Ended() })
}

// last are the builds in the order in which they were asked for.
func (f *requestFollower) last() []osbs.Build {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []osbs.Build{}
	for _, config := range f.configs {
		if b, found := f.builds[config]; found {
			out = append(out, b)
		}
	}
	return out
}

// leaveRequest is what becomes of a request when nobody waits for it any more. On the local instance its builds end, and what has not
// begun is taken back; on a cluster all goes on.
func (s *session) leaveRequest(ctx context.Context, doc rebuildDocument) {
	if !s.config.IsLocal() {
		fmt.Fprintf(s.stderr, "osbs: the rebuild of %s goes on\n  see it: osbs explain %s\n", strings.Join(doc.BuildConfigs, ", "), doc.BuildConfigs[0])
		return
	}
	if err := s.WithdrawRebuild(ctx, doc.Requested, doc.BuildConfigs); err != nil {
		s.warn("the request cannot be taken back: " + err.Error())
	}
	all, err := s.List(ctx, osbs.Filter{Running: true})
	if err != nil {
		s.warn("builds cannot be listed: " + err.Error())
	}
	s.cancelAll(ctx, slices.DeleteFunc(all, func(b osbs.Build) bool {
		return !slices.Contains(doc.BuildConfigs, b.BuildConfig) || !rebuild.RequestedAt(b.Reasons).Equal(doc.Requested)
	}))
}
