package config

import "cmp"

// Config is everything that a site decides about its pipeline. The keys are those of osbs.conf where there is one; a list may be
// written as one string with commas between its elements, as osbs.conf has it. What is left out has the default of Default, and
// what a site has not configured (no Pulp, no mirror) is not in the Pipeline at all.
//
// The comments of the fields are the descriptions of the keys in the JSON schema and in docs/pipeline-configuration.md.
type Config struct {
	// File is what was read, for messages.
	File string `json:"-"`

	// Name is the name of the Pipeline and the prefix of the names of all other objects.
	Name string `json:"name,omitempty"`
	// Namespace is the one that is written into every object. Without it the objects go into the namespace in which they are applied.
	Namespace string `json:"namespace,omitempty"`
	// Labels are those that every object gets, besides the generator's own.
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations are those that every object gets.
	Annotations map[string]string `json:"annotations,omitempty"`

	// Layout says which stages share a pod: chained is a pod for each stage, balanced three (before the build, the build, after it),
	// fused one for all. Or it is a list of pods, each a list of stages, in the order of the chain.
	Layout Layout `json:"layout,omitzero"`
	// Platforms are those that images are for, each os/arch[/variant]. With more than one, the build stage runs once for each, on a
	// node of that architecture, and push makes one index of them. Without it an image is for the architecture of the node.
	Platforms List `json:"platforms,omitempty"`

	// GitSecret is the Secret with the credentials for git, of the type kubernetes.io/basic-auth or kubernetes.io/ssh-auth. It need not exist.
	GitSecret string `json:"git_secret,omitempty"`
	// GitCA has certificates of git servers to trust besides the system's.
	GitCA *Source `json:"git_ca,omitempty"`
	// Submodules says whether to clone submodules.
	Submodules *bool `json:"submodules,omitempty"`
	// CommitterName is the name in the commit that bumps a release.
	CommitterName string `json:"committer_name,omitempty"`
	// CommitterEmail is the email address in the commit that bumps a release.
	CommitterEmail string `json:"committer_email,omitempty"`

	// RegistryURI are the registries to push to. Scheme, /v2 and a trailing slash are optional; /v1 is an error. Without it, each build
	// must name its registries.
	RegistryURI List `json:"registry_uri,omitempty"`
	// RegistrySecret are Secrets with a dockercfg, paired with the registries by position. Each serves all hosts that it names, so one
	// is enough, and further ones may be for the registries that bases come from. They need not exist.
	RegistrySecret List `json:"registry_secret,omitempty"`
	// PullSecret are the Secrets that the service accounts pull images with, for the hosts that no Secret of RegistrySecret names. They
	// need not exist. Without the key, a Secret osbs-pull is taken if it exists.
	PullSecret List `json:"pull_secret,omitempty"`
	// RegistryCA has certificates of registries to trust besides the system's.
	RegistryCA *Source `json:"registry_ca,omitempty"`
	// RegistryInsecure are the hosts that may have plain HTTP, or a certificate that nobody trusts.
	RegistryInsecure List `json:"registry_insecure,omitempty"`
	// SourceRegistryURI is the registry that bases come from; no other may be named in a FROM then.
	SourceRegistryURI string `json:"source_registry_uri,omitempty"`
	// HomeRegistry are further registries whose images have the same ImageStreams as those of RegistryURI.
	HomeRegistry List `json:"home_registry,omitempty"`

	// Proxy is how the stages reach what is outside the cluster.
	Proxy Proxy `json:"proxy,omitzero"`

	// PulpRegistryName names the entry of pulp to sync into.
	PulpRegistryName string `json:"pulp_registry_name,omitempty"`
	// PulpSyncRegistryName goes before PulpRegistryName, as in OSBS.
	PulpSyncRegistryName string `json:"pulp_sync_registry_name,omitempty"`
	// PulpSecret is the secret of the entries of pulp that name none.
	PulpSecret string `json:"pulp_secret,omitempty"`
	// Pulp are Pulp 3 servers, by the names that PulpRegistryName and PulpSyncRegistryName have for them. OSBS had them in dockpulp's
	// configuration.
	Pulp map[string]Pulp `json:"pulp,omitempty"`
	// MirrorRegistryURI are further registries to copy images into. Each gets the floating tags only when all have the image.
	MirrorRegistryURI List `json:"mirror_registry_uri,omitempty"`
	// ArchiveVolume is a volume, such as an NFS share, in which the sync stage stores images as files.
	ArchiveVolume *Volume `json:"archive_volume,omitempty"`
	// ArchiveDir is the directory of ArchiveVolume for the files, relative to the volume's top. Without it they lie at the top.
	ArchiveDir string `json:"archive_dir,omitempty"`
	// ArchiveFormat is the form of the files: an OCI image layout, or what docker load reads.
	ArchiveFormat string `json:"archive_format,omitempty"`

	// RepoConfig is the name of the repo config file.
	RepoConfig string `json:"repo_config,omitempty"`
	// BumpRelease says when an autorebuild pushes the bumped release.
	BumpRelease string `json:"bump_release,omitempty"`
	// EarlyCutoff says whether an autorebuild ends without pushing anything when its image has the content of the one before it, so that
	// what is built on it is not rebuilt either.
	EarlyCutoff *bool `json:"early_cutoff,omitempty"`
	// LockPolicy is what a build does while another of its build config runs.
	LockPolicy string `json:"lock_policy,omitempty"`
	// LockTimeout is how long a build waits for another of its build config. Without it a build waits as long as it may take.
	LockTimeout string `json:"lock_timeout,omitempty"`
	// LayerCache says whether steps that were done before are taken from the storage.
	LayerCache *bool `json:"layer_cache,omitempty"`
	// Format is the format of images; auto is oci, but docker where the Dockerfile needs it.
	Format string `json:"format,omitempty"`
	// Compression is that of new layers.
	Compression string `json:"compression,omitempty"`
	// Isolation is how RUN instructions are kept apart from the build.
	Isolation string `json:"isolation,omitempty"`
	// BuildSecret are files that RUN --mount=type=secret,id=ID sees.
	BuildSecret []BuildSecret `json:"build_secret,omitempty"`
	// Jobs is how many blobs are sent at once; 0 is the stage's own number.
	Jobs int `json:"jobs,omitempty"`

	// Workspace is the volume that the stages of a build share: a claim that is made for each build, and removed with it. The layout
	// fused has none: an emptyDir of its pod serves.
	Workspace Workspace `json:"workspace,omitzero"`
	// Storage is the volume in which the build stage keeps layers between builds. Without it nothing is kept.
	Storage *Volume `json:"storage,omitempty"`
	// BuildSecurity is how the build stage gets what it needs: user-namespace runs its pod in a user namespace (hostUsers: false), so
	// that its root is nobody on the node; capabilities gives it SETUID, SETGID and SETFCAP and a seccomp profile of the node, for
	// namespaces that enforce the Pod Security level baseline.
	BuildSecurity string `json:"build_security,omitempty"`
	// Timeout is how long a whole build may take, and each stage that has no timeout of its own.
	Timeout string `json:"timeout,omitempty"`
	// Stages are settings of single stages, by the stage's name.
	Stages map[string]Stage `json:"stages,omitempty"`

	// Autorebuild are the settings of what rebuilds images when their base changes.
	Autorebuild Autorebuild `json:"autorebuild,omitzero"`
}

