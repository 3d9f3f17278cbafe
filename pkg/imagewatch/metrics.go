package imagewatch

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// Metrics are the watcher's. They are documented in docs/autorebuild.md.
type Metrics struct {
	registry *prometheus.Registry
	// configs and stale count build configs, by verdict; reasons the reasons of those that are stale, by kind.
	configs      prometheus.Gauge
	stale        *prometheus.GaugeVec
	reasons      *prometheus.GaugeVec
	malformed    prometheus.Gauge
	pending      prometheus.Gauge
	leader       prometheus.Gauge
	paused       prometheus.Gauge
	denied       *prometheus.GaugeVec
	started      prometheus.Counter
	deduplicated prometheus.Counter
	unexpected   prometheus.Counter
	failed       *prometheus.CounterVec
	toRun        prometheus.Histogram
	changeToRun  prometheus.Histogram
	planning     prometheus.Histogram
}

// Why a delivery failed, as the label of a counter.
const (
	reasonRefused = "refused" // no connection, or an answer that is not 2xx
	reasonLost    = "lost"    // accepted, but no PipelineRun came of it
	reasonInvalid = "invalid" // no event can be made of the build config
)

// NewMetrics makes the metrics, in a registry of their own.
func NewMetrics() *Metrics {
	const prefix = "osbs_imagewatch_"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	gauges := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + name, Help: help}, []string{label})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets})
	}
	seconds := prometheus.ExponentialBuckets(0.05, 2, 14)
	m := &Metrics{
		registry:     prometheus.NewRegistry(),
		configs:      gauge("build_configs", "Build configs."),
		stale:        gauges("stale_build_configs", "Build configs that are not built on the newest bases, or run, by what becomes of them.", "verdict"),
		reasons:      gauges("queue", "Reasons to rebuild of build configs that are stale, by kind.", "reason"),
		malformed:    gauge("malformed_build_configs", "Build configs that cannot be read."),
		pending:      gauge("deliveries_in_flight", "Events whose PipelineRun is not seen yet."),
		leader:       gauge("leader", "1 on the replica that sends events."),
		paused:       gauge("paused", "1 while a person has paused all builds."),
		denied:       gauges("denied", "1 for what the API forbids to read.", "what"),
		started:      counter("rebuilds_started_total", "PipelineRuns that came of this replica's events."),
		deduplicated: counter("rebuilds_deduplicated_total", "Events whose PipelineRun existed before they were sent."),
		unexpected:   counter("unexpected_rebuilds_total", "PipelineRuns that say that they are autorebuilds, and that no replica can have asked for."),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "deliveries_failed_total", Help: "Events that came to nothing, by why.",
		}, []string{"reason"}),
		toRun:       histogram("event_to_run_seconds", "From the first event for a build to its PipelineRun.", seconds),
		changeToRun: histogram("change_to_run_seconds", "From the change of the ImageStream to the PipelineRun, waiting for parents and budget included.", prometheus.ExponentialBuckets(0.25, 2, 18)),
		planning:    histogram("planning_seconds", "How long planning takes.", prometheus.ExponentialBuckets(0.0005, 2, 14)),
	}
	m.registry.MustRegister(
		m.configs, m.stale, m.reasons, m.malformed, m.pending, m.leader, m.paused, m.denied, m.started, m.deduplicated, m.unexpected, m.failed, m.toRun,
		m.changeToRun, m.planning, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, reason := range []string{reasonRefused, reasonLost, reasonInvalid} {
		m.failed.WithLabelValues(reason)
	}
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// verdicts are all that a plan gives, so that one that nobody has is shown as 0.
func verdicts() []rebuild.Verdict {
	return []rebuild.Verdict{
		rebuild.Ready, rebuild.Queued, rebuild.Running, rebuild.Waiting, rebuild.Failed, rebuild.ParentFailed, rebuild.Skipped,
		rebuild.Paused, rebuild.Disabled, rebuild.Cycle,
	}
}

func (m *Metrics) show(s *situation.Situation, d decision, pending int) {
	count, reasons := map[rebuild.Verdict]int{}, map[rebuild.Kind]int{rebuild.BaseMoved: 0, rebuild.BaseRebuilt: 0, rebuild.Requested: 0}
	for _, item := range d.plan.Items {
		count[item.Verdict]++
		if item.Verdict == rebuild.Ready || item.Verdict == rebuild.Queued || item.Verdict == rebuild.Waiting {
			for _, reason := range item.Reasons {
				reasons[reason.Kind]++
			}
		}
	}
	malformed := 0
	for _, k := range s.Configs {
		if k.Err != nil {
			malformed++
		}
	}
	for _, v := range verdicts() {
		m.stale.WithLabelValues(string(v)).Set(float64(count[v]))
	}
	for kind, n := range reasons {
		m.reasons.WithLabelValues(string(kind)).Set(float64(n))
	}
	m.configs.Set(float64(len(s.Configs)))
	m.malformed.Set(float64(malformed))
	m.pending.Set(float64(pending))
	m.paused.Set(0)
	if s.Paused {
		m.paused.Set(1)
	}
}
