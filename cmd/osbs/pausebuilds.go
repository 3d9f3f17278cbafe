package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// pauser is an instance in which builds begin without a command.
type pauser interface {
	Pause(ctx context.Context, user string) error
	Resume(ctx context.Context) error
	Idle(ctx context.Context, ended func(osbs.Build)) error
}

func (p *program) pauseBuildsCommand() *cli.Command {
	return &cli.Command{
		Name: "pause-builds", Usage: "let no build begin on the cluster, and wait until those that run have ended",
		Description: "Builds that are started by other means than osbs fail at their lock stage; rebuilds are put off until builds are resumed.",
		Flags:       []cli.Flag{boolean("no-wait", "do not wait for the builds that run")},
		Action:      p.pauseBuilds,
	}
}

func (p *program) pauseBuilds(c *cli.Context) error {
	s, instance, err := p.openPauser(c)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := instance.Pause(c.Context, s.userName()); err != nil {
		return err
	}
	if !c.Bool("no-wait") {
		err = instance.Idle(c.Context, func(b osbs.Build) { fmt.Fprintf(p.stderr, "build %s %s\n", b.Name, b.State) })
		if err != nil {
			return stopped(c, err)
		}
	}
	return s.show(pausedDocument{true}, func() { fmt.Fprintln(p.stdout, "builds are paused; osbs resume-builds ends that") })
}

func (p *program) resumeBuildsCommand() *cli.Command {
	return &cli.Command{
		Name: "resume-builds", Usage: "end what pause-builds began",
		Action: func(c *cli.Context) error {
			s, instance, err := p.openPauser(c)
			if err != nil {
				return err
			}
			defer s.Close()
			if err := instance.Resume(c.Context); err != nil {
				return err
			}
			return s.show(pausedDocument{false}, func() { fmt.Fprintln(p.stdout, "builds may begin again") })
		},
	}
}

// pausedDocument is the JSON of osbs pause-builds and resume-builds.
type pausedDocument struct {
	Paused bool `json:"paused"`
}

func (p *program) openPauser(c *cli.Context) (*session, pauser, error) {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return nil, nil, err
	}
	s, err := p.open(c.Context, c, false)
	if err != nil {
		return nil, nil, err
	}
	instance, ok := s.Instance.(pauser)
	if !ok {
		s.Close()
		return nil, nil, failure.New(failure.Usage, "nothing runs on instance %s unless a command does: there is nothing to pause", s.config.Instance)
	}
	return s, instance, nil
}
