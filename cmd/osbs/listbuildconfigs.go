package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

func (p *program) listBuildConfigsCommand() *cli.Command {
	return &cli.Command{
		Name: "list-build-configs", Usage: "list build configs: what is built from where, and on what it is rebuilt",
		Action: func(c *cli.Context) error {
			if _, err := arguments(c, 0, 0, ""); err != nil {
				return err
			}
			s, err := p.open(c.Context, c, false)
			if err != nil {
				return err
			}
			defer s.Close()
			configs, err := s.BuildConfigs(c.Context)
			if err != nil {
				return err
			}
			if configs == nil {
				configs = []buildconfig.BuildConfig{}
			}
			return s.show(configs, func() { s.text.BuildConfigs(configs) })
		},
	}
}
