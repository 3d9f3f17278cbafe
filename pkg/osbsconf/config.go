package osbsconf

import (
	"time"

	"github.com/osbs-tekton/osbs/pkg/registry"
)

const (
	// Local is the instance that is built in; a section [local] adjusts it.
	Local = "local"
	// Cluster is the other instance that is built in: the cluster and namespace of kubectl's current context. A section [cluster]
	// adjusts it.
	Cluster = "cluster"
	// General is the section whose settings are those of every instance.
	General = "general"
	// Default is the instance that OSBS used when none was named. It is used here, too, if there is such a section.
	Default = "default"
)

// Config is the settings of one instance. The fields are named for the keys, and keys are named for flags: registry_uri is
// --registry-uri and OSBS_REGISTRY_URI.
type Config struct {
	// Instance is the name of the instance; File is what was read, empty if there is no osbs.conf.
	Instance string
	File     string

	Verbose bool

	// Where a cluster is, and how to log in to it. The local instance has none of these.
	Namespace    string
	OpenshiftURL string
	Kubeconfig   string
	Context      string
	Username     string
	Password     string
	Token        string
	TokenFile    string
	ClientCert   string
	ClientKey    string
	CAFile       string
	VerifySSL    bool
	// Pipeline is the name that the generator gave to the Pipeline and to all that belongs to it.
	Pipeline string

	// What osbs build takes when its flags do not say otherwise.
	GitURL       string
	GitBranch    string
	GitCommit    string
	User         string
	Component    string
	Target       string
	Architecture string
	Platform     string
	Scratch      bool
	CPULimit     string
	MemoryLimit  string

	// GitSecret has the credentials for git, RegistrySecret those for registries, by position of RegistryURI. A secret is the name of
	// a Secret on a cluster, and a directory with the same files on the local instance.
	GitSecret      string
	GitCAFile      string
	Submodules     bool
	RegistryURI    []registry.URI
	RegistrySecret []string
	RegistryCAFile string
	// RegistryInsecure are the hosts that may have plain HTTP or a certificate that nobody trusts.
	RegistryInsecure []string
	// SourceRegistryURI is where a FROM without a registry is pulled from; other registries are refused then.
	SourceRegistryURI *registry.URI
	// HomeRegistry are further registries whose images have the same ImageStreams as those of RegistryURI.
	HomeRegistry []string

	// PulpRegistryName is pulp_sync_registry_name, or pulp_registry_name if that is not set: the NAME of a section [pulp.NAME].
	PulpRegistryName string
	// PulpSecret is the secret of a Pulp whose section names none.
	PulpSecret string
	// Pulp is the one that PulpRegistryName names; it has no URL if none is named.
	Pulp              Pulp
	MirrorRegistryURI []registry.URI
	ArchiveDir        string
	ArchiveFormat     string

	RepoConfig  string
	BumpRelease string
	EarlyCutoff bool
	LockPolicy  string
	LockTimeout time.Duration
	LayerCache  bool
	Format      string
	Compression string
	// BuildSecret are id=path.
	BuildSecret   []string
	StorageDriver string
	// Isolation of RUN instructions.
	Isolation string
	// Jobs is how many layers are pushed at once, Parallel how many builds the local instance runs at once, KeepBuilds how many that
	// have ended it keeps. 0 is the instance's own number.
	Jobs, Parallel, KeepBuilds int
	// DataDir is where the local instance keeps everything.
	DataDir string
}

// IsLocal says that builds run on this machine, without a cluster.
func (c *Config) IsLocal() bool { return c.Instance == Local }

// Secrets are the values that no log may show.
func (c *Config) Secrets() []string {
	var out []string
	for _, s := range []string{c.Password, c.Token} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// defaults are the settings when nobody says anything else.
func defaults() Config {
	return Config{VerifySSL: true, LayerCache: true, EarlyCutoff: true, Pipeline: "osbs"}
}