// Configured says whether a stage is in the chain: sync is if there is something to sync into, all others always are.
func (c *Config) Configured(stage string) bool {
	return stage != syncStage || c.NamedPulp().URL != "" || len(c.MirrorRegistryURI) > 0 || c.ArchiveVolume != nil
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
	// ConfigMap is the name of the ConfigMap.
	ConfigMap string `json:"config_map,omitempty"`
	// Secret is the name of the Secret, if it is not a ConfigMap.
	Secret string `json:"secret,omitempty"`
	// Key is the key whose value is the certificates, in PEM.
	Key string `json:"key,omitempty"`
}

// CertificatesKey is the key of certificates whose Source names none, and the name of the file in which they are mounted.
const CertificatesKey = "ca.crt"

// DataKey is the key whose value is the certificates.
func (s Source) DataKey() string { return cmp.Or(s.Key, CertificatesKey) }

// Proxy is how the stages reach what is outside the cluster. It sets the usual environment variables of the stages that reach out, where
// stages.STAGE.env does not.
type Proxy struct {
	// HTTP is the proxy for http:// URLs. It holds no credentials.
	HTTP string `json:"http,omitempty"`
	// HTTPS is the proxy for https:// URLs, spoken to with CONNECT. It holds no credentials.
	HTTPS string `json:"https,omitempty"`
	// NoProxy are hosts, domains such as .example.com, addresses and networks that are reached directly, besides those of the cluster:
	// the API server, .svc and .cluster.local.
	NoProxy List `json:"no_proxy,omitempty"`
}

