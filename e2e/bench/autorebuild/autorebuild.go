// Package autorebuild measures, on a real cluster, how fast a change of an ImageStream becomes PipelineRuns, and what the watcher costs on a
// namespace with very many objects. PipelineRuns are made as Pending: nothing is built. The peer is an EventListener without a watcher's
// choice: it has a Trigger for each of 1,000 build configs, and selects among them by CEL.
package autorebuild

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"time"
)

// Options say what is measured with what.
type Options struct {
	// Osbs and Imagewatch are the programs, StepImages a file for `osbs generate --images`.
	Osbs, Imagewatch, StepImages string
	// Cases are those of Cases() to measure; none means all.
	Cases []string
	// Share scales all numbers of objects, for a trial; 1 is what the documents speak of.
	Share float64
	// RunSize is about how many bytes each old PipelineRun has, at least what one without its Pipeline has.
	RunSize int
	// Limit bounds the fan-out to the most dependents: what has come of it until then is printed.
	Limit time.Duration
	// Keep leaves the namespaces, and with a large one Tekton's controller held. Use is a large one that was left so.
	Keep bool
	Use  string
	// Out is for results, Progress for people who wait.
	Out, Progress io.Writer
}

// Names of the cases.
const (
	caseLatency = "latency"
	caseFanOut  = "fan-out"
	caseSize    = "size"
)

// Cases are what can be measured: the time from one change to its PipelineRun, many dependents of one base, and a large namespace.
func Cases() []string { return []string{caseLatency, caseFanOut, caseSize} }

// Run measures, and prints as it goes.
func Run(ctx context.Context, o Options) error {
	if len(o.Cases) == 0 {
		o.Cases = Cases()
	}
	for _, c := range []struct {
		name    string
		measure func(context.Context, *site) error
	}{{caseLatency, latency}, {caseFanOut, fanOut}, {caseSize, size}} {
		if !slices.Contains(o.Cases, c.name) {
			continue
		}
		if err := o.inNamespace(ctx, c.name, c.measure); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// inNamespace measures in a namespace of its own.
func (o Options) inNamespace(ctx context.Context, name string, measure func(context.Context, *site) error) error {
	dir, err := os.MkdirTemp("", "osbs-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSite(ctx, o, name, dir)
	if err != nil {
		return err
	}
	if !o.Keep && o.Use == "" {
		defer s.remove(context.WithoutCancel(ctx))
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	return measure(ctx, s)
}

// scaled is the share of n, at least 1.
func (o Options) scaled(n int) int { return max(1, int(math.Round(float64(n)*o.Share))) }
