package main

import (
	"context"
	"maps"
	"slices"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"github.com/urfave/cli/v2"
	"sigs.k8s.io/yaml"

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
	if c.Bool(flagDryRun) {
		return s.printResumed(c, name)
	}
	created, err := s.ResumeBuild(c.Context, name, s.config.LockPolicy)
	if err != nil {
		return err
	}
	return s.toItsEnd(c, *created)
}

// printResumed prints the PipelineRun that would finish a build, for kubectl create.
func (s *session) printResumed(c *cli.Context, name string) error {
	on, ok := s.Instance.(interface {
		ResumedRun(ctx context.Context, name, lockPolicy string) (*v1.PipelineRun, error)
	})
	if !ok {
		return failure.New(failure.Usage, "--%s with --%s prints a PipelineRun, and the local instance has none", flagResume, flagDryRun)
	}
	run, err := on.ResumedRun(c.Context, name, s.config.LockPolicy)
	if err != nil {
		return err
	}
	text, err := yaml.Marshal(run)
	if err != nil {
		return failure.New(failure.Internal, "encoding the PipelineRun: %w", err)
	}
	return s.show(run, func() { _, _ = s.plain.Write(text) })
}

// onlyResumes refuses flags that say what is to be built: what is finished is built already.
func (s *session) onlyResumes(c *cli.Context) error {
	allowed := []string{flagResume, flagDryRun, "lock-policy", "no-logs"}
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
