package lock

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Options are those of the lock stage.
type Options struct {
	step.Env
	Workspace    workspace.Dir
	Locker       Locker
	BuildConfigs buildconfig.Store
	// BuildConfig is the build config's name; empty means the one of the clone's URL and branch.
	BuildConfig string
	Holder      Holder
	Policy      Policy
	// Timeout bounds the waiting; 0 means no bound.
	Timeout time.Duration
	// Created is when the build was created, which orders those who wait; zero means now.
	Created     time.Time
	Autorebuild bool
	Scratch     bool
	Isolated    bool
	// Parameters are kept in the build config for autorebuilds.
	Parameters buildconfig.Parameters
	// Reason is the kind of the first reason for an autorebuild, as its event says it.
	Reason string
	// Streams, if not nil, are the ImageStreams of the bases, of Namespace: an autorebuild from digests that they have no more is skipped.
	Streams   Streams
	Namespace string
	// BaseDigests are those that an event carried, as detect-base was given them: by reference, resolved reference or ImageStreamTag.
	BaseDigests map[string]string
	// Resumes, if not empty, is the failed build whose workspace this is: the build finishes what that one has built.
	Resumes string
}

// Run takes the lock of the build config and then writes what an autorebuild needs into the build config: git, parameters, triggers.
// Scratch and isolated builds leave the build config as it is and create none, so that they neither start nor stop autorebuilds.
// After an error the lock is not held. Neither is it when the record says that the build is skipped, since a newer one took its place, or
// its bases have moved on.
func Run(ctx context.Context, o Options) (workspace.Lock, error) {
	o.Env = o.WithDefaults()
	clone, err := workspace.Read[workspace.Clone](o.Workspace)
	if err != nil {
		return workspace.Lock{}, err
	}
	bases, err := workspace.Read[workspace.DetectBase](o.Workspace)
	if err != nil {
		return workspace.Lock{}, err
	}
	if o.BuildConfig == "" {
		o.BuildConfig = buildconfig.Name(clone.URL, clone.Branch)
	}
	if o.Created.IsZero() {
		o.Created = time.Now()
	}
	if o.Resumes != "" { // a person wants just this image finished: neither a newer autorebuild nor a newer base changes that
		o.Autorebuild = false
	}
	began := time.Now()
	err = o.acquire(ctx)
	if err == nil {
		err = o.stillDue(ctx)
	}
	record := workspace.Lock{
		BuildConfig: o.BuildConfig, Holder: o.Holder.Build, HolderUID: o.Holder.UID, Waited: time.Since(began).Seconds(), Resumes: o.Resumes,
	}
	if err == nil {
		record.LastSucceeded, err = o.lastSucceeded(ctx)
	}
	record.Created = o.Created.UTC()
	if failure.KindOf(err) == failure.Skipped {
		record.State, record.Reason = workspace.StateSkipped, err.Error()
		o.Log.Info("skipped: " + record.Reason)
		return record, workspace.Write(o.Workspace, record)
	}
	if err != nil {
		return workspace.Lock{}, err
	}
	if err := o.record(ctx, clone, bases, record); err != nil {
		o.release(ctx)
		return workspace.Lock{}, err
	}
	return record, nil
}

// stillDue frees the lock, and is failure.Skipped, when there is nothing to do any more.
func (o Options) stillDue(ctx context.Context) error {
	why, err := o.outdated(ctx)
	if err == nil && why != "" {
		err = failure.New(failure.Skipped, "this rebuild is outdated: %s", why)
	}
	if err != nil {
		o.release(ctx)
	}
	return err
}

func (o Options) acquire(ctx context.Context) error {
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		err := failure.New(failure.TimedOut, "build %s has waited %s for its turn on %s", o.Holder.Build, o.Timeout, o.BuildConfig)
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, err)
		defer cancel()
	}
	if o.Policy == Wait {
		if other, err := o.Locker.Holder(ctx, o.BuildConfig); err == nil && other != nil && other.UID != o.Holder.UID {
			o.Log.Info("waiting for the lock", "buildConfig", o.BuildConfig, "holder", other.Build)
		}
	}
	request := Request{Holder: o.Holder, Policy: o.Policy, Created: o.Created, Autorebuild: o.Autorebuild}
	if err := o.Locker.Acquire(ctx, o.BuildConfig, request); err != nil {
		return err
	}
	o.Log.Info("lock taken", "buildConfig", o.BuildConfig, "holder", o.Holder.Build)
	return nil
}

// release is for errors; a lock that it cannot free is free when the build has ended.
func (o Options) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := o.Locker.Release(ctx, o.BuildConfig, o.Holder); err != nil {
		o.Log.Warn("the lock is free only when the build has ended", "buildConfig", o.BuildConfig, "error", err)
	}
}

