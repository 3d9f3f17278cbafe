package osbs

import (
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// CheckResume is failure.Conflict if there is nothing to finish of a build that has come to this state. That it has built its image, and
// that the image is still there, is for the instance to say.
func (b Build) CheckResume() error {
	switch {
	case b.State == Complete:
		return failure.WithHint(failure.New(failure.Conflict, "build %s has succeeded: there is nothing to finish", b.Name), "osbs get-build %s shows what came of it", b.Name)
	case b.State == Skipped:
		return failure.WithHint(failure.New(failure.Conflict, "build %s was skipped: it has built nothing that could be finished", b.Name), "%s", b.Again())
	case !b.State.Ended():
		return failure.WithHint(failure.New(failure.Conflict, "build %s has not ended: its state is %s", b.Name, b.State),
			"see it: osbs watch-build %s", b.Name)
	}
	return nil
}

// CheckOvertaken is failure.Conflict if one of others finishes this build now, or has done so, or is a later build of the same build config that
// has succeeded: the floating tags are that build's.
func (b Build) CheckOvertaken(others []Build) error {
	for _, o := range others {
		switch {
		case o.Name == b.Name || o.BuildConfig != b.BuildConfig:
		case o.Resumes == b.Origin() && !o.State.Ended():
			return failure.WithHint(failure.New(failure.Conflict, "build %s finishes %s already", o.Name, b.Name), "see it: osbs watch-build %s", o.Name)
		case o.Resumes == b.Origin() && o.State == Complete:
			return failure.WithHint(failure.New(failure.Conflict, "build %s has finished %s: there is nothing left", o.Name, b.Name),
				"osbs get-build %s shows what came of it", o.Name)
		case o.State == Complete && o.floats() && b.floats() && o.endedAfter(b):
			return failure.WithHint(failure.New(failure.Conflict,
				"build %s of %s has succeeded since %s failed: finishing that would move floating tags back to an older image", o.Name, b.BuildConfig, b.Name),
				"there is nothing to finish; if the image is to be another one: %s", b.Again())
		}
	}
	return nil
}

// NotBuilt is why a build is not resumed that failed before its image was built.
func NotBuilt(b Build) error {
	where := ""
	if b.Failure != nil && b.Failure.Stage != "" {
		where = " in stage " + b.Failure.Stage
	}
	return failure.WithHint(failure.New(failure.Conflict, "build %s %s%s, before its image was built: there is nothing to finish", b.Name, b.State, where), "%s", b.Again())
}

// Origin is the build that has made the image: b itself, or the one that it resumes.
func (b Build) Origin() string {
	if b.Resumes != "" {
		return b.Resumes
	}
	return b.Name
}

// Again says how the build is started again from its beginning.
func (b Build) Again() string {
	return "start it again: osbs build -g " + b.Request.GitURL + " -b " + b.Request.GitBranch
}

// floats says whether the build moves floating tags when it succeeds.
func (b Build) floats() bool { return !b.Request.Scratch && !b.Request.Isolated }

// endedAfter says whether the build ended after another. Of builds of one build config only one has the lock.
func (b Build) endedAfter(other Build) bool {
	return b.Finished != nil && other.Finished != nil && b.Finished.After(*other.Finished)
}
