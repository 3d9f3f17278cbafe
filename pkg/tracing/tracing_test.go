package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	envEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
)

// unset keeps the environment of whoever runs the test out of it.
func unset(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// receiver is a collector: it takes OTLP over HTTP.
type receiver struct {
	url           string
	authorization string
	mu            sync.Mutex
	requests      []*collector.ExportTraceServiceRequest
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(q.Body); err != nil {
				t.Error(err)
				return
			}
		}
		r.authorization = q.Header.Get("Authorization")
		data, err := io.ReadAll(body)
		request := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(data, request)
		}
		if err != nil || q.URL.Path != "/v1/traces" || q.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", q.Method, q.URL, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, request)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func TestExport(t *testing.T) {
	unset(t)
	r := newReceiver(t)
	t.Setenv(envEndpoint, r.url)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment=test")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x,other=y")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip")
	opened, err := Open(t.Context(), slog.New(slog.DiscardHandler), "watcher", attribute.String("namespace", "team"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := opened.Tracer().Start(t.Context(), "rebuild")
	parent := TraceParent(ctx)
	span.End()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	opened.Close(ended) // what is left is sent, though the program was told to end
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.requests) != 1 || len(r.requests[0].ResourceSpans) != 1 {
		t.Fatalf("requests: %v", r.requests)
	}
	found := map[string]string{}
	for _, a := range r.requests[0].ResourceSpans[0].Resource.Attributes {
		found[a.Key] = a.Value.GetStringValue()
	}
	if r.authorization != "Bearer x" {
		t.Errorf("authorization %q", r.authorization)
	}
	if found["service.name"] != "watcher" || found["namespace"] != "team" || found["deployment"] != "test" {
		t.Errorf("resource %v", found)
	}
	got := r.requests[0].ResourceSpans[0].ScopeSpans[0].Spans[0]
	want := "00-" + trace.TraceID(got.TraceId).String() + "-" + trace.SpanID(got.SpanId).String() + "-01"
	if got.Name != "rebuild" || parent != want || SpanContext(ctx) != `{"traceparent":"`+want+`"}` {
		t.Errorf("span %v, trace context %q", got, SpanContext(ctx))
	}
}

func TestOff(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing":     {},
		"disabled":    {envDisabled: "True", envEndpoint: "http://collector:4318"},
		"no exporter": {envExporter: "none", envEndpoint: "http://collector:4318"},
		"unused":      {envProtocol: "grpc"},
	} {
		unset(t)
		for k, v := range env {
			t.Setenv(k, v)
		}
		opened, err := Open(t.Context(), nil, "watcher")
		if err != nil || opened.provider != nil {
			t.Errorf("%s: %+v, %v", name, opened, err)
			continue
		}
		ctx, span := opened.Tracer().Start(t.Context(), "x")
		if span.IsRecording() || SpanContext(ctx) != "" {
			t.Errorf("%s: a span, %q", name, SpanContext(ctx))
		}
		opened.Close(t.Context())
	}
	var none *Tracing
	none.Tracer()
	none.Close(t.Context())
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"no URL":            {map[string]string{envEndpoint: "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is no URL"},
		"no URL for traces": {map[string]string{envTracesEndpoint: "unix:///x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no URL"},
		"gRPC":              {map[string]string{envEndpoint: "http://collector:4317", envProtocol: "grpc"}, "accepted is http/protobuf"},
		"headers":           {map[string]string{envEndpoint: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "OTEL_EXPORTER_OTLP_HEADERS is not NAME=VALUE"},
		"time-out":          {map[string]string{envEndpoint: "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT": "1s"}, "milliseconds"},
		"compression":       {map[string]string{envEndpoint: "http://c", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "accepted are gzip and none"},
		"certificate":       {map[string]string{envEndpoint: "http://c", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "/nosuch"}, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"},
		"exporter":          {map[string]string{envExporter: "zipkin"}, "accepted are otlp and none"},
	} {
		unset(t)
		for k, v := range c.env {
			t.Setenv(k, v)
		}
		if _, err := Open(t.Context(), nil, "watcher"); failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCollectorIsAway: spans do not wait for a collector that takes nothing, the program's end waits for a bounded time, and the log
// has one line.
func TestCollectorIsAway(t *testing.T) {
	unset(t)
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(away.Close)
	t.Setenv(envEndpoint, away.URL)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")
	var text bytes.Buffer
	opened, err := Open(t.Context(), slog.New(slog.NewTextHandler(&text, nil)), "watcher")
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		_, span := opened.Tracer().Start(t.Context(), "x")
		span.End()
	}
	opened.Close(t.Context())
	if n := strings.Count(text.String(), "traces cannot be sent"); n != 1 {
		t.Errorf("said %d times:\n%s", n, text.String())
	}
}

// TestCollectorHangs: it accepts and never answers.
func TestCollectorHangs(t *testing.T) {
	unset(t)
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(hangs.Close)
	t.Cleanup(func() { close(release) })
	t.Setenv(envEndpoint, hangs.URL)
	opened, err := Open(t.Context(), slog.New(slog.DiscardHandler), "watcher")
	if err != nil {
		t.Fatal(err)
	}
	_, span := opened.Tracer().Start(t.Context(), "x")
	span.End()
	opened.Close(t.Context()) // or the test runs out of time
}
