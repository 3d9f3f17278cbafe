package main

import (
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func (p *program) importImageCommand() *cli.Command {
	return &cli.Command{
		Name: "import-image", Usage: "read the tags of an ImageStream from the registry again", ArgsUsage: "IMAGESTREAM",
		Description: "What is built on a tag that has changed is rebuilt, and shown.",
		Flags:       []cli.Flag{text("tag", "only this `TAG`")},
		Action:      p.importImage,
	}
}

func (p *program) importImage(c *cli.Context) error {
	args, err := arguments(c, 1, 1, "the name of an ImageStream")
	if err != nil {
		return err
	}
	s, err := p.open(c.Context, c, true)
	if err != nil {
		return err
	}
	defer s.Close()
	began := osbs.Build{Created: p.now()}
	imported, err := s.ImportImage(c.Context, args[0], c.String("tag"))
	if err != nil {
		return err
	}
	s.text.Import(*imported)
	rebuilds := s.followRebuilds(c.Context, began)
	return s.show(importDocument{*imported, rebuilds}, func() {})
}

// importDocument is the JSON of osbs import-image.
type importDocument struct {
	workspace.Import
	Rebuilds []osbs.Build `json:"rebuilds"`
}
