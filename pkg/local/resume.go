package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// stageBuild is the name of the stage after which a build can be resumed.
const stageBuild = "build"

// ResumeBuild implements osbs.Instance. The new build takes the workspace over from the one that failed, or from the one that has tried to
// finish that.
func (i *Instance) ResumeBuild(ctx context.Context, name, lockPolicy string) (*osbs.Build, error) {
	if _, err := lock.ParsePolicy(lockPolicy); err != nil {
		return nil, err
	}
	rec, err := i.records.get(name)
	if err != nil {
		return nil, err
	}
	all, err := i.records.all(ctx)
	if err != nil {
		return nil, err
	}
	from, err := i.resumable(rec, all)
	if err != nil {
		return nil, err
	}
	next, err := i.resumed(from, lockPolicy)
	if err != nil {
		return nil, err
	}
	j, err := i.start(ctx, next, next.Request.GitURL)
	if err != nil {
		return nil, err
	}
	b := j.build()
	return &b, nil
}

// resumable finds the build that has the workspace now, if this one can be resumed.
func (i *Instance) resumable(rec record, all []record) (record, error) {
	b := i.records.view(rec)
	if err := b.CheckResume(); err != nil {
		return record{}, err
	}
	others := make([]osbs.Build, 0, len(all))
	for _, other := range all {
		others = append(others, i.records.view(other))
	}
	if !rec.built() {
		return record{}, osbs.NotBuilt(b)
	}
	if err := b.CheckOvertaken(others); err != nil {
		return record{}, err
	}
	from, found := i.records.keeper(all, rec)
	if !found {
		return record{}, failure.WithHint(failure.New(failure.Conflict, "what build %s has built is not kept any more: a later build has taken its place", rec.Name), "%s", b.Again())
	}
	return from, nil
}

// resumed is the record of the build that finishes from.
func (i *Instance) resumed(from record, lockPolicy string) (record, error) {
	name, err := osbs.NewName(from.BuildConfig)
	if err != nil {
		return record{}, err
	}
	request := from.Request
	if lockPolicy != "" {
		request.LockPolicy = lockPolicy
	}
	return record{
		Build: osbs.Build{
			Name: name, BuildConfig: from.BuildConfig, State: osbs.New, Request: request, Created: i.now(), Resumes: from.Origin(),
			Autorebuild: from.Autorebuild, Reasons: from.Reasons, CausedBy: from.CausedBy,
			Commit: from.Commit, Bases: from.Bases, Digest: from.Digest, Size: from.Size, Bump: from.Bump,
		},
		BaseDigests: from.BaseDigests, GitLastCommit: from.GitLastCommit, WorkspaceOf: from.Name,
	}, nil
}

// built says whether the image of the build has been built.
func (r record) built() bool {
	return r.Resumes != "" || slices.ContainsFunc(r.Stages, func(s osbs.StageStatus) bool { return s.Name == stageBuild && s.State == osbs.Complete })
}

// keeper is the build that has the workspace of rec: itself, or one that has tried to finish the same. It is found among all.
func (r records) keeper(all []record, rec record) (record, bool) {
	n := slices.IndexFunc(all, func(other record) bool { return other.Origin() == rec.Origin() && r.kept(other.Name) })
	if n < 0 {
		return record{}, false
	}
	return all[n], true
}

// kept says whether the workspace of a build holds an image.
func (r records) kept(name string) bool {
	_, err := os.Stat(r.workspace(name).Image())
	return err == nil
}

// takeOver makes the workspace of another build, which has ended, that of this one.
func (r records) takeOver(from, to string) error {
	err := os.Rename(string(r.workspace(from)), string(r.workspace(to)))
	if errors.Is(err, fs.ErrNotExist) {
		return failure.WithHint(failure.New(failure.Conflict, "what build %s has built is not there any more: another build finishes it, or a later one has taken its place", from),
			"osbs list-builds shows which")
	}
	if err != nil {
		return failure.New(failure.Storage, "taking over the workspace of build %s: %w", from, err)
	}
	return nil
}

// finished are the builds that have failed and that another one has finished.
func finished(all []record) map[string]bool {
	out := map[string]bool{}
	for _, rec := range all {
		if rec.Resumes != "" && rec.State == osbs.Complete {
			out[rec.Resumes] = true
		}
	}
	return out
}
