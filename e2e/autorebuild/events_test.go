//go:build e2e

package autorebuild

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// forged is an event that the watcher has not sent: build of a build config, from a digest of base.
func forged(build, config, digest string) event.Event {
	bc := &buildconfig.BuildConfig{Name: config, GitURL: "https://git.example.com/x", GitBranch: "main"}
	return event.New(bc, rebuild.Item{
		Build: build, Digests: map[string]string{"base:latest": digest},
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "base:latest", NewDigest: digest}},
	}, time.Now())
}

// send sends an event, whatever it is, and returns the EventListener's answer.
func (s *site) send(e event.Event, token []byte, change func(http.Header)) int {
	s.t.Helper()
	body, err := json.Marshal(e)
	s.must(err)
	return s.post(body, token, change)
}

// insist sends an event until there is its PipelineRun, since an EventListener that has much to do loses some. It returns how often.
func (s *site) insist(e event.Event) (times int) {
	s.t.Helper()
	runs := s.all.Resource(pipelineRuns).Namespace(s.Name)
	var last time.Time
	s.until("the PipelineRun "+e.PipelineRunName, 3*time.Minute, func() bool {
		_, err := runs.Get(s.t.Context(), e.PipelineRunName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) && time.Since(last) > 10*time.Second {
			last = time.Now()
			times++
			s.send(e, s.token, nil)
		}
		return err == nil
	})
	return times
}

// post signs what may be no event.
func (s *site) post(body, token []byte, change func(http.Header)) int {
	s.t.Helper()
	r, err := event.NewRequest(s.t.Context(), s.url, "/test", forged("x", "x", digest(9)), token)
	s.must(err)
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	r.Header.Set(event.HeaderSignature, event.Sign(body, token))
	if change != nil {
		change(r.Header)
	}
	answer, err := http.DefaultClient.Do(r)
	s.must(err)
	defer answer.Body.Close()
	return answer.StatusCode
}

// counted are the EventListener's own metrics: events that it took, that it did not take, and PipelineRuns that it has created.
func (s *site) counted() (taken, refused, created float64) {
	url := strings.TrimSuffix(s.url, ":8080") + ":9000/metrics"
	scope := `otel_scope_name="github.com/tektoncd/triggers/pkg/sink",otel_scope_schema_url="",otel_scope_version=""`
	return metric(s.t, url, "eventlistener_event_received_total{"+scope+`,status="succeeded"}`),
		metric(s.t, url, "eventlistener_event_received_total{"+scope+`,status="failed"}`),
		metric(s.t, url, "eventlistener_triggered_resources_total")
}

// An event that is not signed, is malformed or too large starts nothing. The EventListener's metrics show it: more events than PipelineRuns.
func TestForgedEvents(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	with := func(change func(*event.Event)) event.Event {
		e := forged("forged", "forged", digest(9))
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		event  event.Event
		token  []byte
		header func(http.Header)
	}{
		"unsigned":    {forged("unsigned", "x", digest(9)), s.token, func(h http.Header) { h.Del(event.HeaderSignature) }},
		"other token": {forged("other-token", "x", digest(9)), []byte("guessed"), nil},
		"other type":  {forged("other-type", "x", digest(9)), s.token, func(h http.Header) { h.Set(event.HeaderEventType, "push") }},
		"bad name":    {with(func(e *event.Event) { e.PipelineRunName = "a/b" }), s.token, nil},
		"bad config":  {with(func(e *event.Event) { e.BuildConfig = `a","x":"y` }), s.token, nil},
		"bad digest":  {with(func(e *event.Event) { e.BaseDigest = "base:latest=latest" }), s.token, nil},
		"bad branch":  {with(func(e *event.Event) { e.GitBranch = "--upload-pack=x" }), s.token, nil},
		"nothing":     {event.Event{}, s.token, nil},
	} {
		if got := s.send(c.event, c.token, c.header); got != http.StatusAccepted {
			t.Errorf("%s: the EventListener answers %d", name, got)
		}
	}
	if got := s.post([]byte("no JSON"), s.token, nil); got != http.StatusBadRequest {
		t.Errorf("no JSON: the EventListener answers %d", got)
	}
	// Nothing bounds the size: it is read, and given to the interceptor that refuses it.
	large := fmt.Appendf(nil, `{"gitUrl": %q}`, strings.Repeat("x", 10<<20))
	if got := s.post(large, []byte("guessed"), nil); got != http.StatusAccepted {
		t.Errorf("10 MiB: the EventListener answers %d", got)
	}
	good := s.insist(forged("good", "good", digest(9)))
	s.quiet(5 * time.Second)
	s.exactly(1)
	if taken, refused, created := s.counted(); taken != float64(9+good) || refused != 1 || created != 1 {
		t.Errorf("the EventListener counts %v events that it took, %v that it did not, %v PipelineRuns", taken, refused, created)
	}
}

