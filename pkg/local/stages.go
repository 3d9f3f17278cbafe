package local

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/build"
	"github.com/osbs-tekton/osbs/pkg/clone"
	"github.com/osbs-tekton/osbs/pkg/detectbase"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/prepare"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// stageLock is the name of the stage after which a build counts.
const stageLock = "lock"

// stages in the order in which they run. Of a build that is resumed, those up to build are done, and the lock is free.
func (r *run) stages() []stage {
	all := []stage{
		{"clone", osbs.Running, r.clone},
		{"detect-base", osbs.Running, r.detectBase},
		{stageLock, osbs.Waiting, r.lock},
		{"prepare", osbs.Running, r.prepare},
		{stageBuild, osbs.Running, r.build},
		{"push", osbs.Running, r.push},
		{"sync", osbs.Running, r.sync},
		{"import", osbs.Running, r.importImage},
	}
	if r.resumes == "" {
		return all
	}
	return slices.DeleteFunc(all, func(s stage) bool {
		return slices.Contains([]string{"clone", "detect-base", "prepare", stageBuild}, s.name)
	})
}

func (r *run) clone(ctx context.Context) (outcome, error) {
	cloned, err := clone.Run(ctx, r.cloneOptions())
	if err != nil {
		return outcome{}, err
	}
	return outcome{note: cloned.Branch + " at " + workspace.Short(cloned.Commit), record: func(rec *record) { rec.Commit = cloned.Commit }}, nil
}

func (r *run) cloneOptions() clone.Options {
	return clone.Options{
		Env: r.env, Workspace: r.workspace, GitURL: r.job.gitURL, GitBranch: r.request.GitBranch, GitCommit: r.request.GitCommit,
		GitLastCommit: r.last, RepoConfig: r.conf.RepoConfig,
		GitSecretDir: r.conf.GitSecretDir, CAFile: r.conf.GitCAFile, Home: r.conf.Home, AgentSocket: r.conf.AgentSocket,
		Submodules: r.conf.Submodules,
	}
}

func (r *run) detectBase(ctx context.Context) (outcome, error) {
	found, err := detectbase.Run(ctx, r.detectOptions())
	if err != nil {
		return outcome{}, err
	}
	notes := make([]string, 0, len(found.Bases)+1)
	if found.Scratch {
		notes = append(notes, "FROM scratch")
	}
	for _, b := range found.Bases {
		notes = append(notes, b.Reference+" is "+workspace.Short(b.Digest))
	}
	return outcome{note: strings.Join(notes, ", "), record: func(rec *record) { rec.Bases = found.Bases }}, nil
}

func (r *run) detectOptions() detectbase.Options {
	return detectbase.Options{
		Env: r.env, Workspace: r.workspace, Registry: r.client, Dockerfile: r.request.Dockerfile,
		DockerfileTarget: r.request.DockerfileTarget, Platform: r.request.Platform, BuildArgs: r.request.BuildArgs,
		SourceRegistryURI: r.conf.sourceRegistry().Host, OtherRegistries: r.conf.SourceRegistryURI == nil,
		BaseDigests: r.pinned, HomeRegistries: r.homeRegistries(),
	}
}

// homeRegistries are those whose images have an ImageStream here.
func (i *Instance) homeRegistries() []string {
	hosts := make([]string, 0, len(i.targets)+len(i.conf.HomeRegistry)+1)
	for _, u := range i.targets {
		hosts = append(hosts, u.Host)
	}
	return append(append(hosts, i.conf.sourceRegistry().Host), i.conf.HomeRegistry...)
}

