package cluster

import (
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// Flags are those of every step that keeps something in the cluster.
type Flags struct{ namespace, kubeconfig *string }

// RegisterFlags registers the flags.
func RegisterFlags(f *step.FlagSet) *Flags {
	return &Flags{
		namespace:  f.String("namespace", "", "namespace on the cluster; empty means the pod's own, or that of the kubeconfig's context"),
		kubeconfig: f.String("kubeconfig", "", "file that says where the cluster is and how to log in; empty means as the pod's service account"),
	}
}

// Open makes a client of what the flags say, once they are parsed. without names the flags that would do without a cluster.
func (g *Flags) Open(env step.Env, without string) (*Client, error) {
	config, err := g.find()
	if failure.KindOf(err) == failure.Usage {
		err = failure.WithHint(err, "with -kubeconfig there is a cluster, with %s none is needed", without)
	}
	if err != nil {
		return nil, err
	}
	return New(config, env)
}

func (g *Flags) find() (*Config, error) {
	if *g.kubeconfig == "" {
		return InPod(*g.namespace)
	}
	return Find(Options{Kubeconfig: *g.kubeconfig, Namespace: *g.namespace})
}