// Whoever has the token, or has recorded an event, starts builds that the watcher has not asked for. It counts them, says so, and is not
// confused: nothing is missed, nothing is twice.
func TestUnexpectedBuilds(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.config("app", "base")
	s.config("top", "app")
	w := s.watch("-log-level=debug")
	unexpected := 0.0
	counts := func(build string) {
		t.Helper()
		unexpected++
		s.until("it is counted", time.Minute, func() bool { return w.metric("osbs_imagewatch_unexpected_rebuilds_total") == unexpected })
		s.until("it is told", time.Minute, func() bool { return s.told("app", "RebuildUnexpected", build) })
	}
	runOf := func(build string) unstructured.Unstructured {
		t.Helper()
		run := s.next("app")
		if run.GetName() != build {
			t.Fatalf("%s instead of %s", run.GetName(), build)
		}
		return run
	}
	s.move("base", 2)
	first := s.next("app")
	s.goesOn(first, true)
	s.must(s.succeeds(first))
	s.builds("top", "app", s.current("app"))

	// A recorded event, when its PipelineRun has been removed. The lock stage ends such a run.
	s.must(s.all.Resource(pipelineRuns).Namespace(s.Name).Delete(t.Context(), first.GetName(), metav1.DeleteOptions{}))
	s.until("the PipelineRun is gone", time.Minute, func() bool { return len(s.of("app")) == 0 })
	// The API tells when something was created in whole seconds, by which the second is told from the first.
	s.until("another second has begun", time.Minute, func() bool { return time.Now().Unix() > first.GetCreationTimestamp().Unix() })
	s.insist(forged(first.GetName(), "app", digest(2)))
	again := runOf(first.GetName())
	counts(again.GetName())
	s.goesOn(again, false)
	s.still("app", 1)

	// The base moves on while a run for a digest of old is there.
	s.insist(forged("of-old", "app", digest(1)))
	old := runOf("of-old")
	counts("of-old")
	s.move("base", 3)
	s.still("app", 2)
	s.goesOn(old, false)
	third := s.next("app")
	if got := madeFrom(third)["base"]; got != digest(3) {
		t.Errorf("%s is made from %s", third.GetName(), got)
	}
	s.goesOn(third, true)
	s.must(s.succeeds(third))
	s.builds("top", "app", s.current("app"))

	// One that succeeds, as if it had been told a moment too late: the image is on the old base again, though a PipelineRun for the newest exists.
	s.insist(forged("of-old-too", "app", digest(1)))
	counts("of-old-too")
	s.must(s.succeeds(runOf("of-old-too")))
	s.builds("app", "base", digest(3))
	s.builds("top", "app", s.current("app"))
	s.settled()
	s.still("app", 5)
	s.still("top", 3)
}

// told says whether people are told of a build of a build config for a reason.
func (s *site) told(config, reason, build string) bool {
	s.t.Helper()
	list, err := s.Kube.CoreV1().Events(s.Name).List(s.t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + config + ",reason=" + reason})
	s.must(err)
	for _, e := range list.Items {
		if strings.Contains(e.Message, build) {
			return true
		}
	}
	return false
}

// freeLead takes the lead from a watcher that was killed, so that the next need not wait for it.
func (s *site) freeLead() {
	s.t.Helper()
	leases := s.Kube.CoordinationV1().Leases(s.Name)
	if err := leases.Delete(s.t.Context(), "osbs-imagewatch", metav1.DeleteOptions{}); err != nil {
		s.t.Log(err)
	}
}
