//go:build e2e

package autorebuild

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// A base moves: one PipelineRun, with what it is for.
func TestOneChangeOneBuild(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.config("app", "base")
	s.config("top", "app")
	s.watch()
	s.quiet(5 * time.Second)
	s.exactly(0)
	s.move("base", 2)
	s.expect(1, time.Minute)
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(t.Context(), metav1.ListOptions{LabelSelector: event.LabelBuildConfig + "=app"})
	s.must(err)
	if len(list.Items) != 1 {
		t.Fatalf("%d PipelineRuns of app", len(list.Items))
	}
	run := list.Items[0]
	for key, want := range map[string]string{
		event.AnnotationBaseDigest: "base:latest=" + digest(2), event.AnnotationReason: string(rebuild.BaseMoved), event.AnnotationBase: "base:latest",
		event.AnnotationBaseOldDigest: digest(1), event.AnnotationBaseNewDigest: digest(2), event.AnnotationCausedBy: "",
	} {
		if got := run.GetAnnotations()[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	if !strings.HasPrefix(run.GetName(), "app-") || run.GetLabels()[event.LabelAutorebuild] != "true" {
		t.Errorf("%s with labels %v", run.GetName(), run.GetLabels())
	}
	s.until("the build config knows", time.Minute, func() bool { return s.tried("app") == digest(2) })
	s.quiet(10 * time.Second)
	s.exactly(1) // top waits for app
}

// An event that is not signed, is malformed, or is repeated starts nothing.
func TestForgedEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.config("app", "base")
	w := s.watch()
	s.move("base", 2)
	s.expect(1, time.Minute)
	w.kill()
	forge := func(name string, token []byte, change func(*event.Event), header func(http.Header)) {
		t.Helper()
		bc := &buildconfig.BuildConfig{Name: name, GitURL: "https://git.example.com/x", GitBranch: "main"}
		item := rebuild.Item{
			Build: name + "-forged", Digests: map[string]string{"base:latest": digest(9)},
			Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "base:latest", NewDigest: digest(9)}},
		}
		e := event.New(bc, item, time.Now())
		r, err := event.NewRequest(t.Context(), s.url, "/test", e, token)
		s.must(err)
		if change != nil {
			change(&e)
			setBody(t, r, e, token)
		}
		if header != nil {
			header(r.Header)
		}
		s.post(r)
	}
	forge("unsigned", s.token, nil, func(h http.Header) { h.Del(event.HeaderSignature) })
	forge("other-token", []byte("guessed"), nil, nil)
	forge("other-type", s.token, nil, func(h http.Header) { h.Set(event.HeaderEventType, "push") })
	forge("bad-name", s.token, func(e *event.Event) { e.PipelineRunName = "a/b" }, nil)
	forge("bad-config", s.token, func(e *event.Event) { e.BuildConfig = `a","x":"y` }, nil)
	forge("bad-digest", s.token, func(e *event.Event) { e.BaseDigest = "base:latest=latest" }, nil)
	forge("bad-branch", s.token, func(e *event.Event) { e.GitBranch = "--upload-pack=x" }, nil)
	s.replay("app")
	forge("good", s.token, nil, nil) // what came before it has been looked at when this is a PipelineRun
	s.expect(2, time.Minute)
	s.quiet(5 * time.Second)
	s.exactly(2)
}

// The EventListener is down while bases move, and dies while it works.
func TestEventListenerDies(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	const n = 60
	s.move("base", 1)
	s.configs(n, "base")
	s.scale(0)
	s.watch("-in-flight=8")
	s.move("base", 2)
	s.quiet(5 * time.Second)
	s.exactly(0)
	s.scale(1)
	for _, at := range []int{n / 6, n / 3} {
		s.until("it works", 5*time.Minute, func() bool { return len(s.runs()) >= at })
		zero := int64(0)
		s.must(s.Kube.CoreV1().Pods(s.Name).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &zero}, metav1.ListOptions{LabelSelector: listenerPods}))
	}
	s.expect(n, 5*time.Minute)
	s.quiet(10 * time.Second)
	s.exactly(n)
}

// The watcher is killed again and again around its deliveries.
func TestWatcherIsKilled(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	const n = 40
	s.move("base", 1)
	s.configs(n, "base")
	s.move("base", 2)
	for round := 0; len(s.runs()) < n && round < 60; round++ {
		w := s.watch("-in-flight=4")
		s.quiet(500*time.Millisecond + time.Duration(rand.IntN(4000))*time.Millisecond)
		w.kill()
		s.freeLead()
	}
	s.watch()
	s.expect(n, 2*time.Minute)
	for i := range n {
		name := fmt.Sprintf("app%04d", i)
		s.until(name+" knows", time.Minute, func() bool { return s.tried(name) == digest(2) })
	}
	s.quiet(5 * time.Second)
	s.exactly(n)
}

// Two watchers: one leads, the other takes over.
func TestTwoWatchers(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.configs(10, "base")
	first := s.watch()
	s.watch()
	s.move("base", 2)
	s.until("it works", time.Minute, func() bool { return len(s.runs()) > 2 })
	first.kill()
	s.expect(10, 2*time.Minute)
	s.quiet(5 * time.Second)
	s.exactly(10)
}
