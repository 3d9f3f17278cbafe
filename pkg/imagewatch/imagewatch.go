// Package imagewatch is the controller that turns a change of an ImageStream into rebuilds. It watches build configs, ImageStreams,
// PipelineRuns and Leases, lets package rebuild say what is due, asks an EventListener for each build with one signed event, and
// believes only PipelineRuns: an EventListener answers before it has created anything.
//
// It keeps nothing of its own. What was asked for is told by the name of the PipelineRun, which is derived from the build config and
// the state of its bases; what was tried is in the build config. So it may be killed at any moment, and two of it may run.
package imagewatch

import (
	"cmp"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Options are the settings of the watcher.
type Options struct {
	Log *slog.Logger
	// Namespace is the build configs' own. WatchNamespaces are others whose ImageStreams may be bases.
	Namespace       string
	WatchNamespaces []string
	// Name is the prefix of the names of objects; the Lease of the leader is NAME-imagewatch.
	Name string
	// Identity tells the replicas apart, such as the pod's name.
	Identity string
	// URL is the EventListener's, TokenFile holds what signs events.
	URL, TokenFile string
	// MaxConcurrent bounds the builds that run, those of users included; Rate is how many rebuilds may start in a minute. 0 is no bound.
	MaxConcurrent, Rate int
	// InFlight bounds the events whose PipelineRuns are not seen yet. ConfirmTimeout is when such an event counts as lost.
	InFlight       int
	ConfirmTimeout time.Duration
	// ScheduledImports gives a base without an ImageStream one that is imported regularly; with plain HTTP from the hosts of Insecure.
	ScheduledImports bool
	Insecure         []string
	// Metrics and Tracer may be nil.
	Metrics *Metrics
	Tracer  trace.Tracer
}

// The defaults of Options.
const (
	DefaultName           = "osbs"
	DefaultMaxConcurrent  = 5
	DefaultRate           = 30
	DefaultInFlight       = 8
	DefaultConfirmTimeout = 20 * time.Second
)

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Name = cmp.Or(o.Name, DefaultName)
	o.InFlight = cmp.Or(o.InFlight, DefaultInFlight)
	o.ConfirmTimeout = cmp.Or(o.ConfirmTimeout, DefaultConfirmTimeout)
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Tracer == nil {
		o.Tracer = noop.NewTracerProvider().Tracer("")
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Namespace == "":
		return failure.New(failure.Usage, "no namespace is given")
	case o.URL == "":
		return failure.New(failure.Usage, "no URL of an EventListener is given")
	case o.TokenFile == "":
		return failure.New(failure.Usage, "no file with the token that signs events is given")
	case o.MaxConcurrent < 0 || o.Rate < 0 || o.InFlight < 1 || o.ConfirmTimeout <= 0:
		return failure.New(failure.Usage, "max-concurrent and rate must not be negative, in-flight and confirm-timeout must be positive")
	default:
		return nil
	}
}
