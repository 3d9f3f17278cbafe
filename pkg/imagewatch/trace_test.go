package imagewatch

import (
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/tracing"
)

// collected are the spans that a collector has been sent by OTLP over HTTP.
type collected struct {
	mu    sync.Mutex
	spans []*tracepb.Span
}

func (c *collected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	data, err := io.ReadAll(body)
	request := &collector.ExportTraceServiceRequest{}
	if err == nil {
		err = proto.Unmarshal(data, request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

func valueOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// TestTrace: the way from the change of an ImageStream to a PipelineRun is one trace, whatever happens to events, and the event that the
// PipelineRun is made of carries it.
func TestTrace(t *testing.T) {
	spans := &collected{}
	server := httptest.NewServer(spans)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	traces, err := tracing.Open(t.Context(), slog.New(slog.DiscardHandler), "osbs-imagewatch")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	r.el.answer = func(n int, _ event.Event) answer { return []answer{fails, lose, makeRun}[n] }
	r.stream(space, "base", 1)
	r.config("app", "base")
	before := time.Now()
	r.stream(space, "base", 2)
	kill := r.start(func(o *Options) { o.Tracer, o.ConfirmTimeout = traces.Tracer(), 50*time.Millisecond })
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range tick.C { // the test's own time limit is the only one
		if slices.Contains(r.eventsOf("app"), "RebuildStarted") {
			break
		}
	}
	kill()
	traces.Close(t.Context())
	spans.mu.Lock()
	defer spans.mu.Unlock()
	e := r.el.last()
	var root *tracepb.Span
	byAttempt := []*tracepb.Span{}
	for _, s := range spans.spans {
		switch s.Name {
		case "rebuild":
			root = s
		case "deliver":
			byAttempt = append(byAttempt, s)
		}
	}
	if root == nil || len(byAttempt) != 3 || len(root.ParentSpanId) != 0 {
		t.Fatalf("spans: %v", spans.spans)
	}
	if begin := time.Unix(0, int64(root.StartTimeUnixNano)); begin.Before(before.Truncate(time.Second)) || valueOf(root, "osbs.build") != e.PipelineRunName ||
		valueOf(root, "osbs.build_config") != "app" || valueOf(root, "osbs.reason") != "BaseMoved" || valueOf(root, "osbs.base") != "base:latest" {
		t.Errorf("the rebuild begins at %s: %v", begin, root)
	}
	for _, s := range spans.spans {
		if string(s.TraceId) != string(root.TraceId) || s != root && string(s.ParentSpanId) != string(root.SpanId) {
			t.Errorf("%s is not in the rebuild's trace: %v", s.Name, s)
		}
	}
	slices.SortFunc(byAttempt, func(a, b *tracepb.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	for i, want := range []string{"refused", "accepted, lost", "accepted, PipelineRun seen"} {
		var names []string
		for _, e := range byAttempt[i].Events {
			names = append(names, e.Name)
		}
		failed := byAttempt[i].Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR
		if got := strings.Join(names, ", "); got != want || failed != (i < 2) {
			t.Errorf("attempt %d: %s, failed %t, want %s", i+1, got, failed, want)
		}
	}
	last := byAttempt[2]
	if want := "00-" + trace.TraceID(last.TraceId).String() + "-" + trace.SpanID(last.SpanId).String() + "-01"; e.SpanContext != `{"traceparent":"`+want+`"}` {
		t.Errorf("the event carries %q, want %s", e.SpanContext, want)
	}
}

// TestSpansEnd: what nobody asks for any more is not open for ever.
func TestSpansEnd(t *testing.T) {
	traces := newTraces((&tracing.Tracing{}).Tracer())
	d := newDispatcher(Options{InFlight: 1, ConfirmTimeout: time.Second})
	for _, name := range []string{"pending", "set back", "gone"} {
		p := &delivery{attempt: 1}
		p.item.Build = name
		traces.ask(t.Context(), nil, p, noon)
	}
	d.pending["pending"], d.setbacks["set back"] = &delivery{}, &setback{}
	traces.sweep(d)
	if traces.builds["gone"] != nil || len(traces.builds) != 2 {
		t.Errorf("open: %v", traces.builds)
	}
	traces.close()
	if len(traces.builds) != 0 {
		t.Errorf("open at the end: %v", traces.builds)
	}
}
