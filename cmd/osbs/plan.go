package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/forecast"
	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) planCommand() *cli.Command {
	return &cli.Command{
		Name: commandPlan, Usage: "show what is rebuilt, in which order and why, or what would be if a base moved",
		Description: "Whatever is in one wave can be built when the wave before is. What is held back comes last, with what holds it. The time that a build\n" +
			"took is that of the newest one that succeeded and is still known.\n" +
			"IMAGE is an ImageStreamTag (name:tag, or namespace/name:tag) or what a FROM says.\n" +
			"With --output json the document is described in docs/autorebuild.md.",
		Flags:  []cli.Flag{text(flagBase, "say what would be rebuilt if `IMAGE[@DIGEST]` moved, and nothing else were stale"), toFlag()},
		Action: p.plan,
	}
}

func (p *program) plan(c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	d, err := p.openDrawing(c)
	if err != nil {
		return err
	}
	defer d.Close()
	outlook, err := d.Outlook(c.Context)
	if err != nil {
		return err
	}
	var plan *forecast.Plan
	if base := c.String(flagBase); base != "" {
		plan, err = forecast.NewPreview(outlook, base, p.now())
	} else {
		plan = forecast.NewPlan(outlook, p.now())
	}
	if err != nil {
		return err
	}
	return d.write(plan, func(text *report.Printer) { text.Rebuilds(plan) })
}
