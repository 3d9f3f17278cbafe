package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/forecast"
	"github.com/osbs-tekton/osbs/pkg/report"
)

func (p *program) graphCommand() *cli.Command {
	return &cli.Command{
		Name: commandGraph, Usage: "show which images are built on which, and which are stale", ArgsUsage: "[IMAGE]",
		Description: "With IMAGE, only what that is built on, and what is built on it. IMAGE is an ImageStreamTag (name:tag, or namespace/name:tag), the name\n" +
			"of an ImageStream, what a FROM says, or a build config. An image with several bases is shown whole once.\n" +
			"With --output json the document is described in docs/autorebuild.md.",
		Flags:  []cli.Flag{toFlag()},
		Action: p.graph,
	}
}

func (p *program) graph(c *cli.Context) error {
	args, err := arguments(c, 0, 1, "")
	if err != nil {
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
	graph, err := forecast.NewGraph(outlook, append(args, "")[0])
	if err != nil {
		return err
	}
	return d.write(graph, func(text *report.Printer) { text.Graph(graph) })
}
