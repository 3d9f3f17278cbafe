package imagewatch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// Watcher is the controller.
type Watcher struct{ watcher }

type watcher struct {
	o       Options
	clients situation.Clients
	http    *http.Client
	caches  *caches
	changed chan struct{}
	// events are told to people as Kubernetes Events on build configs.
	events record.EventRecorder
	// turned is when the leader last decided, in Unix nanoseconds; 0 while this replica does not lead.
	turned atomic.Int64
}

// The leader's Lease: another replica takes over when it was not renewed for leaseDuration.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// component is what Kubernetes Events say they come from.
	component = "osbs-imagewatch"
)

// New makes a watcher; it does nothing until Run or Once. Wrong options are Usage.
func New(o Options, c situation.Clients) (*Watcher, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	w := &Watcher{watcher{
		o: o, clients: c, changed: make(chan struct{}, 1), events: &record.FakeRecorder{},
		http: &http.Client{
			// A Service spreads connections over the EventListener's pods, not requests: each event has a connection of its own.
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}}
	var err error
	w.caches, err = newCaches(o, c, w.notify)
	return w, err
}

// notify says that something has changed; it does not wait.
func (w *watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run watches until ctx ends. It sends events only while it leads; to lose the lead is an error, since another replica has it then.
func (w *Watcher) Run(ctx context.Context) error {
	return w.watching(ctx, func(parent context.Context) error {
		ctx, cancel := context.WithCancelCause(parent)
		defer cancel(nil)
		led := make(chan error, 1)
		var leading atomic.Bool
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta: metav1.ObjectMeta{Name: installation.Imagewatch(w.o.Name), Namespace: w.o.Namespace},
				Client:    w.clients.Kube.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: w.o.Identity},
			},
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod, ReleaseOnCancel: true, Name: component,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					leading.Store(true)
					w.o.Log.Info("leading", "identity", w.o.Identity)
					err := w.lead(ctx, false)
					led <- err
					cancel(err)
				},
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return failure.New(failure.Usage, "preparing the election of a leader: %w", err)
		}
		elector.Run(ctx)
		if leading.Load() {
			if err := <-led; err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
		}
		if parent.Err() != nil {
			return context.Cause(parent)
		}
		return failure.New(failure.Unavailable, "the lead was lost")
	})
}

// Once sends what is due now and returns when the PipelineRuns exist. It needs no lead. It is Unavailable if some could not be started.
func (w *Watcher) Once(ctx context.Context) error {
	return w.watching(ctx, func(ctx context.Context) error { return w.lead(ctx, true) })
}

// watching runs the caches around work.
func (w *Watcher) watching(ctx context.Context, work func(context.Context) error) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: w.clients.Kube.CoreV1().Events(w.o.Namespace)})
	w.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	w.caches.start(watching, &wg)
	return work(ctx)
}

// Handler serves /healthz, /readyz and /metrics. Ready means that all of the namespace is known, whoever leads; unhealthy, that this
// replica leads and does not get on.
func (w *Watcher) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", w.o.Metrics.Handler())
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, _ *http.Request) {
		if !w.caches.started.Load() || !w.caches.synced() {
			http.Error(rw, "not everything is known yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(rw, "ok")
	})
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) {
		if turned := w.turned.Load(); turned != 0 && time.Since(time.Unix(0, turned)) > stuck {
			http.Error(rw, "the leader does not get on", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(rw, "ok")
	})
	return mux
}
