package autorebuild

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What is fanned out: this many build configs of one base, at an EventListener with one pod and with more.
const (
	some, many = 1000, 10_000
	replicas   = 4
	// inFlight is the watcher's default, for one pod of the EventListener. For a quicker one it is manyInFlight, and the watcher may make
	// manyRequests to the API server in a second: an event costs it about four.
	inFlight     = 8
	manyInFlight = 48
	manyRequests = 200
	// At the rates that are hoped for, the small fan-outs take 200 s and the large one, which Options.Limit bounds, 500 s.
	someLimit = 5 * time.Minute
	// peerLimit bounds what the EventListener that selects is given.
	peerLimit = 2 * time.Minute
	// after a fan-out it is looked for so long whether more comes than was asked for.
	quiet = 5 * time.Second
)

// flow is what came of asking for many builds.
type flow struct {
	what     string
	replicas int
	asked    int
	// created build configs have a PipelineRun, twice of them more than one. took is until the last of them.
	created, twice int
	took           time.Duration
	// cpu is the time that all of the machine's processors have worked, watcher that of the watcher; peak is its memory in bytes.
	cpu, watcher float64
	peak         int64
}

func (f *flow) rate() float64 {
	if f.took <= 0 {
		return 0
	}
	return float64(f.created) / f.took.Seconds()
}

// measure asks, and counts until all are created or the limit is over.
func (f *flow) measure(ctx context.Context, o *observer, limit time.Duration, ask func() error) error {
	before, err := machineCPU()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := ask(); err != nil {
		return err
	}
	if err := o.waitAll(ctx, f.asked, limit-time.Since(began)); err != nil {
		return err
	}
	after, err := machineCPU()
	if err != nil {
		return err
	}
	f.cpu = after - before
	created, _, last, _ := o.seen()
	f.created, f.took = created, last.Sub(began)
	if created < f.asked {
		f.took = time.Since(began)
	}
	time.Sleep(quiet)
	_, f.twice, _, err = o.seen()
	return err
}

// fanOut moves bases with many dependents, and prints what came of each.
func fanOut(ctx context.Context, s *site) error {
	url, err := s.url(ctx, listener)
	if err != nil {
		return err
	}
	printHead(s.Out)
	var reference flow
	for i, measure := range []func() (flow, error){
		func() (flow, error) { return s.fanOutOf(ctx, url, "a", some, 1, false, someLimit) },
		func() (flow, error) { return s.fanOutOf(ctx, url, "b", some, replicas, true, someLimit) },
		func() (flow, error) { return s.quickFanOut(ctx, url) },
		func() (flow, error) { return s.fanOutOf(ctx, url, "d", many, replicas, true, s.Limit) },
		func() (flow, error) { return s.peersFanOut(ctx) },
	} {
		f, err := measure()
		if err != nil {
			return err
		}
		if i == 0 {
			reference = f
		}
		f.print(s.Out, reference)
	}
	return nil
}

// peersFanOut asks the EventListener that selects for a few builds at once: more would take too long.
func (s *site) peersFanOut(ctx context.Context) (flow, error) {
	peer, err := s.selecting(ctx)
	if err != nil {
		return flow{}, err
	}
	f, err := s.eventsAtOnce(ctx, peer, s.scaled(selected)/40+1, peerLimit)
	if err != nil {
		return f, err
	}
	return f, s.all.Resource(eventListeners).Namespace(s.name).Delete(ctx, selectingOne, metav1.DeleteOptions{})
}

// quickFanOut lets the EventListener make more requests, and takes that back.
func (s *site) quickFanOut(ctx context.Context, url string) (flow, error) {
	if err := s.setQPS(ctx, strconv.Itoa(quickQPS)); err != nil {
		return flow{}, err
	}
	f, err := s.fanOutOf(ctx, url, "c", some, 1, true, someLimit)
	if err != nil {
		return f, err
	}
	f.what = fmt.Sprintf("osbs, kube-api-qps %d", quickQPS)
	return f, s.setQPS(ctx, "")
}

