//go:build e2e

package autorebuild

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// longVariable has tests of random faults last as long as issue 5 wants.
const longVariable = "OSBS_E2E_LONG"

// The EventListener is away when the first of 200 images become stale, and dies again and again while the others do.
func TestEventListenerDies(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	const bases, each = 10, 20
	for b := range bases {
		s.move(fmt.Sprintf("base%d", b), 1)
		for i := range each {
			s.config(fmt.Sprintf("app%d-%02d", b, i), fmt.Sprintf("base%d", b))
		}
	}
	s.scale(0)
	w := s.watch()
	s.move("base0", 2)
	s.until("events are refused", time.Minute, func() bool {
		return w.metric(`osbs_imagewatch_deliveries_failed_total{reason="refused"}`) > 2
	})
	s.exactly(0)
	s.scale(1)
	for b := 1; b < bases; b++ {
		s.move(fmt.Sprintf("base%d", b), 2)
		if b%3 == 0 {
			before := len(s.runs())
			s.until("it works", 2*time.Minute, func() bool { return len(s.runs()) > before+3 })
			s.killListener()
		}
	}
	s.expect(bases*each, 4*time.Minute)
	s.settled()
	s.quiet(5 * time.Second)
	s.exactly(bases * each)
}

// killListener ends the EventListener's process (SIGKILL) where it can be seen, as on the cluster of e2e/cluster, every other time; else its
// pod, without grace.
func (s *site) killListener() {
	s.t.Helper()
	if s.kills++; s.kills%2 == 1 && s.killProcess() {
		return
	}
	zero := int64(0)
	s.must(s.Kube.CoreV1().Pods(s.Name).DeleteCollection(s.t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &zero}, metav1.ListOptions{LabelSelector: listenerPods}))
}

func (s *site) killProcess() bool {
	s.t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	s.must(err)
	for _, file := range files {
		command, err := os.ReadFile(file) // it may have ended
		if err != nil || !bytes.Contains(command, []byte("eventlistenersink")) || !bytes.Contains(command, []byte(s.Name)) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(file, "/")[2])
		s.must(err)
		s.must(syscall.Kill(pid, syscall.SIGKILL))
		return true
	}
	s.t.Log("the EventListener's process cannot be seen")
	return false
}

// Triggers' interceptors are away, twice: the EventListener accepts events, and nothing comes of them. All EventListeners need them, so
// nothing runs beside this test.
func TestInterceptorsAreDown(t *testing.T) {
	s := newSite(t, true)
	const n = 40
	s.move("base", 1)
	s.configs(n, "base")
	w := s.watch("-confirm-timeout=3s")
	lost := func() float64 { return w.metric(`osbs_imagewatch_deliveries_failed_total{reason="lost"}`) }
	s.interceptors(0)
	s.move("base", 2)
	s.until("deliveries are lost", time.Minute, func() bool { return lost() >= 3 })
	s.exactly(0)
	s.interceptors(1)
	s.until("it works", 2*time.Minute, func() bool { return len(s.runs()) > n/4 })
	before := lost()
	s.interceptors(0)
	s.until("deliveries are lost again", time.Minute, func() bool { return lost() > before || len(s.runs()) == n })
	s.interceptors(1)
	s.expect(n, 3*time.Minute)
	s.settled()
	s.quiet(5 * time.Second)
	s.exactly(n)
	t.Logf("%v events were lost", lost())
}

// interceptors has Triggers' core interceptors run in so many pods; in one when the test ends.
func (s *site) interceptors(replicas int) {
	s.t.Helper()
	ctx := s.t.Context()
	const name = "tekton-triggers-core-interceptors"
	all, err := s.Kube.AppsV1().Deployments("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	s.must(err)
	if len(all.Items) != 1 {
		s.t.Fatalf("%d Deployments %s", len(all.Items), name)
	}
	deployments := s.Kube.AppsV1().Deployments(all.Items[0].Namespace)
	patch := func(replicas int) error {
		body := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
		_, err := deployments.Patch(s.always(), name, types.MergePatchType, body, metav1.PatchOptions{})
		return err
	}
	s.t.Cleanup(func() {
		if err := patch(1); err != nil {
			s.t.Error(err)
		}
	})
	s.must(patch(replicas))
	s.until(fmt.Sprintf("there are %d interceptors", replicas), 2*time.Minute, func() bool {
		pods, err := s.Kube.CoreV1().Pods(all.Items[0].Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(all.Items[0].Spec.Selector)})
		d, errDeployment := deployments.Get(ctx, name, metav1.GetOptions{})
		return err == nil && errDeployment == nil && len(pods.Items) == replicas && int(d.Status.ReadyReplicas) == replicas
	})
}