func (r *run) lock(ctx context.Context) (outcome, error) {
	policy, err := lock.ParsePolicy(r.request.LockPolicy)
	if err != nil {
		return outcome{}, err
	}
	if policy == lock.Wait {
		if err := r.update(r.job, "", func(rec *record) { rec.State = osbs.Waiting }); err != nil {
			return outcome{}, err
		}
	}
	rec := r.job.record()
	timeout := r.conf.LockTimeout
	if r.auto {
		timeout = 0 // nobody waits for it, and a rebuild that gave up would not be tried again
	}
	held, err := lock.Run(ctx, lock.Options{
		Env: r.env, Workspace: r.workspace, Locker: r.locks, BuildConfigs: r.configs, BuildConfig: rec.BuildConfig,
		Holder: r.holder, Policy: policy, Timeout: timeout, Created: rec.Created, Autorebuild: r.auto,
		Scratch: r.request.Scratch, Isolated: r.request.Isolated, Parameters: r.parameters(r.request), BaseDigests: r.pinned,
		Reason: firstReason(rec.Reasons), Resumes: r.resumes, Streams: imageimport.NewFile(r.dir.imageStreams(), r.client),
	})
	if err != nil {
		return outcome{}, err
	}
	if held.State == workspace.StateSkipped {
		return outcome{}, failure.New(failure.Skipped, "%s", held.Reason)
	}
	r.locked = true
	if r.resumes == "" { // else the workspace has its own push, if there was one
		if err := r.inherit(ctx, rec.BuildConfig); err != nil {
			return outcome{}, err
		}
	}
	note := ""
	if held.Waited >= 1 {
		note = fmt.Sprintf("waited %.0f s", held.Waited)
	}
	return outcome{note: note, record: func(rec *record) { rec.State = osbs.Running }}, nil
}

// firstReason is its kind, as the event of an autorebuild on a cluster says it.
func firstReason(reasons []rebuild.Reason) string {
	if len(reasons) == 0 {
		return ""
	}
	return string(reasons[0].Kind)
}

func (r *run) prepare(ctx context.Context) (outcome, error) {
	prepared, err := prepare.Run(ctx, r.prepareOptions())
	if err != nil {
		return outcome{}, err
	}
	out := outcome{note: prepared.Reason}
	if b := prepared.Bump; b != nil {
		out.note = "release " + b.OldRelease + " is now " + b.NewRelease
	}
	if prepared.Release != "" {
		out.note = "release is now " + prepared.Release
	}
	if prepared.State == workspace.StateSkipped {
		return out, errSkipped
	}
	out.record = func(rec *record) { rec.Bump, rec.Commit = prepared.Bump, prepared.Commit }
	return out, nil
}

func (r *run) prepareOptions() prepare.Options {
	return prepare.Options{
		Env: r.env, Workspace: r.workspace, Autorebuild: r.auto, GitURL: r.job.gitURL, GitCommit: r.request.GitCommit,
		GitSecretDir: r.conf.GitSecretDir, CAFile: r.conf.GitCAFile, Home: r.conf.Home, AgentSocket: r.conf.AgentSocket,
		Submodules: r.conf.Submodules, RepoConfig: r.conf.RepoConfig, BumpRelease: r.conf.BumpRelease, Release: r.request.Release,
		Component: r.request.Component, BuildArgs: r.request.BuildArgs, Scratch: r.request.Scratch, Isolated: r.request.Isolated,
	}
}

func (r *run) build(ctx context.Context) (outcome, error) {
	built, err := build.Run(ctx, build.Options{
		Env: r.env, Workspace: r.workspace, Registry: r.client, Engine: r.conf.Engine, Storage: r.dir.storage(),
		StorageDriver: r.conf.StorageDriver, DockerfileTarget: r.request.DockerfileTarget, BuildArgs: r.request.BuildArgs,
		Secrets: r.conf.BuildSecrets, LayerCache: !r.conf.NoLayerCache, Format: r.conf.Format, Compression: r.conf.Compression,
		Isolation: r.conf.Isolation, Component: r.request.Component, Release: r.request.Release, Architecture: r.request.Architecture,
		Output: r.log,
	})
	if err != nil {
		return outcome{}, err
	}
	size, added := int64(0), 0
	for _, l := range built.Layers {
		size += l.Size
		if !l.Base {
			added++
		}
	}
	note := fmt.Sprintf("%s, %s in %d layers, %d of them new", workspace.Short(built.Digest), progress.Size(size), len(built.Layers), added)
	return outcome{note: note, record: func(rec *record) { rec.Digest, rec.Size = built.Digest, size }}, nil
}

