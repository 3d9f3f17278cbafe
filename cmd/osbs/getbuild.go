package main

import "github.com/urfave/cli/v2"

func (p *program) getBuildCommand() *cli.Command {
	return &cli.Command{
		Name: "get-build", Usage: "show a build: why it ran, its stages, bases, tags and digests", ArgsUsage: "BUILD",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1, "the name of a build")
			if err != nil {
				return err
			}
			s, err := p.open(c.Context, c, false)
			if err != nil {
				return err
			}
			defer s.Close()
			b, err := s.Get(c.Context, args[0])
			if err != nil {
				return err
			}
			return s.show(b, func() { s.text.Build(*b) })
		},
	}
}