// Pulp is a Pulp 3 server to sync into.
type Pulp struct {
	// URL is the server's, without a path.
	URL string `json:"url"`
	// APIPrefix is what Pulp's administrator has set API_ROOT to. Where Pulp has domains, the name of one follows, as in /pulp/team/.
	APIPrefix string `json:"api_prefix,omitempty"`
	// Secret is the Secret with Pulp's username and password, or with tls.crt and tls.key, or with all of them. It need not exist. Without
	// this key it is pulp_secret.
	Secret string `json:"secret,omitempty"`
	// CA has certificates to trust at Pulp besides the system's.
	CA *Source `json:"ca,omitempty"`
	// Registry is host[:port] of the registry that Pulp serves, if it is not the one that Pulp names.
	Registry string `json:"registry,omitempty"`
	// RepositoryPrefix goes before the image's name in the name of a repository in Pulp.
	RepositoryPrefix string `json:"repository_prefix,omitempty"`
	// Timeout is how long Pulp may take.
	Timeout string `json:"timeout,omitempty"`
	// RetainVersions is how many versions of a repository Pulp keeps; 0 leaves to Pulp what it does.
	RetainVersions int `json:"retain_versions,omitempty"`
}

// Volume is an existing volume: a claim, or an NFS share.
type Volume struct {
	// Claim is the name of a PersistentVolumeClaim.
	Claim string `json:"claim,omitempty"`
	// NFS is a directory that an NFS server exports, if it is not a claim.
	NFS *NFSVolume `json:"nfs,omitempty"`
}

// NFSVolume is a directory that an NFS server exports.
type NFSVolume struct {
	// Server is the name or address of the server.
	Server string `json:"server"`
	// Path is the directory that it exports.
	Path string `json:"path"`
}

// Workspace describes the claim that is made for each build, and removed with it.
type Workspace struct {
	// Size is how much a build's source, image and layers may take.
	Size string `json:"size,omitempty"`
	// StorageClass is the class of the claim. Without it the cluster's default is taken.
	StorageClass string `json:"storage_class,omitempty"`
	// AccessMode is ReadWriteMany if pods on several nodes must share the claim, as those of several platforms do.
	AccessMode string `json:"access_mode,omitempty"`
}

// BuildSecret is a file that RUN --mount=type=secret,id=ID sees: a key of a Secret.
type BuildSecret struct {
	// ID is what the Dockerfile calls it.
	ID string `json:"id"`
	// Secret is the name of the Secret.
	Secret string `json:"secret"`
	// Key is the key of the Secret.
	Key string `json:"key"`
}

// Stage is what a site can say about one stage, in the words of Kubernetes.
type Stage struct {
	// Image replaces the image of the stage's step binary.
	Image string `json:"image,omitempty"`
	// Resources are the compute resources of the stage's step.
	Resources *Resources `json:"resources,omitempty"`
	// Env are environment variables of the stage's step.
	Env map[string]string `json:"env,omitempty"`
	// Timeout is how long the stage may take.
	Timeout string `json:"timeout,omitempty"`
	// Retries is how often Tekton runs the stage again when it failed; only for a stage that has a pod of its own.
	Retries int `json:"retries,omitempty"`
	// ServiceAccount is that of the stage's pod. It must exist, and have the rights that the stage needs.
	ServiceAccount string `json:"service_account,omitempty"`
	// NodeSelector are labels of the nodes that the stage's pod may run on.
	NodeSelector map[string]string `json:"node_selector,omitempty"`
	// Tolerations are those of the stage's pod, as Kubernetes has them.
	Tolerations []map[string]any `json:"tolerations,omitempty"`
	// PodTemplate is merged into the pod template of the stage's pod, as Tekton documents it.
	PodTemplate map[string]any `json:"pod_template,omitempty"`
}

// Resources are Kubernetes' compute resources of a step.
type Resources struct {
	// Requests are what a node must have free.
	Requests map[string]string `json:"requests,omitempty"`
	// Limits are what the step may use.
	Limits map[string]string `json:"limits,omitempty"`
}

// Autorebuild are the settings of what rebuilds images when their base changes.
type Autorebuild struct {
	// Enabled says whether triggers and the watcher are rendered.
	Enabled *bool `json:"enabled,omitempty"`
	// WebhookSecret is the Secret whose key token signs events.
	WebhookSecret string `json:"webhook_secret,omitempty"`
	// MaxConcurrent is how many rebuilds may run at once.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	// Rate is how many rebuilds may start in a minute.
	Rate int `json:"rate,omitempty"`
	// WatchNamespaces are further namespaces whose ImageStreams may be bases.
	WatchNamespaces List `json:"watch_namespaces,omitempty"`
	// ScheduledImports says whether a base that has no ImageStream gets one that OpenShift imports regularly.
	ScheduledImports *bool `json:"scheduled_imports,omitempty"`
	// Image replaces the watcher's image.
	Image string `json:"image,omitempty"`
	// Resources are the compute resources of the watcher.
	Resources *Resources `json:"resources,omitempty"`
	// Env are environment variables of the watcher, such as those of OpenTelemetry.
	Env map[string]string `json:"env,omitempty"`
}
