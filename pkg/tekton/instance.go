package tekton

import (
	"context"
	"log/slog"
	"sync"
	"time"

	imageclient "github.com/openshift/client-go/image/clientset/versioned"
	pipeline "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// Config is where an instance is, and what it is reached with.
type Config struct {
	// Namespace is where everything of the instance lives.
	Namespace string
	// Name is the name that the generator gave its objects: that of the Pipeline.
	Name       string
	Kubernetes kubernetes.Interface
	Pipelines  pipeline.Interface
	// Images reaches ImageStreams, those of other namespaces too; Runs lists the namespace's PipelineRuns in little memory. See package
	// situation.
	Images imageclient.Interface
	Runs   cache.ListerWatcher
	// BuildConfigs and ImageStreams are those of the namespace.
	BuildConfigs buildconfig.Store
	ImageStreams imageimport.Store
	// Params are what the site's osbs.conf says about every build, by the name of the Pipeline's param.
	Params map[string]string
	Log    *slog.Logger
	Now    func() time.Time
}

// Instance implements osbs.Instance on a cluster. Builds go on when it is closed.
type Instance struct {
	conf Config

	mu sync.Mutex
	// started are the builds that this instance has created.
	started []string
}

var _ osbs.Instance = (*Instance)(nil)

// Open makes an instance. It does not talk to the cluster yet.
func Open(c Config) *Instance {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Instance{conf: c}
}

// BuildConfigs implements osbs.Instance.
func (i *Instance) BuildConfigs(ctx context.Context) ([]buildconfig.BuildConfig, error) {
	list, err := i.conf.BuildConfigs.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]buildconfig.BuildConfig, 0, len(list))
	for _, bc := range list {
		out = append(out, *bc)
	}
	return out, nil
}

// Wait implements osbs.Instance: it returns when the builds that were created here have ended. Rebuilds that they cause are the
// cluster's own business and are not waited for.
func (i *Instance) Wait(ctx context.Context) error {
	i.mu.Lock()
	started := append([]string(nil), i.started...)
	i.mu.Unlock()
	for _, name := range started {
		for event, err := range i.Watch(ctx, name) {
			if err != nil {
				return err
			}
			if event.Build.State.Ended() {
				break
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// Close implements osbs.Instance. Builds go on.
func (i *Instance) Close() error { return nil }

// classify gives an error of the API server its kind. doing says what was being done.
func classify(doing string, err error) error {
	err = cluster.Classify(err)
	if err == nil || failure.KindOf(err) == failure.Cancelled || failure.KindOf(err) == failure.TimedOut {
		return err
	}
	return failure.New(failure.KindOf(err), "%s: %w", doing, err)
}
