package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/explain"
)

func (p *program) explainCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "say why a build was made, or why an image is rebuilt now or is not, down to the root cause", ArgsUsage: "BUILD|BUILD-CONFIG|IMAGE",
		Description: "An image is named by its ImageStream, with or without a tag, or as FROM names it. With --output json the same facts are values.",
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1, "the name of a build, of a build config or of an image")
			if err != nil {
				return err
			}
			s, err := p.open(c.Context, c, false)
			if err != nil {
				return err
			}
			defer s.Close()
			explanation, err := explain.Explain(c.Context, s, args[0])
			if err != nil {
				return err
			}
			return s.show(explanation, func() { s.text.Explanation(explanation) })
		},
	}
}
