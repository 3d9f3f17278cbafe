package config

// Config is everything that a site decides about its pipeline. The keys are those of osbs.conf where there is one; a list may be
// written as one string with commas between its elements, as osbs.conf has it. What is left out has the default of Default, and
// what a site has not configured (no Pulp, no mirror) is not in the Pipeline at all.
type Config struct {
	// File is what was read, for messages.
	File string `json:"-"`

	// Name is the name of the Pipeline and the prefix of the names of all other objects.
	Name string `json:"name,omitempty"`
	// Namespace is written into every object if it is set; the objects that grant rights to a service account need it.
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// Layout says which stages share a pod.
	Layout Layout `json:"layout,omitzero"`
	// Platforms are os/arch[/variant]; with more than one, the build stage runs once for each, and push makes one index of them.
	Platforms []string `json:"platforms,omitempty"`

	GitSecret      string  `json:"git_secret,omitempty"`
	GitCA          *Source `json:"git_ca,omitempty"`
	Submodules     *bool   `json:"submodules,omitempty"`
	CommitterName  string  `json:"committer_name,omitempty"`
	CommitterEmail string  `json:"committer_email,omitempty"`

	RegistryURI       List    `json:"registry_uri,omitempty"`
	RegistrySecret    List    `json:"registry_secret,omitempty"`
	RegistryCA        *Source `json:"registry_ca,omitempty"`
	RegistryInsecure  List    `json:"registry_insecure,omitempty"`
	SourceRegistryURI string  `json:"source_registry_uri,omitempty"`
	HomeRegistry      List    `json:"home_registry,omitempty"`

	// PulpSyncRegistryName goes before PulpRegistryName, as in OSBS.
	PulpRegistryName     string  `json:"pulp_registry_name,omitempty"`
	PulpSyncRegistryName string  `json:"pulp_sync_registry_name,omitempty"`
	PulpURL              string  `json:"pulp_url,omitempty"`
	PulpSecret           string  `json:"pulp_secret,omitempty"`
	PulpCA               *Source `json:"pulp_ca,omitempty"`
	PulpRepositoryPrefix string  `json:"pulp_repository_prefix,omitempty"`
	PulpTimeout          string  `json:"pulp_timeout,omitempty"`
	MirrorRegistryURI    string  `json:"mirror_registry_uri,omitempty"`
	// ArchiveVolume is a volume, such as an NFS share, into whose directory ArchiveDir the sync stage stores images as files.
	ArchiveVolume *Volume `json:"archive_volume,omitempty"`
	ArchiveDir    string  `json:"archive_dir,omitempty"`
	ArchiveFormat string  `json:"archive_format,omitempty"`

	RepoConfig  string `json:"repo_config,omitempty"`
	BumpRelease string `json:"bump_release,omitempty"`
	LockPolicy  string `json:"lock_policy,omitempty"`
	// LockTimeout is a duration, such as 2h; empty means no limit.
	LockTimeout string        `json:"lock_timeout,omitempty"`
	LayerCache  *bool         `json:"layer_cache,omitempty"`
	Format      string        `json:"format,omitempty"`
	Compression string        `json:"compression,omitempty"`
	Isolation   string        `json:"isolation,omitempty"`
	BuildSecret []BuildSecret `json:"build_secret,omitempty"`
	// Jobs is how many blobs are sent at once; 0 is the stage's own number.
	Jobs int `json:"jobs,omitempty"`

	// Workspace is the volume that the stages of a build share. The layout fused has none: an emptyDir of its pod serves.
	Workspace Workspace `json:"workspace,omitzero"`
	// Storage, if set, is the volume in which the build stage keeps layers between builds.
	Storage *Volume `json:"storage,omitempty"`
	// BuildSecurity is how the build stage gets what it needs: UserNamespace or Capabilities.
	BuildSecurity string `json:"build_security,omitempty"`
	// Timeout is how long a whole build may take, a duration.
	Timeout string `json:"timeout,omitempty"`
	// Stages are settings of single stages, by the stage's name.
	Stages map[string]Stage `json:"stages,omitempty"`

	Autorebuild Autorebuild `json:"autorebuild,omitzero"`
}

