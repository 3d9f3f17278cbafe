// Command bench measures builds on a real cluster, from the creation of a run until it has ended: osbs in each layout against a plain Tekton
// pipeline of two Tasks (git clone, then buildah), the same as one Task, and Shipwright with its buildah strategy. All build the same
// repositories on the same cluster in one run of this program, in turns. It prints ratios. See docs/measurements/cluster.md.
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
	"syscall"
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
	only := flag.String("case", "", "measure only this case: copy or runs")
	keep := flag.Bool("keep", false, "leave the namespace")
	flag.Parse()
	if *peers == "" {
		return errors.New("-peers is not given")
	}
	s, err := newSite(ctx, *peers)
	if err != nil {
		return err
	}
	if !*keep {
		defer s.remove(context.WithoutCancel(ctx))
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if *only != "" {
		s.cases = slices.DeleteFunc(s.cases, func(c buildCase) bool { return c.name != *only })
	}
	table, err := s.measure(ctx, *rounds)
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
