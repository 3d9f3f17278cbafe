package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// system is something that builds images.
type system struct {
	name string
	// run is the object that makes it build a case, for the nth time.
	run func(c buildCase, n int) string
}

// table has the wall times of all systems, by case and system.
type table struct {
	systems []system
	cases   []buildCase
	times   map[string]map[string][]time.Duration
}

// measure builds every case with every system, in turns, so that what slows the machine for a while slows all.
func (s *site) measure(ctx context.Context, rounds int) (*table, error) {
	t := &table{systems: s.systems(), cases: s.cases, times: map[string]map[string][]time.Duration{}}
	for _, c := range t.cases {
		t.times[c.name] = map[string][]time.Duration{}
		// The first round brings the images onto the node, and does not count.
		for round := range rounds + 1 {
			for _, system := range t.systems {
				took, err := s.build(ctx, system, c, round)
				if err != nil {
					return nil, fmt.Errorf("%s builds %s: %w", system.name, c.name, err)
				}
				fmt.Fprintf(os.Stderr, "%s, round %d: %-28s %6.2f s\n", c.name, round, system.name, took.Seconds())
				if round > 0 {
					t.times[c.name][system.name] = append(t.times[c.name][system.name], took)
				}
			}
		}
	}
	return t, nil
}

// build creates a run, waits for its end, and removes it with its pods and volumes, so that they do not weigh on the next.
func (s *site) build(ctx context.Context, system system, c buildCase, n int) (time.Duration, error) {
	object := system.run(c, n)
	start := time.Now()
	name, err := s.kubectl(ctx, object, "create", "-f", "-", "-o", "name")
	if err != nil {
		return 0, err
	}
	name = strings.TrimSpace(name)
	if _, err := s.kubectl(ctx, "", "wait", "--for=jsonpath={.status.completionTime}", "--timeout=15m", name); err != nil {
		return 0, err
	}
	took := time.Since(start)
	if err := s.succeeded(ctx, name); err != nil {
		return 0, err
	}
	_, err = s.kubectl(ctx, "", "delete", "--wait", name)
	return took, err
}

// succeeded is the reason why a run did not.
func (s *site) succeeded(ctx context.Context, name string) error {
	out, err := s.kubectl(ctx, "", "get", name, "-o", "json")
	if err != nil {
		return err
	}
	var run struct {
		Status struct {
			Conditions []struct{ Type, Status, Reason, Message string }
		}
	}
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		return err
	}
	for _, c := range run.Status.Conditions {
		if c.Type == "Succeeded" && c.Status != "True" {
			run := name[strings.Index(name, "/")+1:]
			logs, _ := s.kubectl(ctx, "", "logs", "--all-containers", "--tail=40", "-l", "tekton.dev/taskRun,tekton.dev/pipelineRun="+run)
			if logs == "" {
				logs, _ = s.kubectl(ctx, "", "logs", "--all-containers", "--tail=40", "-l", "tekton.dev/taskRun,buildrun.shipwright.io/name="+run)
			}
			return fmt.Errorf("%s ended with %s: %s\n%s", name, c.Reason, c.Message, logs)
		}
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// reference is what the ratios compare with.
func (t *table) reference() string { return t.systems[len(t.systems)-1].name }

// print writes the medians, and the ratio of each to the plain pipeline of two Tasks and to Shipwright.
func (t *table) print(w io.Writer) {
	for _, c := range t.cases {
		fmt.Fprintf(w, "\n%s: %s\n", c.name, c.what)
		fmt.Fprintf(w, "  %-28s %9s %9s %12s %14s\n", "", "median s", "best s", "/ plain two", "/ "+t.reference())
		for _, s := range t.systems {
			times := t.times[c.name][s.name]
			m := median(times).Seconds()
			fmt.Fprintf(w, "  %-28s %9.2f %9.2f %12.2f %14.2f\n", s.name, m, slices.Min(times).Seconds(),
				m/median(t.times[c.name][plainTwo]).Seconds(), m/median(t.times[c.name][t.reference()]).Seconds())
		}
	}
}