func (r *run) push(ctx context.Context) (outcome, error) {
	var bump *workspace.Bump
	pushed, err := push.Run(ctx, push.Options{
		Env: r.env, Workspace: r.workspace, Registry: r.client, Registries: r.targets, Target: r.request.Target,
		Scratch: r.request.Scratch, Isolated: r.request.Isolated, Jobs: r.conf.Jobs, Now: r.conf.Now,
		Autorebuild: r.auto, EarlyCutoff: !r.conf.NoEarlyCutoff,
		Publish: func(ctx context.Context) error {
			prepared, err := prepare.Publish(ctx, r.prepareOptions())
			bump = prepared.Bump
			return err
		},
	})
	if err != nil {
		return outcome{}, err
	}
	if pushed.Unchanged { // what was built, and the bump, go with the workspace; the image is the one that stays
		cloned, err := workspace.Read[workspace.Clone](r.workspace)
		return outcome{note: "unchanged: " + workspace.Short(pushed.Digest) + " has the same content and stays", record: func(rec *record) {
			rec.Push, rec.Bump, rec.Digest, rec.Commit = &pushed, nil, pushed.Digest, cloned.Commit
		}}, err
	}
	return outcome{note: pushNote(pushed), record: func(rec *record) { rec.Push, rec.Bump = &pushed, bump }}, nil
}

func pushNote(p workspace.Push) string {
	var sent, there, mounted int64
	names := make([]string, 0, len(p.Images))
	for _, image := range p.Images {
		sent, there, mounted = sent+image.Uploaded+image.Copied, there+image.Existed, mounted+image.Mounted
		tag := image.Primary
		if tag == "" {
			tag = image.Unique
		}
		names = append(names, image.Repository+":"+tag)
	}
	note := strings.Join(names, ", ") + ": " + progress.Size(sent) + " sent"
	if there > 0 {
		note += ", " + progress.Size(there) + " existed"
	}
	if mounted > 0 {
		note += ", " + progress.Size(mounted) + " mounted"
	}
	return note
}

func (r *run) sync(ctx context.Context) (outcome, error) {
	targets, err := r.syncTargets()
	if err != nil {
		return outcome{}, err
	}
	if len(targets) == 0 {
		return outcome{note: "no target is configured", skipped: true}, nil
	}
	synced, err := imagesync.Run(ctx, imagesync.Options{Env: r.env, Workspace: r.workspace, Registry: r.client, Targets: targets})
	if err != nil {
		return outcome{}, err
	}
	notes := make([]string, 0, len(synced.Targets))
	for _, t := range synced.Targets {
		notes = append(notes, t.Location)
	}
	return outcome{note: strings.Join(notes, ", "), record: func(rec *record) { rec.Sync = &synced }}, nil
}

func (r *run) importImage(ctx context.Context) (outcome, error) {
	imported, err := imageimport.Run(ctx, imageimport.Options{
		Env: r.env, Workspace: r.workspace, Registry: r.client, Streams: imageimport.NewFile(r.dir.imageStreams(), r.client),
		BuildConfigs: r.configs, Autorebuild: r.auto, Scratch: r.request.Scratch, Isolated: r.request.Isolated,
	})
	if err != nil {
		return outcome{}, err
	}
	if imported.ImageStream == "" {
		return outcome{note: "scratch and isolated builds import nothing", skipped: true}, nil
	}
	if imported.Unchanged {
		return outcome{note: "the image has not changed", skipped: true, record: func(rec *record) { rec.Import = &imported }}, nil
	}
	tags := make([]string, 0, len(imported.Tags))
	for _, t := range imported.Tags {
		tags = append(tags, imported.ImageStream+":"+t.Tag)
	}
	return outcome{note: strings.Join(tags, ", "), record: func(rec *record) { rec.Import = &imported }}, nil
}

// ImportImage implements osbs.Instance.
func (i *Instance) ImportImage(ctx context.Context, imageStream, tag string) (*workspace.Import, error) {
	env := i.env()
	client, err := i.client(ctx, env)
	if err != nil {
		return nil, err
	}
	tags, err := imageimport.ImportImage(ctx, env, imageimport.NewFile(i.dir.imageStreams(), client), imageStream, tag)
	if failure.KindOf(err) == failure.NotFound {
		err = failure.WithHint(err, "osbs list-build-configs lists what builds import")
	}
	return &workspace.Import{ImageStream: imageStream, Tags: tags}, err
}
