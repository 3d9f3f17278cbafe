package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/subject"
)

// pauser is an instance in which builds begin without a command.
type pauser interface {
	Pause(ctx context.Context, user string) error
	Resume(ctx context.Context) error
	Idle(ctx context.Context, ended func(osbs.Build)) error
}

func (p *program) pauseBuildsCommand() *cli.Command {
	return &cli.Command{
		Name: "pause-builds", ArgsUsage: "[BUILD-CONFIG|IMAGE]",
		Usage: "let no build begin on the cluster, and wait until those that run have ended; or put off the autorebuilds of one image",
		Description: "Without an argument, builds that are started by other means than osbs fail at their lock stage; rebuilds are put off until builds\n" +
			"are resumed. With one, only the autorebuilds of that build config are put off: it is named, or an image is that it builds. What\n" +
			"runs goes on, and nothing is waited for.",
		Flags:  []cli.Flag{boolean("no-wait", "do not wait for the builds that run")},
		Action: p.pauseBuilds,
	}
}

func (p *program) pauseBuilds(c *cli.Context) error {
	if c.NArg() > 0 {
		return p.pauseOne(c)
	}
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
		Name: "resume-builds", Usage: "end what pause-builds began", ArgsUsage: "[BUILD-CONFIG|IMAGE]",
		Description: "What was missed is rebuilt. On the local instance, where only an argument has a meaning, this command does it and shows it.",
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return p.resumeOne(c)
			}
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
		err := failure.New(failure.Usage, "nothing runs on instance %s unless a command does: there is nothing to pause", s.config.Instance)
		return nil, nil, failure.WithHint(err, "name an image or a build config to put off its autorebuilds")
	}
	return s, instance, nil
}

// pausedOneDocument is the JSON of osbs pause-builds and resume-builds for one build config.
type pausedOneDocument struct {
	BuildConfig string `json:"buildConfig"`
	Paused      bool   `json:"paused"`
	// Rebuilds are those that were put off, on the local instance.
	Rebuilds []osbs.Build `json:"rebuilds"`
}

func (p *program) pauseOne(c *cli.Context) error {
	s, name, err := p.openOne(c)
	if err != nil {
		return err
	}
	defer s.Close()
	changed, err := s.SetPaused(c.Context, name, true)
	if err != nil {
		return err
	}
	return s.show(pausedOneDocument{name, true, []osbs.Build{}}, func() {
		already := ""
		if !changed {
			already = " already"
		}
		fmt.Fprintf(p.stdout, "autorebuilds of %s are paused%s; osbs resume-builds %s ends that\n", name, already, name)
	})
}

func (p *program) resumeOne(c *cli.Context) error {
	s, name, err := p.openOne(c)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.SetPaused(c.Context, name, false); err != nil {
		return err
	}
	s.text.Line("autorebuilds of " + name + " may begin again")
	rebuilds, err := s.startDue(c.Context)
	if err != nil {
		return err
	}
	return s.show(pausedOneDocument{name, false, rebuilds}, func() {})
}

// starter is an instance on which rebuilds begin only when a command starts them.
type starter interface {
	RebuildPending(ctx context.Context) ([]string, error)
}

// startDue starts what is due, if nobody else does, and shows it until it has ended.
func (s *session) startDue(ctx context.Context) ([]osbs.Build, error) {
	instance, ok := s.Instance.(starter)
	if !ok {
		return []osbs.Build{}, nil
	}
	began := osbs.Build{Created: s.now()}
	if _, err := instance.RebuildPending(ctx); err != nil {
		return nil, err
	}
	return s.followRebuilds(ctx, began), nil
}

// openOne opens the instance and finds the build config that the argument names.
func (p *program) openOne(c *cli.Context) (*session, string, error) {
	args, err := arguments(c, 1, 1, "the name of a build config or of an image")
	if err != nil {
		return nil, "", err
	}
	s, err := p.open(c.Context, c, true)
	if err != nil {
		return nil, "", err
	}
	_, name, err := s.findBuilt(c.Context, args[0])
	if err != nil {
		s.Close()
		return nil, "", err
	}
	return s, name, nil
}

// findBuilt is the build config that the argument names, and how things stand. One that is malformed cannot be changed.
func (s *session) findBuilt(ctx context.Context, argument string) (*osbs.Outlook, string, error) {
	outlook, err := s.Outlook(ctx)
	if err != nil {
		return nil, "", err
	}
	found, err := subject.Find(outlook, argument)
	switch {
	case err != nil:
		return nil, "", err
	case found.BuildConfig == "":
		return nil, "", failure.New(failure.NotFound, "no build config builds %s: it is only a base here", found.Tag)
	case outlook.Images[found.BuildConfig].Malformed != "":
		return nil, "", failure.New(failure.InvalidInput, "%s", outlook.Images[found.BuildConfig].Malformed)
	}
	return outlook, found.BuildConfig, nil
}
