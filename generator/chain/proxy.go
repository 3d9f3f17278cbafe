package chain

import (
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
)

// insideCluster are the hosts that no proxy outside can reach: services by their names, and the API server by the address that its
// clients in pods use, which Kubernetes puts in the place of the variable when the container starts.
var insideCluster = []string{"kubernetes.default.svc", ".svc", ".cluster.local", "$(KUBERNETES_SERVICE_HOST)"}

// proxies sets the environment variables that programs take their proxies from, where the step has none of its own. The lock stage
// speaks to the API server alone.
func proxies(cfg *config.Config, stage string, step *yaml.Node) {
	p := cfg.Proxy
	if p.HTTP+p.HTTPS == "" || stage == lock {
		return
	}
	for _, variable := range []setting{{"HTTP_PROXY", p.HTTP}, {"HTTPS_PROXY", p.HTTPS}, {"NO_PROXY", strings.Join(slices.Concat(p.NoProxy, insideCluster), ",")}} {
		if variable.value != "" && !hasEnv(step, variable.param) {
			setEnv(step, variable.param, variable.value)
		}
	}
}

// hasEnv says whether a step has a variable, in either of the two spellings that the variables of proxies have.
func hasEnv(step *yaml.Node, name string) bool {
	return slices.ContainsFunc(tree.Items(step, "env"), func(env *yaml.Node) bool { return strings.EqualFold(tree.Text(env, "name"), name) })
}
