// Package tracing exports OpenTelemetry traces to where the standard environment variables say (OTEL_EXPORTER_OTLP_ENDPOINT and the
// like, see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), as OTLP over HTTP. Where they say
// nothing there is no exporter. What traces are for must never wait for them: spans that cannot be sent in time are dropped.
package tracing

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The environment variables that this package reads itself; the SDK reads further ones.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"

	protocol = "http/protobuf"
)

// flushTimeout bounds how long Close waits for the collector.
const flushTimeout = 5 * time.Second

// Tracing is where spans go. The zero value, and nil, discard them.
type Tracing struct {
	provider *sdktrace.TracerProvider
	name     string
}

// Open makes an exporter if the environment asks for one. service is the name of the program, unless OTEL_SERVICE_NAME has another;
// attributes describe it. A collector that does not answer is no error, and is said once in the log. What the environment says and
// cannot be is Usage.
func Open(ctx context.Context, log *slog.Logger, service string, attributes ...attribute.KeyValue) (*Tracing, error) {
	on, err := asked()
	if err != nil || !on {
		return &Tracing{}, err
	}
	described, err := resource.New(ctx, resource.WithAttributes(append(attributes, attribute.String("service.name", service))...),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, failure.New(failure.Usage, "describing this program to a collector of traces: %w", err)
	}
	client, err := newClient()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, failure.New(failure.Internal, "preparing the export of traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(described), sdktrace.WithBatcher(&quiet{SpanExporter: exporter, log: log}))
	return &Tracing{provider: provider, name: service}, nil
}

// asked says whether the environment asks for an exporter.
func asked() (bool, error) {
	if strings.EqualFold(os.Getenv(envDisabled), "true") {
		return false, nil
	}
	_, where := setting("ENDPOINT")
	switch exporter := os.Getenv(envExporter); {
	case exporter == "none", exporter == "" && where == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, failure.New(failure.Usage, "%s %.40q: accepted are otlp and none", envExporter, exporter)
	}
	if name, spoken := setting("PROTOCOL"); spoken != "" && spoken != protocol {
		return false, failure.WithHint(failure.New(failure.Usage, "%s %.40q: accepted is %s", name, spoken, protocol), "collectors speak it at port 4318")
	}
	return true, nil
}

// Tracer makes spans.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil || t.provider == nil {
		return noop.NewTracerProvider().Tracer("")
	}
	return t.provider.Tracer("github.com/osbs-tekton/osbs/" + t.name)
}

// Close sends what is left, also when ctx has ended, but for no longer than a few seconds.
func (t *Tracing) Close(ctx context.Context) {
	if t == nil || t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // errors are the exporter's, and were said
}

// quiet is an exporter that says its first error only. There is nobody to whom an error could be returned but OpenTelemetry's global
// handler, which would say each.
type quiet struct {
	sdktrace.SpanExporter
	log  *slog.Logger
	once sync.Once
}

func (q *quiet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := q.SpanExporter.ExportSpans(ctx, spans); err != nil {
		q.once.Do(func() {
			q.log.Warn("traces cannot be sent; this is said once", "error", err, "spans", len(spans))
		})
	}
	return nil
}

// SpanContext is the W3C trace context of the span in ctx as Tekton takes it in an annotation, a JSON object; empty if there is none.
func SpanContext(ctx context.Context) string {
	parent := TraceParent(ctx)
	if parent == "" {
		return ""
	}
	return `{"traceparent":"` + parent + `"}`
}

// TraceParent is the W3C header traceparent of the span in ctx; empty if there is none.
func TraceParent(ctx context.Context) string {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsValid() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + (c.TraceFlags() & trace.FlagsSampled).String()
}
