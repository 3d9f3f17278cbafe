// Command bench measures on a real cluster, and prints ratios. It has two parts:
//
//   - builds, from the creation of a run until it has ended: osbs in each layout against a plain Tekton pipeline of two Tasks (git clone,
//     then buildah), the same as one Task, and Shipwright with its buildah strategy. All build the same repositories on the same cluster in
//     one run of this program, in turns. See docs/measurements/cluster.md.
//   - autorebuilds, from the change of a base to PipelineRuns; see package autorebuild and docs/measurements/autorebuild.md.
//
// It is run by `make bench-e2e`, inside the cluster of e2e/cluster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/e2e/bench/autorebuild"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	rounds := flag.Int("rounds", 3, "how often each is measured; the median counts")
	peers := flag.String("peers", "", "directory that `cluster peers` has made")
	only := flag.String("case", "", "measure only this case: copy or runs of builds, "+strings.Join(autorebuild.Cases(), ", ")+" of autorebuilds")
	keep := flag.Bool("keep", false, "leave the namespaces; after the case size also Tekton's controller stopped")
	o := autorebuild.Options{Out: os.Stdout, Progress: os.Stderr}
	flag.Float64Var(&o.Share, "share", 1, "how many of the objects of autorebuilds are made, for a trial: 0.1 is a tenth")
	flag.DurationVar(&o.Limit, "limit", 9*time.Minute, "for the case fan-out: how long the largest may take; what has come of it until then is printed")
	flag.StringVar(&o.Use, "use", "", "for the case size: namespace that was filled and left by -keep")
	flag.IntVar(&o.RunSize, "run-size", 0, "bytes of an old PipelineRun, if more than one has without a copy of its Pipeline")
	flag.Parse()
	o.Osbs, o.Imagewatch, o.StepImages, o.Keep = variable("OSBS"), variable("IMAGEWATCH"), variable("STEP_IMAGES"), *keep
	if slices.Contains(autorebuild.Cases(), *only) {
		o.Cases = []string{*only}
		return autorebuild.Run(ctx, o)
	}
	if err := builds(ctx, *peers, *only, *rounds, *keep); err != nil || *only != "" {
		return err
	}
	return autorebuild.Run(ctx, o)
}

// builds measures those.
func builds(ctx context.Context, peers, only string, rounds int, keep bool) error {
	if peers == "" {
		return errors.New("-peers is not given")
	}
	s, err := newSite(ctx, peers)
	if err != nil {
		return err
	}
	if !keep {
		defer s.remove(context.WithoutCancel(ctx))
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if only != "" {
		s.cases = slices.DeleteFunc(s.cases, func(c buildCase) bool { return c.name != only })
	}
	table, err := s.measure(ctx, rounds)
	if err != nil {
		return err
	}
	table.print(os.Stdout)
	memory, err := s.memory(ctx)
	if err != nil {
		return err
	}
	fmt.Print(memory)
	sizes, err := s.sizes(ctx)
	if err != nil {
		return err
	}
	fmt.Print(sizes)
	return nil
}
