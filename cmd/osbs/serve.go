package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// server is an instance with a registry of its own.
type server interface {
	Serve(ctx context.Context, address string, ready func(address string)) error
}

func (p *program) serveCommand() *cli.Command {
	return &cli.Command{
		Name: "serve", Usage: "serve the images of the local instance to podman, skopeo and others, until interrupted",
		Description: "The registry can be reached from this machine only, and only pulled from.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "address", Usage: "`HOST:PORT` of this machine to listen on; port 0 is any that is free", Value: "127.0.0.1:5000"},
		},
		Action: p.serve,
	}
}

func (p *program) serve(c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	s, err := p.open(c.Context, c, false)
	if err != nil {
		return err
	}
	defer s.Close()
	instance, ok := s.Instance.(server)
	if !ok {
		return failure.New(failure.Usage, "instance %s has no registry of its own", s.config.Instance)
	}
	return instance.Serve(c.Context, c.String("address"), func(address string) {
		_ = s.show(map[string]string{"address": address}, func() {
			fmt.Fprintf(p.stdout, "serving on %s until interrupted, for example\n  podman pull --tls-verify=false %s/NAME:TAG\n"+
				"  skopeo inspect --tls-verify=false docker://%s/NAME:TAG\n", address, address, address)
		})
	})
}
