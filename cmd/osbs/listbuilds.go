package main

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) listBuildsCommand() *cli.Command {
	return &cli.Command{
		Name: "list-builds", Usage: "list builds, the newest first", ArgsUsage: "[FILTER]",
		Description: "FILTER is a part of the build's name, of its build config's, of its git URL or of its image.",
		Flags: []cli.Flag{
			boolean("running", "only builds that have not ended"),
			text("columns", "`COLUMNS` to show, with commas between them: "+strings.Join(report.Columns(), ", ")),
			&cli.IntFlag{Name: "limit", Usage: "show at most so many; 0 is all"},
		},
		Action: p.listBuilds,
	}
}

func (p *program) listBuilds(c *cli.Context) error {
	args, err := arguments(c, 0, 1, "")
	if err != nil {
		return err
	}
	limit := c.Int("limit")
	if limit < 0 {
		return failure.New(failure.Usage, "--limit %d is negative", limit)
	}
	s, err := p.open(c.Context, c, false)
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := s.List(c.Context, osbs.Filter{Running: c.Bool("running")})
	if err != nil {
		return err
	}
	builds := []osbs.Build{}
	for _, b := range all {
		if (limit == 0 || len(builds) < limit) && matches(b, args) {
			builds = append(builds, b)
		}
	}
	if s.json {
		return s.show(builds, nil)
	}
	var columns []string
	if given := c.String("columns"); given != "" {
		columns = strings.FieldsFunc(strings.ToLower(given), func(r rune) bool { return r == ',' || r == ' ' })
	}
	return s.text.Builds(builds, columns)
}

func matches(b osbs.Build, filter []string) bool {
	if len(filter) == 0 {
		return true
	}
	for _, text := range []string{b.Name, b.BuildConfig, b.Request.GitURL, report.Image(b)} {
		if strings.Contains(text, filter[0]) {
			return true
		}
	}
	return false
}
