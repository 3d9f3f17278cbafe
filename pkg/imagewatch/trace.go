package imagewatch

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// traces are the ways of the builds that are asked for, each of them one trace: the span rebuild from the change of the ImageStream to
// the PipelineRun, in it the turn that decided to ask, and each delivery of the event, with which Tekton goes on. Only the loop uses it.
type traces struct {
	tracer trace.Tracer
	builds map[string]*traced // by the build's name
}

// traced are the open spans of a build; deliver is nil between two attempts.
type traced struct{ rebuild, deliver trace.Span }

// The events of the span of a delivery, and of that of a rebuild.
const (
	spanAccepted  = "accepted"
	spanSeen      = "PipelineRun seen"
	spanOutdated  = "the plan was made from something old"
	spanNotDue    = "not due any more"
	spanWatchEnds = "the watcher ends"
)

func newTraces(tracer trace.Tracer) *traces {
	return &traces{tracer: tracer, builds: map[string]*traced{}}
}

// ask begins the span of a delivery that the turn which began at that time has decided on, and returns the context in which to deliver.
func (t *traces) ask(ctx context.Context, s *situation.Situation, p *delivery, turn time.Time) context.Context {
	b := t.builds[p.item.Build]
	if b == nil {
		changed := changedAt(s, p.item)
		if changed.IsZero() || changed.After(turn) {
			changed = turn
		}
		_, root := t.tracer.Start(ctx, "rebuild", trace.WithNewRoot(), trace.WithTimestamp(changed), trace.WithAttributes(facts(p.item)...))
		b = &traced{rebuild: root}
		t.builds[p.item.Build] = b
	}
	parent := trace.ContextWithSpan(ctx, b.rebuild)
	_, plan := t.tracer.Start(parent, "plan", trace.WithTimestamp(turn))
	plan.End()
	ctx, b.deliver = t.tracer.Start(parent, "deliver", trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(append(facts(p.item), attribute.Int("osbs.attempt", p.attempt))...))
	return ctx
}

// facts are what people ask for.
func facts(item rebuild.Item) []attribute.KeyValue {
	out := []attribute.KeyValue{attribute.String("osbs.build_config", item.Config), attribute.String("osbs.build", item.Build)}
	if len(item.Reasons) > 0 {
		r := item.Reasons[0]
		out = append(out, attribute.String("osbs.reason", string(r.Kind)), attribute.String("osbs.base", r.Base), attribute.String("osbs.caused_by", r.CausedBy))
	}
	return out
}

// note adds an event to the delivery.
func (t *traces) note(build, event string) {
	if b := t.builds[build]; b != nil && b.deliver != nil {
		b.deliver.AddEvent(event)
	}
}

// delivered ends the span of a delivery that came to nothing: with an error, or without because there was no use in it.
func (t *traces) delivered(build, event string, err error) {
	b := t.builds[build]
	if b == nil || b.deliver == nil {
		return
	}
	b.deliver.AddEvent(event)
	if err != nil {
		b.deliver.SetStatus(codes.Error, err.Error())
	}
	b.deliver.End()
	b.deliver = nil
}

// end ends all spans of a build.
func (t *traces) end(build, event string) {
	b := t.builds[build]
	if b == nil {
		return
	}
	t.delivered(build, event, nil)
	b.rebuild.AddEvent(event)
	b.rebuild.End()
	delete(t.builds, build)
}

// sweep ends the spans of builds that the dispatcher has forgotten; nobody asks for them any more.
func (t *traces) sweep(d *dispatcher) {
	for build := range t.builds {
		if d.pending[build] == nil && d.setbacks[build] == nil {
			t.end(build, spanNotDue)
		}
	}
}

// close ends all that is open.
func (t *traces) close() {
	for build := range t.builds {
		t.end(build, spanWatchEnds)
	}
}
