// Command imagewatch rebuilds images when their bases move: it watches ImageStreams, and asks an EventListener for the builds that are
// due. It has the flags, logs and signals of a step binary, though it is none: it runs until it is ended.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagewatch"
	"github.com/osbs-tekton/osbs/pkg/situation"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/tracing"
)

func main() { step.Main(spec()) }

func spec() step.Spec {
	return step.Spec{
		Name:    "imagewatch",
		Summary: "watches ImageStreams, and asks an EventListener for a rebuild of what is built on those that have moved",
		Flags:   flags,
	}
}

// settings are the flags that are not options of the watcher.
type settings struct {
	namespace, kubeconfig, listen *string
	watchNamespaces, insecure     *[]string
	once                          *bool
	requests                      *int
}

func flags(f *step.FlagSet) step.Run {
	o := imagewatch.Options{}
	s := settings{
		namespace:       f.String("namespace", "", "namespace of the build configs; empty means the pod's own, or that of the kubeconfig's context"),
		kubeconfig:      f.String("kubeconfig", "", "file that says where the cluster is and how to log in; empty means $KUBECONFIG, or the pod's service account"),
		listen:          f.String("listen", ":8080", "address that serves /healthz, /readyz and /metrics"),
		watchNamespaces: f.Words("watch-namespace", "further namespace whose ImageStreams may be bases"),
		insecure:        f.Words("registry-insecure", "registry host that scheduled imports may reach without TLS"),
		once:            f.Bool("once", false, "ask for what is due now, wait until it has begun, and end"),
		requests:        f.Int("api-rate", 50, "requests to the API server in a second, at most"),
	}
	f.StringVar(&o.Name, "name", imagewatch.DefaultName, "prefix of the names of the EventListener and of the leader's Lease")
	f.StringVar(&o.URL, "event-listener-url", "", "URL of the EventListener; empty means http://el-NAME.NAMESPACE.svc:8080")
	f.StringVar(&o.TokenFile, "token-file", "/etc/osbs/webhook/token", "file with the token that signs events")
	f.IntVar(&o.MaxConcurrent, "max-concurrent", imagewatch.DefaultMaxConcurrent, "builds that may run at once before no rebuild is started; 0 means no bound")
	f.IntVar(&o.Rate, "rate", imagewatch.DefaultRate, "rebuilds that may start in a minute; 0 means no bound")
	f.IntVar(&o.InFlight, "in-flight", imagewatch.DefaultInFlight, "events at a time whose PipelineRun does not exist yet")
	f.DurationVar(&o.ConfirmTimeout, "confirm-timeout", imagewatch.DefaultConfirmTimeout, "how long after an event its PipelineRun must exist, else the event is sent again")
	f.BoolVar(&o.ScheduledImports, "scheduled-imports", true, "give a base that has no ImageStream one that is imported regularly")
	return func(ctx context.Context, env step.Env, _ *step.Results) error {
		o.Log, o.WatchNamespaces, o.Insecure = env.Log, *s.watchNamespaces, *s.insecure
		klog.SetSlogLogger(env.Log)
		return s.run(ctx, o)
	}
}

func (s settings) run(ctx context.Context, o imagewatch.Options) error {
	found, err := cluster.Find(cluster.Options{Kubeconfig: *s.kubeconfig, Namespace: *s.namespace})
	if err != nil {
		return err
	}
	if *s.requests < 1 {
		return failure.New(failure.Usage, "api-rate %d: it must be positive", *s.requests)
	}
	o.Namespace = found.Namespace
	if o.URL == "" {
		o.URL = fmt.Sprintf("http://el-%s.%s.svc:8080", o.Name, o.Namespace)
	}
	if o.Identity, err = os.Hostname(); err != nil {
		return failure.New(failure.Internal, "finding the name of this replica: %w", err)
	}
	o.Identity = fmt.Sprintf("%s_%d", o.Identity, os.Getpid())
	config := rest.CopyConfig(found.REST)
	config.UserAgent, config.QPS, config.Burst = "osbs-imagewatch", float32(*s.requests), 2**s.requests
	traces, err := tracing.Open(ctx, o.Log, "osbs-imagewatch", attribute.String("k8s.namespace.name", o.Namespace), attribute.String("service.instance.id", o.Identity))
	if err != nil {
		return err
	}
	defer traces.Close(ctx)
	o.Tracer = traces.Tracer()
	clients, err := situation.Connect(config, o.Namespace)
	if err != nil {
		return err
	}
	w, err := imagewatch.New(o, clients)
	if err != nil {
		return err
	}
	if *s.once {
		return w.Once(ctx)
	}
	return serve(ctx, *s.listen, w)
}

// serve watches, and answers probes and Prometheus meanwhile.
func serve(ctx context.Context, address string, w *imagewatch.Watcher) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return failure.New(failure.Usage, "listening on %s: %w", address, err)
	}
	server := &http.Server{Handler: w.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(failure.New(failure.Unavailable, "serving probes: %w", err))
		}
	}()
	defer server.Close()
	return w.Run(ctx)
}
