package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) buildLogsCommand() *cli.Command {
	return &cli.Command{
		Name: "build-logs", Usage: "show the log of a build", ArgsUsage: "BUILD",
		Flags:  []cli.Flag{boolean("follow", "go on until the build has ended", "f")},
		Action: p.buildLogs,
	}
}

func (p *program) buildLogs(c *cli.Context) error {
	args, err := arguments(c, 1, 1, "the name of a build")
	if err != nil {
		return err
	}
	s, err := p.open(c.Context, c, false)
	if err != nil {
		return err
	}
	defer s.Close()
	w := p.stdout
	if p.stdoutTTY {
		w = report.CleanWriter(w)
	}
	if s.json {
		lines := &report.Lines{}
		if err := s.Logs(c.Context, args[0], c.Bool("follow"), lines); err != nil {
			return err
		}
		return s.show(logDocument{args[0], lines.All()}, nil)
	}
	return s.Logs(c.Context, args[0], c.Bool("follow"), w)
}

// logDocument is the JSON of a log.
type logDocument struct {
	Build string   `json:"build"`
	Lines []string `json:"lines"`
}
