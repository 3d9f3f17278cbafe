package autorebuild

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	// oneByOne is how often the time of a single change is taken, deadline how long it may take.
	oneByOne = 20
	deadline = 2 * time.Minute
)

// latency measures one change after the other, each of a base with one dependent, and the same build asked for at an EventListener that
// selects among 1,000 Triggers.
func latency(ctx context.Context, s *site) error {
	url, err := s.url(ctx, listener)
	if err != nil {
		return err
	}
	peer, err := s.selecting(ctx)
	if err != nil {
		return err
	}
	times, err := s.changes(ctx, url, "one", oneByOne)
	if err != nil {
		return err
	}
	theirs, lost, err := s.eventsOneByOne(ctx, peer, oneByOne/4)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\none change, one dependent: seconds until its PipelineRun exists\n")
	fmt.Fprintf(s.Out, "  %-58s %8s %8s %8s %8s\n", "", "median", "best", "worst", "ratio")
	printTimes(s, "ImageStream change to PipelineRun, one Trigger", times, times)
	what := fmt.Sprintf("event to PipelineRun, selected among %d Triggers by CEL", s.scaled(selected))
	if len(theirs) > 0 {
		printTimes(s, what, theirs, times)
	}
	fmt.Fprintf(s.Out, "  %s: %d of %d events accepted and lost\n", what, lost, lost+len(theirs))
	return nil
}

// printTimes prints a line; the ratio is to the median of the reference.
func printTimes(s *site, what string, times, reference []time.Duration) {
	m := median(times)
	fmt.Fprintf(s.Out, "  %-58s %8.2f %8.2f %8.2f %8.2f\n", what, m.Seconds(), slices.Min(times).Seconds(), slices.Max(times).Seconds(), m.Seconds()/median(reference).Seconds())
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// changes moves n bases, one after the other, under a watcher that is started for it.
func (s *site) changes(ctx context.Context, url, prefix string, n int) ([]time.Duration, error) {
	if err := s.pairs(ctx, prefix, n); err != nil {
		return nil, err
	}
	w, err := s.watch(ctx, url)
	if err != nil {
		return nil, err
	}
	defer w.stop()
	return s.changesUnder(ctx, prefix, n)
}

// pairs makes n bases with one dependent each.
func (s *site) pairs(ctx context.Context, prefix string, n int) error {
	return each(ctx, n, func(ctx context.Context, i int) error {
		base := member(prefix+"-base", i)
		if err := s.move(ctx, base, 1); err != nil {
			return err
		}
		return s.createConfig(ctx, member(prefix, i), base)
	})
}

// changesUnder moves the bases of pairs, one after the other, under a watcher that runs.
func (s *site) changesUnder(ctx context.Context, prefix string, n int) ([]time.Duration, error) {
	o, err := s.observe(ctx)
	if err != nil {
		return nil, err
	}
	defer o.stop()
	times := make([]time.Duration, 0, n)
	for i := range n {
		began := time.Now()
		if err := s.move(ctx, member(prefix+"-base", i), 2); err != nil {
			return nil, err
		}
		at, err := o.wait(ctx, member(prefix, i), deadline)
		if err != nil {
			return nil, err
		}
		times = append(times, at.Sub(began))
		s.say("change %d: %.2f s", i, at.Sub(began).Seconds())
		time.Sleep(pauseBetween)
	}
	return times, nil
}

// pauseBetween changes lets what follows the one before come to its end.
const pauseBetween = 500 * time.Millisecond