// quickQPS is how many requests to the API server the EventListener may make in a second instead of 5.
const quickQPS = 50

// setQPS bounds the EventListener's requests, which it reads when it starts; with an empty text by what its program says.
func (s *site) setQPS(ctx context.Context, text string) error {
	secrets := s.kube.CoreV1().Secrets(s.name)
	secret, err := secrets.Get(ctx, webhookSecret, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if secret.Data["kube-api-qps"] = []byte(text); text == "" {
		delete(secret.Data, "kube-api-qps")
	}
	if _, err := secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
		return err
	}
	pods := s.kube.CoreV1().Pods(s.name)
	return pods.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: podsOf(listener)})
}

func printHead(w io.Writer) {
	fmt.Fprintf(w, "\nmany builds at once: PipelineRuns created\n")
	fmt.Fprintf(w, "  %-40s %8s %7s %8s %6s %8s %7s %8s %17s %13s %9s\n", "", "replicas", "asked", "created", "twice", "s", "/ s", "ratio", "machine CPU s/run", "watcher CPU s", "peak MiB")
}

// print prints a line; the ratio is to the rate of the reference.
func (f flow) print(w io.Writer, reference flow) {
	fmt.Fprintf(w, "  %-40s %8d %7d %8d %6d %8.1f %7.2f %8.2f %17.3f %13.1f %9d\n", f.what, f.replicas, f.asked, f.created, f.twice, f.took.Seconds(), f.rate(),
		f.rate()/reference.rate(), f.cpu/float64(max(1, f.created)), f.watcher, f.peak>>20)
}

// fanOutOf makes build configs on one base, moves it, and counts.
func (s *site) fanOutOf(ctx context.Context, url, prefix string, number, pods int, quick bool, limit time.Duration) (flow, error) {
	n := s.scaled(number)
	f := flow{what: "osbs", replicas: pods, asked: n}
	if err := s.scale(ctx, listener, pods); err != nil {
		return f, err
	}
	base := prefix + "-base"
	s.say("making %d build configs", n)
	if err := s.move(ctx, base, 1); err != nil {
		return f, err
	}
	if err := s.createConfigs(ctx, prefix, n, base); err != nil {
		return f, err
	}
	args := []string{"-in-flight=" + strconv.Itoa(inFlight)}
	if quick {
		args = []string{"-in-flight=" + strconv.Itoa(manyInFlight), "-api-rate=" + strconv.Itoa(manyRequests)}
	}
	w, err := s.watch(ctx, url, args...)
	if err != nil {
		return f, err
	}
	defer w.stop()
	err = s.fan(ctx, &f, w, base, limit)
	return f, err
}

// fan moves the base under a watcher that runs.
func (s *site) fan(ctx context.Context, f *flow, w *watcher, base string, limit time.Duration) error {
	o, err := s.observe(ctx)
	if err != nil {
		return err
	}
	defer o.stop()
	before, err := w.metrics(ctx)
	if err != nil {
		return err
	}
	s.say("moving the base of %d build configs", f.asked)
	if err := f.measure(ctx, o, limit, func() error { return s.move(ctx, base, 2) }); err != nil {
		return err
	}
	after, err := w.metrics(ctx)
	if err != nil {
		return fmt.Errorf("the watcher: %w: %s", err, w.log)
	}
	f.watcher = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
	_, f.peak, err = w.memory()
	s.say("%d PipelineRuns in %.1f s, %.2f/s; %.0f turns of %.0f ms; %s", f.created, f.took.Seconds(), f.rate(),
		after["planning_seconds_count"]-before["planning_seconds_count"],
		1000*(after["planning_seconds_sum"]-before["planning_seconds_sum"])/(after["planning_seconds_count"]-before["planning_seconds_count"]), w.log)
	return err
}
