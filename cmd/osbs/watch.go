package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) watchBuildCommand() *cli.Command {
	return &cli.Command{
		Name: "watch-build", Usage: "show the stages of a build until it has ended; the exit code is the build's", ArgsUsage: "BUILD",
		Action: p.watchBuild,
	}
}

func (p *program) watchBuild(c *cli.Context) error {
	args, err := arguments(c, 1, 1, "the name of a build")
	if err != nil {
		return err
	}
	s, err := p.open(c.Context, c, true)
	if err != nil {
		return err
	}
	defer s.Close()
	follower := report.NewFollower(s.text, args[0], report.NoLines, nil)
	var last osbs.Build
	for event, err := range s.Watch(c.Context, args[0]) {
		if err != nil {
			return stopped(c, err)
		}
		last = event.Build
		follower.Show(last)
	}
	if !last.State.Ended() {
		return stopped(c, failure.New(failure.Internal, "build %s is not watched any more", args[0]))
	}
	if err := s.show(last, func() {}); err != nil {
		return err
	}
	return outcome(last)
}

// stopped is err, unless it is that somebody wants to see no more.
func stopped(c *cli.Context, err error) error {
	if c.Err() != nil {
		return errInterrupted
	}
	return err
}

func (p *program) watchBuildsCommand() *cli.Command {
	return &cli.Command{
		Name: "watch-builds", Usage: "show what happens to any build, until interrupted",
		Description: "With --output json each event is a document on a line of its own.",
		Action:      p.watchBuilds,
	}
}

func (p *program) watchBuilds(c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	s, err := p.open(c.Context, c, false)
	if err != nil {
		return err
	}
	defer s.Close()
	known := map[string]bool{}
	for event, err := range s.Watch(c.Context, "") {
		if err != nil {
			if c.Err() != nil {
				return nil
			}
			return err
		}
		name := event.Build.Name
		if !known[name] && event.Build.State.Ended() { // of before
			known[name] = true
			continue
		}
		known[name] = true
		s.shown = true
		if !s.json {
			s.text.Event(event)
		} else if err := report.JSONLine(s.plain, event); err != nil {
			return failure.New(failure.Storage, "writing the output: %w", err)
		}
	}
	return nil
}
