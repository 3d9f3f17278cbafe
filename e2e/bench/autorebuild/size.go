package autorebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What a large namespace has.
const (
	manyConfigs = 10_000
	manyStreams = 10_000
	oldRuns     = 50_000
	// fillLimit bounds how long it takes to make them.
	fillLimit = 40 * time.Minute
	// idle is how long the watcher's cost is taken while nothing happens.
	idle = 35 * time.Second
)

const (
	tektonNamespace  = "tekton-pipelines"
	tektonController = "tekton-pipelines-controller"
	// excluded is the label of a namespace that Tekton's webhooks leave alone.
	excluded = "webhooks.knative.dev/exclude"
)

// size measures the watcher on a namespace with very many objects. While they are made, and afterwards, Tekton's controller does not run: it
// would read all of them, which is not what is measured, and takes memory.
func size(ctx context.Context, s *site) error {
	resume, err := s.holdTekton(ctx)
	if err != nil {
		return err
	}
	if !s.Keep {
		defer resume()
	}
	if s.Use == "" {
		if err := s.fill(ctx); err != nil {
			return err
		}
	}
	prefix := fmt.Sprintf("w%d", time.Now().Unix())
	if err := s.work(ctx, prefix); err != nil {
		return err
	}
	bytes, err := s.runSize()
	if err != nil {
		return err
	}
	url, err := s.url(ctx, listener)
	if err != nil {
		return err
	}
	w, err := s.watch(ctx, url)
	if err != nil {
		return err
	}
	defer w.stop()
	settled, peak, err := w.memory()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\nthe watcher with %d build configs, %d ImageStreams, %d old PipelineRuns of %.1f KiB\n", s.scaled(manyConfigs), s.scaled(manyStreams), s.scaled(oldRuns), float64(bytes)/1024)
	fmt.Fprintf(s.Out, "  start to ready %.1f s; memory %d MiB, at most %d MiB\n", w.toReady.Seconds(), settled>>20, peak>>20)
	if err := s.atRest(ctx, w); err != nil {
		return err
	}
	return s.atWork(ctx, w, prefix)
}

// work makes what atWork changes: bases with one dependent, and a base with many.
func (s *site) work(ctx context.Context, prefix string) error {
	if err := s.pairs(ctx, prefix+"-one", oneByOne); err != nil {
		return err
	}
	if err := s.move(ctx, prefix+"-base", 1); err != nil {
		return err
	}
	return s.createConfigs(ctx, prefix, s.scaled(some), prefix+"-base")
}

// atRest says what the watcher costs while nothing happens.
func (s *site) atRest(ctx context.Context, w *watcher) error {
	before, err := w.metrics(ctx)
	if err != nil {
		return err
	}
	time.Sleep(idle)
	after, err := w.metrics(ctx)
	if err != nil {
		return err
	}
	now, _, err := w.memory()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "  at rest: %.0f turns in %.0f s, CPU %.2f s; memory %d MiB\n", after["planning_seconds_count"]-before["planning_seconds_count"], idle.Seconds(),
		after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"], now>>20)
	return nil
}

// atWork says what single changes, and then the change of a base with many dependents, cost there.
func (s *site) atWork(ctx context.Context, w *watcher, prefix string) error {
	before, err := w.metrics(ctx)
	if err != nil {
		return err
	}
	times, err := s.changesUnder(ctx, prefix+"-one", oneByOne)
	if err != nil {
		return err
	}
	after, err := w.metrics(ctx)
	if err != nil {
		return err
	}
	turns := after["planning_seconds_count"] - before["planning_seconds_count"]
	fmt.Fprintf(s.Out, "  one change to its PipelineRun: median %.2f s, worst %.2f s; %.1f turns for each, %.1f ms planning and %.1f ms CPU in a turn\n",
		median(times).Seconds(), worst(times).Seconds(), turns/oneByOne, 1000*(after["planning_seconds_sum"]-before["planning_seconds_sum"])/turns,
		1000*(after["process_cpu_seconds_total"]-before["process_cpu_seconds_total"])/turns)
	f := flow{what: "osbs, in the large namespace", replicas: 1, asked: s.scaled(some)}
	if err := s.fan(ctx, &f, w, prefix+"-base", someLimit); err != nil {
		return err
	}
	printHead(s.Out)
	f.print(s.Out, f)
	now, peak, err := w.memory()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "  memory afterwards %d MiB, at most %d MiB\n", now>>20, peak>>20)
	return nil
}

func worst(times []time.Duration) time.Duration {
	out := times[0]
	for _, t := range times {
		out = max(out, t)
	}
	return out
}

// holdTekton stops Tekton's controller until resume is called.
func (s *site) holdTekton(ctx context.Context) (resume func(), err error) {
	scale := func(ctx context.Context, n int) error {
		deployments := s.kube.AppsV1().Deployments(tektonNamespace)
		if _, err := deployments.Patch(ctx, tektonController, types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n), metav1.PatchOptions{}); err != nil {
			return err
		}
		return until(ctx, "Tekton's controller", func() (bool, error) {
			d, err := deployments.Get(ctx, tektonController, metav1.GetOptions{})
			return err == nil && d.Status.Replicas == int32(n) && d.Status.ReadyReplicas == int32(n), nil
		})
	}
	if err := scale(ctx, 0); err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ready)
		defer cancel()
		if err := scale(ctx, 1); err != nil {
			s.say("Tekton's controller does not run again: %v", err)
		}
	}, nil
}

// fill makes all objects but those of work: groups of build configs that share a base, each build config with a stream of its own, and old
// PipelineRuns.
func (s *site) fill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fillLimit)
	defer cancel()
	if err := s.exclude(ctx, true); err != nil {
		return err
	}
	configs, runs := s.scaled(manyConfigs)-s.scaled(some)-oneByOne, s.scaled(oldRuns)
	groups := max(1, configs/s.scaled(some))
	streams := s.scaled(manyStreams) - groups - oneByOne - 1
	group := func(i int) string { return member("group", i%groups) }
	s.say("making %d build configs, %d ImageStreams", configs, streams)
	if err := each(ctx, groups, func(ctx context.Context, i int) error { return s.move(ctx, group(i), 1) }); err != nil {
		return err
	}
	if err := each(ctx, streams, func(ctx context.Context, i int) error { return s.move(ctx, member("app", i), 1) }); err != nil {
		return err
	}
	if err := each(ctx, configs, func(ctx context.Context, i int) error { return s.createOld(ctx, member("app", i), group(i)) }); err != nil {
		return err
	}
	s.say("making %d old PipelineRuns", runs)
	err := each(ctx, runs, func(ctx context.Context, i int) error {
		if i%5000 == 0 {
			s.say("%d PipelineRuns", i)
		}
		run, err := s.oldRun(i, member("app", i%configs), group(i%configs))
		if err != nil {
			return err
		}
		return s.createRun(ctx, run)
	})
	if err != nil {
		return err
	}
	return s.exclude(ctx, false)
}

// runSize is how many bytes an old PipelineRun has.
func (s *site) runSize() (int, error) {
	sample, err := s.oldRun(0, member("app", 0), member("group", 0))
	if err != nil {
		return 0, err
	}
	text, err := json.Marshal(sample)
	return len(text), err
}

// exclude has Tekton's webhooks leave the namespace alone, or not: what is made here is as Tekton left it.
func (s *site) exclude(ctx context.Context, on bool) error {
	value := "null"
	if on {
		value = `"true"`
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, excluded, value)
	_, err := s.kube.CoreV1().Namespaces().Patch(ctx, s.name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
