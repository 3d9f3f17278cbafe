package instance

import (
	"log/slog"
	"strings"

	pipeline "github.com/tektoncd/pipeline/pkg/client/clientset/versioned"
	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/pkg/buildconfig/clusterstore"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/situation"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/tekton"
)

// perSecond and burst bound how many requests one command makes: a list of builds reads a namespace page by page.
const perSecond, burst = 50, 100

// FindCluster finds the cluster that the settings name.
func FindCluster(conf *osbsconf.Config) (*cluster.Config, error) {
	return cluster.Find(cluster.Options{
		Namespace: conf.Namespace, Kubeconfig: conf.Kubeconfig, Context: conf.Context, Server: conf.OpenshiftURL,
		Username: conf.Username, Password: conf.Password, Token: conf.Token, TokenFile: conf.TokenFile,
		ClientCert: conf.ClientCert, ClientKey: conf.ClientKey, CAFile: conf.CAFile, Insecure: !conf.VerifySSL,
	})
}

// openCluster opens an instance on a cluster. It does not talk to the cluster yet.
func openCluster(conf *osbsconf.Config, log *slog.Logger) (*tekton.Instance, error) {
	found, err := FindCluster(conf)
	if err != nil {
		return nil, err
	}
	client, err := cluster.New(found, step.Env{Log: log}.WithDefaults())
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(found.REST)
	config.QPS, config.Burst, config.UserAgent = perSecond, burst, "osbs"
	clients, err := situation.Connect(config, found.Namespace)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", found.Origin, err)
	}
	pipelines, err := pipeline.NewForConfig(config)
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", found.Origin, err)
	}
	return tekton.Open(tekton.Config{
		Namespace: found.Namespace, Name: conf.Pipeline, Kubernetes: clients.Kube, Pipelines: pipelines,
		Images: clients.Image, Runs: clients.Runs,
		BuildConfigs: clusterstore.New(client), ImageStreams: imageimport.NewCluster(client),
		Params: params(conf), Log: log,
	}), nil
}

// params are what osbs.conf, the environment or the command line say about every build. What they do not say, the Pipeline does.
func params(conf *osbsconf.Config) map[string]string {
	out := map[string]string{
		"git-secret": conf.GitSecret, "repo-config": conf.RepoConfig, "bump-release": conf.BumpRelease,
		"format": conf.Format, "compression": conf.Compression,
		"registry-insecure": strings.Join(conf.RegistryInsecure, ","), "home-registry": strings.Join(conf.HomeRegistry, ","),
	}
	registries := make([]string, 0, len(conf.RegistryURI))
	for _, r := range conf.RegistryURI {
		registries = append(registries, r.String())
	}
	out["registry-uri"] = strings.Join(registries, ",")
	if len(conf.RegistrySecret) > 0 {
		out["registry-secret"] = conf.RegistrySecret[0]
	}
	if conf.SourceRegistryURI != nil {
		out["source-registry-uri"] = conf.SourceRegistryURI.String()
	}
	if conf.LockTimeout > 0 {
		out["lock-timeout"] = conf.LockTimeout.String()
	}
	return out
}
