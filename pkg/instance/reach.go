package instance

import (
	"log/slog"

	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// Site is the namespace of an instance, for those who install into it.
type Site struct {
	*deploy.Target
	Kubernetes kubernetes.Interface
	// Origin says, for people, what named the cluster.
	Origin string
}

// Reach opens the namespace of an instance on a cluster, whether or not anything is installed there. It does not talk to the cluster yet.
// warn, if not nil, is told what the API server warns of.
func Reach(conf *osbsconf.Config, log *slog.Logger, warn func(string)) (*Site, error) {
	if conf.IsLocal() {
		return nil, failure.WithHint(failure.New(failure.Usage, "instance %s is this machine: there is nothing to install", conf.Instance),
			"-i %s is the cluster that kubectl speaks to", osbsconf.Cluster)
	}
	found, err := FindCluster(conf)
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(found.REST)
	config.QPS, config.Burst, config.UserAgent = perSecond, burst, "osbs"
	config.WarningHandler = warnings(warn)
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", found.Origin, err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", found.Origin, err)
	}
	return &Site{
		Target: &deploy.Target{
			Dynamic: objects, Mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery())),
			Namespace: found.Namespace, Log: log,
		},
		Kubernetes: kube, Origin: found.Origin,
	}, nil
}

// warnings hands on what an API server warns of, once each.
func warnings(warn func(string)) rest.WarningHandler {
	if warn == nil {
		return rest.NoWarnings{}
	}
	return &onceEach{warn: warn, told: map[string]bool{}}
}
