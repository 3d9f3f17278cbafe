package config

import "slices"

// Default is the configuration of a site that has said nothing. A setting that is empty here has the default of its stage.
func Default() *Config {
	return &Config{ //nolint:gosec // names of Secrets, not secrets
		Name:           "osbs",
		Layout:         Layout{Name: Chained},
		GitSecret:      "osbs-git",
		RegistrySecret: List{"osbs-registry"},
		PulpSecret:     "osbs-pulp",
		BuildSecurity:  UserNamespace,
		Workspace:      Workspace{Size: "10Gi", AccessMode: readWriteOnce},
		Timeout:        "4h",
		Autorebuild:    Autorebuild{WebhookSecret: "osbs-webhook", MaxConcurrent: 5, Rate: 30}, //nolint:gosec // see above
	}
}

// The stages that have rules of their own here.
const (
	lockStage   = "lock"
	buildStage  = "build"
	syncStage   = "sync"
	importStage = "import"
)

// The access modes that a workspace can have.
const (
	readWriteOnce = "ReadWriteOnce"
	readWriteMany = "ReadWriteMany"
)

// pods are the stages of each pod, of those that are in the chain. A partition with faults is returned as it is.
func (c *Config) pods(stages []string) [][]string {
	var pods [][]string
	switch c.Layout.Name {
	case Fused:
		pods = [][]string{stages}
	case Balanced:
		i := slices.Index(stages, buildStage)
		pods = [][]string{stages[:i], {buildStage}, stages[i+1:]}
	case Chained:
		for _, stage := range stages {
			pods = append(pods, []string{stage})
		}
	default:
		pods = c.Layout.Pods
	}
	out := make([][]string, 0, len(pods))
	for _, pod := range pods {
		out = append(out, slices.DeleteFunc(slices.Clone(pod), func(stage string) bool { return !c.Configured(stage) }))
	}
	return out
}