func (o Options) record(ctx context.Context, clone workspace.Clone, bases workspace.DetectBase, record workspace.Lock) error {
	for {
		err := o.writeBuildConfig(ctx, clone, bases)
		if err == nil {
			return workspace.Write(o.Workspace, record)
		}
		if kind := failure.KindOf(err); kind != failure.NotFound || ctx.Err() != nil { // deleted between reading and writing
			return err
		}
	}
}

func (o Options) writeBuildConfig(ctx context.Context, clone workspace.Clone, bases workspace.DetectBase) error {
	stored, err := o.BuildConfigs.Get(ctx, o.BuildConfig)
	found := err == nil
	if err != nil && failure.KindOf(err) != failure.NotFound {
		return err
	}
	if found {
		if err := collision(stored, clone); err != nil {
			return err
		}
	}
	switch {
	case o.Scratch || o.Isolated:
		return nil
	case found:
		_, err := buildconfig.Change(ctx, o.BuildConfigs, o.BuildConfig, func(bc *buildconfig.BuildConfig) error {
			if err := collision(bc, clone); err != nil {
				return err
			}
			o.fill(bc, clone, bases)
			return nil
		})
		return err
	default:
		bc := &buildconfig.BuildConfig{Name: o.BuildConfig}
		o.fill(bc, clone, bases)
		_, err := o.BuildConfigs.Create(ctx, bc)
		if failure.KindOf(err) == failure.Conflict { // created between reading and writing
			return o.writeBuildConfig(ctx, clone, bases)
		}
		return err
	}
}

func (o Options) fill(bc *buildconfig.BuildConfig, clone workspace.Clone, bases workspace.DetectBase) {
	bc.GitURL, bc.GitBranch, bc.GitCommit = clone.URL, clone.Branch, clone.Commit
	bc.Parameters = o.Parameters
	bc.Triggers = o.triggers(bc.Triggers, clone, bases)
}

// triggers has one for each ImageStreamTag among the bases, with what this build was made from. A base that the Dockerfile pins to a
// digest has none: no change of its tag would change the image. A build of no known branch has none either.
func (o Options) triggers(before []buildconfig.Trigger, clone workspace.Clone, bases workspace.DetectBase) []buildconfig.Trigger {
	if clone.Branch == "" {
		return nil
	}
	var out []buildconfig.Trigger
	seen := map[string]bool{}
	for _, base := range bases.AllBases() {
		if base.ImageStreamTag == "" || strings.Contains(base.Reference, "@") || seen[base.ImageStreamTag] {
			continue
		}
		seen[base.ImageStreamTag] = true
		t := buildconfig.Trigger{ImageStreamTag: base.ImageStreamTag}
		for _, b := range before {
			if b.ImageStreamTag == base.ImageStreamTag {
				t = b
			}
		}
		t.LastTriggeredImage = base.Repository + "@" + base.Digest
		t.LastTriggeredManifest = ""
		if base.ManifestDigest != base.Digest {
			t.LastTriggeredManifest = base.ManifestDigest
		}
		t.LastTriggerTime = o.Created
		if o.carried(base) {
			t.LastTriggerTime = time.Time{}
		}
		out = append(out, t)
	}
	return out
}

// carried says that an event named the digest, so that it says nothing of what the registry had when the build was created.
func (o Options) carried(base workspace.Base) bool {
	if len(o.BaseDigests) == 0 {
		return o.Autorebuild
	}
	for _, key := range []string{base.Reference, base.Resolved, base.ImageStreamTag} {
		if _, ok := o.BaseDigests[key]; ok && key != "" {
			return true
		}
	}
	return false
}

// collision compares a build config with the repository and branch that would use its name, since the name does not tell them apart.
func collision(bc *buildconfig.BuildConfig, clone workspace.Clone) error {
	if bc.GitBranch == clone.Branch && sameRepository(bc.GitURL, clone.URL) {
		return nil
	}
	err := failure.New(failure.Conflict, "Git labels collide with existing build config %q", bc.Name)
	return failure.WithHint(err, "it belongs to branch %q of %s; this build is of branch %q of %s; name another build config",
		bc.GitBranch, bc.GitURL, clone.Branch, clone.URL)
}

// sameRepository says whether two URLs name one repository: the same path on the same host, by whatever protocol.
func sameRepository(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	if errX != nil || errY != nil || x.Scheme == "" || y.Scheme == "" {
		return false
	}
	path := func(u *url.URL) string { return strings.Trim(u.Path, "/") }
	host := func(u *url.URL) string { return strings.ToLower(u.Hostname()) }
	return path(x) == path(y) && host(x) == host(y) && (x.Scheme != y.Scheme || x.Port() == y.Port())
}