// A watcher is killed at random moments while bases move and builds end, for a minute, or five if it may last long. Then every image is built
// on the newest of all its bases, and no state was built twice.
func TestWatcherIsKilledWhileBasesMove(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	lasts := time.Minute
	if os.Getenv(longVariable) != "" {
		lasts = 5 * time.Minute
	}
	bases := []string{"base0", "base1", "base2", "base3"}
	for _, base := range bases {
		s.move(base, 1)
	}
	configs := map[string][]string{
		"left": {"base0"}, "right": {"base0", "base1"}, "bottom": {"left", "right"}, "under": {"bottom"}, "deep": {"under", "base3"},
		"staged": {"base1", "base2", "base3"}, "tool": {"base2"}, "user": {"tool", "base0"},
	}
	for i := range 8 {
		configs[fmt.Sprintf("leaf%d", i)] = []string{bases[i%len(bases)]}
	}
	for config, on := range configs {
		s.config(config, on...)
	}
	moved, kills, failures := 1, 0, 0
	move := func(base string) {
		moved++
		s.move(base, moved)
	}
	begun := map[string]bool{}
	begins := func(run unstructured.Unstructured) bool {
		if begun[run.GetName()] {
			return true
		}
		goesOn, err := s.begins(run)
		s.must(err)
		begun[run.GetName()] = goesOn
		return goesOn
	}
	w := s.watch()
	over, death := time.Now().Add(lasts), time.Now().Add(time.Second)
	for time.Now().Before(over) {
		s.quiet(time.Duration(rand.IntN(400)) * time.Millisecond)
		if rand.IntN(3) == 0 {
			move(bases[rand.IntN(len(bases))])
		}
		for _, run := range s.pendingRuns() {
			if !begins(run) {
				continue
			}
			switch rand.IntN(8) {
			case 0:
				failures++
				s.must(s.fails(run))
			case 1, 2, 3:
				s.must(s.succeeds(run))
			}
		}
		if time.Now().After(death) {
			kills++
			w.kill()
			if rand.IntN(4) > 0 { // else the next one waits for the lead
				s.freeLead()
			}
			w = s.watch()
			death = time.Now().Add(time.Duration(rand.IntN(6000)) * time.Millisecond)
		}
	}
	for _, base := range bases {
		move(base)
	}
	s.until("all is built", 4*time.Minute, func() bool {
		for _, run := range s.pendingRuns() {
			if begins(run) {
				s.must(s.succeeds(run))
			}
		}
		return len(s.plan().Items) == 0
	})
	for config, on := range configs {
		built := s.builtOn(config)
		for _, base := range on {
			if want := s.current(base); built[base] != want {
				t.Errorf("%s is built on %s of %s, want %s", config, built[base], base, want)
			}
		}
	}
	runs := s.runs()
	s.quiet(5 * time.Second)
	s.exactly(len(runs))
	t.Logf("%d moves, %d kills, %d builds, %d of which failed", moved-1, kills, len(runs), failures)
}

// The leader stands still until another has the lead, and goes on; the other is killed.
func TestLeaderStandsStill(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	const n = 80
	s.move("base", 1)
	s.configs(n, "base")
	first := s.watch()
	s.until("one leads", time.Minute, func() bool { return first.metric("osbs_imagewatch_leader") == 1 })
	second := s.watch()
	s.until("the other is ready", time.Minute, second.ready)
	s.move("base", 2)
	s.until("it works", time.Minute, func() bool { return len(s.runs()) > 10 })
	first.holds()
	s.until("the other leads", time.Minute, func() bool { return second.metric("osbs_imagewatch_leader") == 1 })
	first.goesOn()
	s.until("it ends, since it has lost the lead", time.Minute, func() bool { return !first.runs() })
	if !strings.Contains(first.said(), "the lead was lost") {
		t.Errorf("the first watcher has not lost the lead:\n%s", first.said())
	}
	s.watch() // as a Deployment does
	second.kill()
	s.expect(n, 2*time.Minute)
	s.settled()
	s.quiet(5 * time.Second)
	s.exactly(n)
}

// The API server, and that of ImageStreams, are killed while bases move.
func TestAPIServersAreKilled(t *testing.T) {
	testbed.NeedsDaemons(t)
	s := newSite(t, true)
	const each = 10
	daemons := []string{testbed.APIServer, testbed.ImageAPIServer}
	for _, daemon := range daemons {
		for _, base := range []string{"before-" + daemon, "after-" + daemon} {
			s.move(base, 1)
			for i := range each {
				s.config(fmt.Sprintf("%s-%d", base, i), base)
			}
		}
	}
	watch := func() *watcher { return s.watch("-confirm-timeout=3s") }
	w := watch()
	for _, daemon := range daemons {
		before := len(s.runs())
		s.move("before-"+daemon, 2)
		s.until("it works", time.Minute, func() bool { return len(s.runs()) > before+2 })
		testbed.Kill(t, daemon)
		s.quiet(2 * time.Second) // the outage: nothing could be polled for
		testbed.Start(t, daemon)
		s.retried("moving a base", func() error { return s.moveTo("after-"+daemon, digest(2)) })
	}
	n := 2 * each * len(daemons)
	s.until("all are asked for", 3*time.Minute, func() bool {
		if !w.runs() {
			t.Log("the watcher has ended, and is started again, as a Deployment does")
			w = watch()
		}
		return len(s.runs()) >= n
	})
	s.settled()
	s.quiet(5 * time.Second)
	s.exactly(n)
}
