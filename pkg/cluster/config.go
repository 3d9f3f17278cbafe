package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Options say where a cluster is and how to log in to it. What is empty is not given.
type Options struct {
	// Namespace; empty means the pod's own, or that of the kubeconfig's context.
	Namespace string
	// Kubeconfig is a file, Context one of its contexts. Empty means kubectl's own: $KUBECONFIG, or ~/.kube/config, and the current one.
	Kubeconfig, Context string
	// Server is the URL of the API server. With it no kubeconfig is read, so that no credentials go to another server than their own.
	Server string
	// What to log in with; these go before the kubeconfig's.
	Username, Password, Token, TokenFile, ClientCert, ClientKey string
	// CAFile has the certificates that the API server's must be signed by.
	CAFile string
	// Insecure accepts any certificate of the API server.
	Insecure bool
}

// Config is a cluster that was found.
type Config struct {
	REST      *rest.Config
	Namespace string
	// Origin says, for people, what named the cluster.
	Origin string
}

const (
	// namespaceFile is where a pod finds the name of its namespace.
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	// maxNamespace bounds what is read of it, in bytes.
	maxNamespace = 4096
)

// InPod is the cluster that this program runs in, with the rights of its pod's service account. Outside a pod it is failure.Usage.
func InPod(namespace string) (*Config, error) {
	config, err := rest.InClusterConfig()
	if errors.Is(err, rest.ErrNotInCluster) {
		return nil, failure.New(failure.Usage, "no cluster is named, and this program does not run in a pod")
	}
	if err != nil {
		return nil, failure.WithHint(failure.New(failure.Unauthorized, "logging in as the pod's service account: %w", err),
			"the pod needs its service account's token: automountServiceAccountToken must not be false for it")
	}
	if namespace == "" {
		if namespace, err = readNamespace(namespaceFile); err != nil {
			return nil, err
		}
	}
	return &Config{REST: config, Namespace: namespace, Origin: "the pod's service account"}, nil
}

func readNamespace(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", failure.New(failure.Usage, "the namespace is not known: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxNamespace))
	if err != nil {
		return "", failure.New(failure.Storage, "reading the pod's namespace: %w", err)
	}
	namespace := strings.TrimSpace(string(text))
	if namespace == "" {
		return "", failure.New(failure.Usage, "the namespace is not known: %s is empty", file)
	}
	return namespace, nil
}

// Find finds the cluster that the options name: by its server, by a kubeconfig, or, if there is none of these, the one whose pod this is.
func Find(o Options) (*Config, error) {
	if o.Server != "" {
		return o.byServer()
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	rules.WarnIfAllMissing = false
	loaded, err := rules.Load()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, failure.New(failure.Usage, "kubeconfig: %w", err)
		}
		return nil, failure.New(failure.Usage, "kubeconfig is malformed: %w", err)
	}
	if clientcmdapi.IsConfigEmpty(loaded) && o.Kubeconfig == "" && o.Context == "" {
		config, err := InPod(o.Namespace)
		if failure.KindOf(err) == failure.Usage {
			return nil, failure.WithHint(err, "name a server, or a kubeconfig: there is none at %s", strings.Join(rules.GetLoadingPrecedence(), ", "))
		}
		return config, err
	}
	return o.byKubeconfig(*loaded, rules)
}

func (o Options) byKubeconfig(loaded clientcmdapi.Config, rules *clientcmd.ClientConfigLoadingRules) (*Config, error) {
	origin := rules.GetDefaultFilename()
	if o.Kubeconfig != "" {
		origin = o.Kubeconfig
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.Context}
	overrides.Context.Namespace = o.Namespace
	overrides.ClusterInfo.CertificateAuthority, overrides.ClusterInfo.InsecureSkipTLSVerify = o.CAFile, o.Insecure
	overrides.AuthInfo = clientcmdapi.AuthInfo{
		Username: o.Username, Password: o.Password, Token: o.Token, TokenFile: o.TokenFile, ClientCertificate: o.ClientCert, ClientKey: o.ClientKey,
	}
	config := clientcmd.NewNonInteractiveClientConfig(loaded, o.Context, overrides, rules)
	restConfig, err := config.ClientConfig()
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", origin, err)
	}
	namespace, _, err := config.Namespace()
	if err != nil {
		return nil, failure.New(failure.Usage, "%s: %w", origin, err)
	}
	context := o.Context
	if context == "" {
		context = loaded.CurrentContext
	}
	return &Config{REST: restConfig, Namespace: namespace, Origin: fmt.Sprintf("context %q of %s", context, origin)}, nil
}

func (o Options) byServer() (*Config, error) {
	switch {
	case o.Kubeconfig != "" || o.Context != "":
		return nil, failure.New(failure.Usage, "a server (%s) and a kubeconfig or a context are named: which of them is meant?", o.Server)
	case o.Namespace == "":
		return nil, failure.New(failure.Usage, "no namespace is named for the cluster at %s", o.Server)
	case o.Token == "" && o.TokenFile == "" && o.ClientCert == "" && o.Username == "":
		err := failure.New(failure.Usage, "nothing is named to log in with at %s", o.Server)
		return nil, failure.WithHint(err, "a token, a token file, a client certificate with its key, or a user name with its password")
	case (o.ClientCert == "") != (o.ClientKey == ""):
		return nil, failure.New(failure.Usage, "a client certificate and its key must both be named")
	}
	config := &rest.Config{
		Host: o.Server, Username: o.Username, Password: o.Password, BearerToken: o.Token, BearerTokenFile: o.TokenFile,
		TLSClientConfig: rest.TLSClientConfig{CertFile: o.ClientCert, KeyFile: o.ClientKey, CAFile: o.CAFile, Insecure: o.Insecure},
	}
	if o.Insecure {
		config.CAFile = "" // the two exclude each other
	}
	if _, _, err := rest.DefaultServerUrlFor(config); err != nil {
		return nil, failure.New(failure.Usage, "server %q: %w", o.Server, err)
	}
	return &Config{REST: config, Namespace: o.Namespace, Origin: o.Server}, nil
}
