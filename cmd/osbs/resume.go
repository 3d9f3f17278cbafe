package main

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// flagResume names the build that osbs build finishes.
const flagResume = "resume"

// resume finishes a failed build, and shows that as osbs build does.
func (s *session) resume(c *cli.Context, name string) error {
	if err := s.onlyResumes(c); err != nil {
		return err
	}
	created, err := s.ResumeBuild(c.Context, name, s.config.LockPolicy)
	if err != nil {
		return err
	}
	return s.toItsEnd(c, *created)
}

// onlyResumes refuses flags that say what is to be built: what is finished is built already.
func (s *session) onlyResumes(c *cli.Context) error {
	allowed := []string{flagResume, "lock-policy", "no-logs"}
	for _, flag := range slices.Sorted(maps.Keys(s.given)) {
		ofBuild := slices.ContainsFunc(c.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == flag })
		if ofBuild && !slices.Contains(allowed, flag) {
			return failure.WithHint(failure.New(failure.Usage, "--%s and --%s do not go together: the image is built already", flagResume, flag),
				"for another image, build: osbs build -g URL -b BRANCH")
		}
	}
	return nil
}

// finishable adds to the error that a build ended with how it can be finished, if it can.
func finishable(b osbs.Build, err error) error {
	if !b.Resumable {
		return err
	}
	return failure.WithHint(err, "finish it with: osbs build --resume %s", b.Name)
}
