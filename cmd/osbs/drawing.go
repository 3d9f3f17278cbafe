package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/diagram"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/report"
)

// The further values of --output of commands that draw.
const (
	outputMermaid = "mermaid"
	outputDOT     = "dot"
	outputSVG     = "svg"
)

// The commands that draw.
const (
	commandPlan  = "plan"
	commandGraph = "graph"
)

// drawingOutputs are the values of --output that they know.
func drawingOutputs() []string {
	return []string{outputText, outputJSON, outputMermaid, outputDOT, outputSVG}
}

// drawable is a document that can be shown, and drawn.
type drawable interface {
	Diagram() *diagram.Diagram
}

// drawing is a session of a command that draws.
type drawing struct {
	*session
	format string
	// to is the file that the result goes to; empty or - is stdout.
	to string
}

func toFlag() cli.Flag {
	return text(flagTo, "`FILE` to write to; - is standard output")
}

func (p *program) openDrawing(c *cli.Context) (*drawing, error) {
	format, err := p.outputOf(c, drawingOutputs()...)
	if err != nil {
		return nil, err
	}
	s, err := p.openAs(c.Context, c, false, format != outputText)
	if err != nil {
		return nil, err
	}
	return &drawing{session: s, format: format, to: c.String(flagTo)}, nil
}

// write brings a document to where the command line wants it; text shows it to people.
func (d *drawing) write(document drawable, text func(*report.Printer)) error {
	if d.to == "" || d.to == standardStream {
		if d.format == outputText {
			text(d.text)
			return nil
		}
		d.shown = true
		if err := d.render(d.plain, document, text); err != nil && !errors.Is(err, os.ErrClosed) {
			return failure.New(failure.Storage, "writing the output: %w", err)
		}
		return nil
	}
	var out bytes.Buffer
	if err := d.render(&out, document, text); err != nil {
		return err
	}
	if err := renameio.WriteFile(d.to, out.Bytes(), drawingMode); err != nil {
		return failure.New(failure.Storage, "writing %s: %w", d.to, err)
	}
	return nil
}

// drawingMode lets others look at a drawing, as far as the umask allows.
const drawingMode = 0o666

func (d *drawing) render(w io.Writer, document drawable, text func(*report.Printer)) error {
	switch d.format {
	case outputJSON:
		return report.JSON(w, document)
	case outputMermaid:
		return document.Diagram().Mermaid(w)
	case outputDOT:
		return document.Diagram().DOT(w)
	case outputSVG:
		return document.Diagram().SVG(w)
	default:
		text(report.New(w, report.Options{Now: d.now}))
		return nil
	}
}
