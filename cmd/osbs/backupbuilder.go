package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/tekton"
)

// keeper is an instance whose build configs and ImageStreams can be saved and brought back.
type keeper interface {
	Backup(ctx context.Context, w io.Writer) ([]tekton.Saved, error)
	Restore(ctx context.Context, r io.Reader, overwrite bool) ([]tekton.Saved, error)
}

const (
	// standardStream is what stands for stdin or stdout in place of a file.
	standardStream = "-"
	backupMode     = 0o600
)

func (p *program) backupBuilderCommand() *cli.Command {
	return &cli.Command{
		Name: "backup-builder", Usage: "save the build configs and ImageStreams of the cluster's namespace as YAML", ArgsUsage: "FILE",
		Description: "FILE is made whole or not at all; - is stdout.",
		Action:      p.backupBuilder,
	}
}

func (p *program) backupBuilder(c *cli.Context) error {
	s, instance, file, err := p.openKeeper(c)
	if err != nil {
		return err
	}
	defer s.Close()
	if file == standardStream {
		_, err := instance.Backup(c.Context, p.stdout)
		return err
	}
	pending, err := renameio.NewPendingFile(file, renameio.WithPermissions(backupMode))
	if err != nil {
		return failure.New(failure.Storage, "making the backup: %w", err)
	}
	defer func() { _ = pending.Cleanup() }() // removes what was not made whole
	saved, err := instance.Backup(c.Context, pending)
	if err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return failure.New(failure.Storage, "making the backup: %w", err)
	}
	return s.show(saved, func() { fmt.Fprintf(p.stdout, "%d build configs and ImageStreams are in %s\n", len(saved), file) })
}

func (p *program) restoreBuilderCommand() *cli.Command {
	return &cli.Command{
		Name: "restore-builder", Usage: "bring back what backup-builder saved", ArgsUsage: "FILE",
		Description: "What is there already is kept; - is stdin. The images of a restored ImageStream are imported from their registry.",
		Flags:       []cli.Flag{boolean("overwrite", "replace build configs that differ from those of the backup")},
		Action:      p.restoreBuilder,
	}
}

func (p *program) restoreBuilder(c *cli.Context) error {
	s, instance, file, err := p.openKeeper(c)
	if err != nil {
		return err
	}
	defer s.Close()
	in := io.ReadCloser(os.Stdin)
	if file != standardStream {
		if in, err = os.Open(file); err != nil {
			return failure.New(failure.Usage, "opening the backup: %w", err)
		}
	}
	defer in.Close()
	saved, restoreErr := instance.Restore(c.Context, in, c.Bool("overwrite"))
	showErr := s.show(saved, func() {
		for _, object := range saved {
			fmt.Fprintf(p.stdout, "%s %s %s\n", object.Kind, object.Name, object.Result)
		}
	})
	return errors.Join(restoreErr, showErr)
}

func (p *program) openKeeper(c *cli.Context) (*session, keeper, string, error) {
	args, err := arguments(c, 1, 1, "a file, or - for a standard stream")
	if err != nil {
		return nil, nil, "", err
	}
	s, err := p.open(c.Context, c, false)
	if err != nil {
		return nil, nil, "", err
	}
	instance, ok := s.Instance.(keeper)
	if !ok {
		s.Close()
		err := failure.New(failure.Usage, "instance %s keeps build configs and ImageStreams as files", s.config.Instance)
		return nil, nil, "", failure.WithHint(err, "copy its directory: data_dir of osbs.conf")
	}
	return s, instance, args[0], nil
}