// The ways in which the build stage gets what it needs; see docs/build-engine.md.
const (
	// UserNamespace runs the pod of the build stage in a user namespace (hostUsers: false): its root is nobody on the node.
	UserNamespace = "user-namespace"
	// Capabilities gives the build stage SETUID, SETGID and SETFCAP and a seccomp profile of the node, for namespaces that enforce
	// the Pod Security level baseline.
	Capabilities = "capabilities"
)

// The layouts that have a name.
const (
	// Chained is a pod for each stage.
	Chained = "chained"
	// Balanced is three pods: what comes before the build, the build, what comes after it.
	Balanced = "balanced"
	// Fused is one pod for all stages.
	Fused = "fused"
)

// Layout is a partition of the stages into pods: one of the names above, or lists of stages in the order of the chain.
type Layout struct {
	// Name is empty if Pods is set.
	Name string
	// Pods are the stages of each pod.
	Pods [][]string
}

// List is a list of strings, written as one or as a string with commas.
type List []string

// Source is where certificates are: a key of a ConfigMap or of a Secret.
type Source struct {
	ConfigMap string `json:"config_map,omitempty"`
	Secret    string `json:"secret,omitempty"`
	// Key is ca.crt if nothing is said.
	Key string `json:"key,omitempty"`
}

// Volume is an existing volume: a claim, or an NFS share.
type Volume struct {
	Claim string     `json:"claim,omitempty"`
	NFS   *NFSVolume `json:"nfs,omitempty"`
}

// NFSVolume is a directory that an NFS server exports.
type NFSVolume struct {
	Server string `json:"server"`
	Path   string `json:"path"`
}

// Workspace describes the claim that is made for each build, and removed with it.
type Workspace struct {
	Size         string `json:"size,omitempty"`
	StorageClass string `json:"storage_class,omitempty"`
	AccessMode   string `json:"access_mode,omitempty"`
}

// BuildSecret is a file that RUN --mount=type=secret,id=ID sees: a key of a Secret.
type BuildSecret struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
	Key    string `json:"key"`
}

// Stage is what a site can say about one stage, in the words of Kubernetes.
type Stage struct {
	// Image replaces the image of the stage's step binary.
	Image     string            `json:"image,omitempty"`
	Resources *Resources        `json:"resources,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	// Timeout is a duration. Retries says how often Tekton runs the stage again when it failed: only where the stage has a pod of its own.
	Timeout        string            `json:"timeout,omitempty"`
	Retries        int               `json:"retries,omitempty"`
	ServiceAccount string            `json:"service_account,omitempty"`
	NodeSelector   map[string]string `json:"node_selector,omitempty"`
	Tolerations    []map[string]any  `json:"tolerations,omitempty"`
	// PodTemplate is merged into the pod template of the stage's pod, as Tekton documents it.
	PodTemplate map[string]any `json:"pod_template,omitempty"`
}

// Resources are Kubernetes' compute resources of a step.
type Resources struct {
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

// Autorebuild are the settings of what rebuilds images when their base changes.
type Autorebuild struct {
	// Enabled is true if nothing is said. If it is false, no trigger and no watcher is rendered.
	Enabled *bool `json:"enabled,omitempty"`
	// WebhookSecret is the Secret whose key `token` signs events.
	WebhookSecret string `json:"webhook_secret,omitempty"`
	// MaxConcurrent is how many rebuilds may run at once; Rate is how many may start in a minute.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	Rate          int `json:"rate,omitempty"`
	// WatchNamespaces are further namespaces whose ImageStreams may be bases.
	WatchNamespaces List `json:"watch_namespaces,omitempty"`
	// ScheduledImports gives a base that has no ImageStream one that OpenShift imports regularly. True if nothing is said.
	ScheduledImports *bool `json:"scheduled_imports,omitempty"`
	// Image replaces the watcher's image.
	Image     string     `json:"image,omitempty"`
	Resources *Resources `json:"resources,omitempty"`
}
