package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func (p *program) cancelBuildCommand() *cli.Command {
	return &cli.Command{
		Name: "cancel-build", Usage: "end a build, and wait until it has ended", ArgsUsage: "BUILD",
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
			if err := s.Cancel(c.Context, args[0]); err != nil {
				return err
			}
			b, err := s.Get(c.Context, args[0])
			if err != nil {
				return err
			}
			return s.show(b, func() { fmt.Fprintf(p.stdout, "build %s %s\n", b.Name, b.State) })
		},
	}
}
