package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) buildCommand() *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "build an image, and show how it goes",
		UsageText: "osbs build -g URL -b BRANCH [options]\nosbs build --resume BUILD [--lock-policy POLICY]",
		Description: "Ends when the build has ended and everything that is built on the image has been rebuilt. Its exit code is that of the\n" +
			"build: 0, 10 if it was skipped, else what docs/exit-codes.md says. With --output json the last state of the build, and of\n" +
			"the rebuilds that it caused, is the only thing on stdout.\n" +
			"Ctrl-C cancels the build; a second Ctrl-C ends osbs at once.\n" +
			"With --resume a build that failed in push, sync or import is finished from the image that it has built; with\n" +
			"--dry-run too, the PipelineRun for that is printed.",
		Flags: []cli.Flag{
			text("git-url", "`URL` of the git repository: https, ssh or file", "g"),
			text("git-branch", "`BRANCH` to build", "b"),
			text("git-commit", "`COMMIT` that the branch's head must be"),
			text("user", "`USER` who asks for the build; the one who runs osbs if nobody says otherwise", "u"),
			text("component", "label com.redhat.component, whatever the Dockerfile says", "c"),
			text("target", "build target, a part of the unique tag", "t"),
			text("architecture", "label architecture, whatever the Dockerfile says", "a", "arch"),
			text("platform", "`OS/ARCH` to build for; this machine's if nobody says otherwise"),
			boolean("scratch", "a build to throw away: it gets a unique tag only, and nothing is rebuilt after it"),
			boolean("isolated", "a build aside: it gets a unique and a primary tag only, and nothing is rebuilt after it"),
			text("release", "`RELEASE` label, whatever the Dockerfile says"),
			text("dockerfile", "`PATH` of the Dockerfile in the repository"),
			text("dockerfile-target", "`STAGE` of the Dockerfile to build; the last one if nobody says otherwise"),
			list("build-arg", "`NAME=VALUE` for an ARG of the Dockerfile"),
			text("lock-policy", "what to do while another build of the same build config runs: `fail` or wait"),
			boolean("no-rebuild", "leave what is built on the image as it is, until another build brings it up to date"),
			text("cpu-limit", "CPU limit of the build, such as 500m or 2"),
			text("memory-limit", "memory limit of the build, such as 512Mi or 4Gi"),
			boolean("no-logs", "show the build's name and its outcome only"),
			boolean("dry-run", "show what would be built on what, pushed and rebuilt, and do nothing"),
			text("resume", "`BUILD` that failed after its image was built: push, sync and import that image, without building again"),
		},
		Action: p.build,
	}
}

func (p *program) build(c *cli.Context) error {
	ctx := c.Context
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	s, err := p.open(ctx, c, true)
	if err != nil {
		return err
	}
	defer s.Close()
	if name := c.String(flagResume); name != "" {
		return s.resume(c, name)
	}
	request, err := s.request(c)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		plan, err := s.Plan(ctx, request)
		if err != nil {
			return err
		}
		return s.show(report.NewPlanDocument(plan), func() { s.text.Plan(plan) })
	}
	created, err := s.Create(ctx, request)
	if err != nil {
		return err
	}
	return s.toItsEnd(c, *created)
}

// toItsEnd follows a build, shows what came of it and of the rebuilds that it causes, and ends as it did.
func (s *session) toItsEnd(c *cli.Context, created osbs.Build) error {
	lines := report.BuildLines
	switch {
	case c.Bool("no-logs"):
		lines = report.Quiet
	case s.config.Verbose:
		lines = report.AllLines
	}
	build, rebuilds := s.follow(c.Context, created, lines)
	if err := s.show(buildDocument{build, rebuilds}, func() {}); err != nil {
		return err
	}
	return outcome(build)
}

// buildDocument is the JSON of osbs build: the build, and what it caused.
type buildDocument struct {
	osbs.Build
	Rebuilds []osbs.Build `json:"rebuilds"`
}

// request is what the command line and osbs.conf ask for.
func (s *session) request(c *cli.Context) (osbs.Request, error) {
	conf := s.config
	r := osbs.Request{
		GitURL: conf.GitURL, GitBranch: conf.GitBranch, GitCommit: conf.GitCommit, User: conf.User, Component: conf.Component,
		Target: conf.Target, Architecture: conf.Architecture, Platform: conf.Platform, Scratch: conf.Scratch, CPULimit: conf.CPULimit,
		MemoryLimit: conf.MemoryLimit, LockPolicy: conf.LockPolicy,
		Isolated: c.Bool("isolated"), Release: c.String("release"), Dockerfile: c.String("dockerfile"),
		DockerfileTarget: c.String("dockerfile-target"), BuildArgs: c.StringSlice("build-arg"), NoRebuild: c.Bool("no-rebuild"),
	}
	if r.User == "" {
		r.User = s.userName()
	}
	switch {
	case r.GitURL == "":
		return r, failure.WithHint(failure.New(failure.Usage, "no git URL is given"), "name the repository and the branch: osbs build -g https://git.example.com/app.git -b main")
	case r.GitBranch == "":
		return r, failure.WithHint(failure.New(failure.Usage, "no git branch is given"), "name the branch: -b main")
	case r.User == "":
		return r, failure.WithHint(failure.New(failure.Usage, "no user is given, and who runs osbs is not known"), "say who asks for the build: -u NAME")
	case s.config.IsLocal() && (r.CPULimit != "" || r.MemoryLimit != ""):
		s.warn("cpu-limit and memory-limit hold on a cluster; the local instance does not limit builds")
	}
	return r, nil
}

// outcome is the error that a build ended with, nil if it is complete.
func outcome(b osbs.Build) error {
	if b.State == osbs.Complete {
		return nil
	}
	kinds := map[osbs.State]failure.Kind{osbs.Skipped: failure.Skipped, osbs.Cancelled: failure.Cancelled}
	kind, known := kinds[b.State]
	if !known {
		kind = failure.Internal
		if b.Failure != nil && b.Failure.Kind != "" {
			kind = b.Failure.Kind
		}
	}
	where, message := "", ""
	if b.Failure != nil {
		message = ": " + b.Failure.Message
		if b.Failure.Stage != "" && b.State == osbs.Failed {
			where = " in stage " + b.Failure.Stage
		}
	} else if note := lastNote(b); note != "" && b.State == osbs.Skipped {
		message = ": " + note
	}
	if b.State == osbs.Cancelled {
		return finishable(b, failure.New(kind, "build %s was cancelled", b.Name))
	}
	if b.State == osbs.Skipped {
		return failure.New(kind, "build %s was skipped%s", b.Name, message)
	}
	return finishable(b, failure.New(kind, "build %s %s%s%s", b.Name, b.State, where, message))
}

func lastNote(b osbs.Build) string {
	for i := len(b.Stages) - 1; i >= 0; i-- {
		if b.Stages[i].Note != "" {
			return b.Stages[i].Note
		}
	}
	return ""
}
