package lock

import (
	"cmp"
	"context"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// lastSucceeded is the build of the build config that has succeeded last, empty if none has. It is asked for with the lock held, so that the
// answer stays true; after an error the lock is not held. A build that resumes another is refused when it has the workspace of a third, and when
// another build has succeeded since: floating tags would go back to the older image.
func (o *Options) lastSucceeded(ctx context.Context) (last string, err error) {
	defer func() {
		if err != nil {
			o.release(ctx)
		}
	}()
	bc, err := o.BuildConfigs.Get(ctx, o.BuildConfig)
	if err == nil {
		last = bc.LastBuild.LastSucceeded()
	} else if failure.KindOf(err) != failure.NotFound {
		return "", err
	}
	if o.Resumes == "" {
		return last, nil
	}
	before, err := workspace.Read[workspace.Lock](o.Workspace)
	if err != nil {
		return "", err
	}
	if owner := cmp.Or(before.Resumes, before.Holder); owner != o.Resumes {
		return "", failure.WithHint(failure.New(failure.Conflict, "the workspace has what build %s has made, not what %s has", owner, o.Resumes),
			"start the build again with osbs build")
	}
	if !o.Scratch && !o.Isolated && last != before.LastSucceeded {
		return "", overtaken(o.Resumes, last, o.BuildConfig)
	}
	o.Created = before.Created // its bases are what the registry had then
	return last, nil
}

// overtaken is why a failed build is not resumed after a later build of its build config has succeeded.
func overtaken(build, by, buildConfig string) error {
	return failure.WithHint(failure.New(failure.Conflict, "build %s of %s has succeeded since %s failed: finishing that would move floating tags back to an older image",
		by, buildConfig, build), "there is nothing to finish; build again with osbs build if the image must be another one")
}
