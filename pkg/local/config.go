package local

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// Config says how a local instance builds, and where images go. The zero value is one that needs nothing: the embedded registry in
// the default data directory, no sync. The words are those of osbs.conf and of the stages' flags.
type Config struct {
	// DataDir holds all state; see DefaultDataDir. It must not be empty.
	DataDir string

	// RegistryURI are the registries that images are pushed to. None means the embedded one.
	RegistryURI []registry.URI
	// RegistrySecretDirs hold a dockercfg each, paired with the registries by position; each serves all hosts that it names.
	RegistrySecretDirs []string
	// RegistryCAFile has PEM certificates that are trusted besides the system's.
	RegistryCAFile string
	// RegistryInsecure are hosts that are spoken to in plain HTTP or without checking certificates.
	RegistryInsecure []string
	// SourceRegistryURI is where a base without a registry in its name comes from, and the only one that a base may come from. Empty
	// means: bases without a registry come from the first of RegistryURI, others from where they say.
	SourceRegistryURI *registry.URI
	// HomeRegistry are further registries whose images have the same ImageStreams as those of RegistryURI.
	HomeRegistry []string

	// GitSecretDir holds git credentials in Tekton's format, GitCAFile PEM certificates for git servers.
	GitSecretDir string
	GitCAFile    string
	// Home is the home directory whose .git-credentials and .ssh serve where GitSecretDir has nothing, AgentSocket the address of an
	// ssh agent. Empty means none.
	Home        string
	AgentSocket string
	// Submodules has them cloned, too.
	Submodules bool

	// The targets of the sync stage; without any it does nothing.
	MirrorRegistryURI []registry.URI
	ArchiveDir        string
	ArchiveFormat     string
	Pulp              Pulp

	// Engine is the program that builds: one that calls engine.Main first. Empty means this program, which then must do so.
	Engine string
	// StorageDriver is overlay or vfs; empty means the best that works here.
	StorageDriver string
	// NoLayerCache makes every build run every step.
	NoLayerCache bool
	Format       string
	Compression  string
	Isolation    string
	// BuildSecrets are id=path of files that RUN --mount=type=secret sees.
	BuildSecrets []string

	// LockPolicy is what a user's build does when another of its build config runs; empty means lock.Fail.
	LockPolicy lock.Policy
	// LockTimeout bounds how long a user's build waits for its turn; 0 means as long as it takes.
	LockTimeout time.Duration
	// RepoConfig is the name of the repo config file; empty means .osbs-repo-config.
	RepoConfig string
	// BumpRelease is after-build (if empty), before-build or never.
	BumpRelease string
	// NoEarlyCutoff pushes the image of an autorebuild also when it has the content of the one before it.
	NoEarlyCutoff bool
	// Jobs is how many layers are pushed at once; 0 means the stage's default.
	Jobs int
	// Parallel is how many builds run at once; 0 means one for each processor.
	Parallel int
	// KeepBuilds is how many ended builds are kept; 0 means 100.
	KeepBuilds int

	// Log receives what concerns no single build; nil discards it.
	Log *slog.Logger
	// Progress, if not nil, is told of the progress of every build besides its log.
	Progress progress.Reporter
	// Observe, if not nil, is told of every change of this process's builds, before the build goes on. It must not call the instance.
	Observe func(osbs.Event)
	// Retry bounds tries against servers; the zero value is retry.Default.
	Retry retry.Policy
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Pulp is the Pulp 3 server that images are synced into.
type Pulp struct {
	// URL is the server's; empty means none.
	URL string
	// APIPrefix is what Pulp's administrator has set API_ROOT to; empty means /pulp/.
	APIPrefix string
	// SecretDir holds username and password, or tls.crt and tls.key, or both; CAFile PEM certificates that are trusted besides the
	// system's.
	SecretDir string
	CAFile    string
	// Registry is host[:port] of the registry that Pulp serves, where the result is read back, if it is not the one that Pulp names.
	Registry         string
	RepositoryPrefix string
	Timeout          time.Duration
	// RetainVersions is how many versions of a repository Pulp keeps; 0 leaves to Pulp what it does.
	RetainVersions int
}

// defaultKeepBuilds is Config.KeepBuilds if that is 0.
const defaultKeepBuilds = 100

func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, failure.New(failure.Usage, "the local instance needs a data directory")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Parallel <= 0 {
		c.Parallel = runtime.NumCPU()
	}
	if c.KeepBuilds <= 0 {
		c.KeepBuilds = defaultKeepBuilds
	}
	if c.Retry.Attempts == 0 {
		c.Retry = retry.Default
	}
	policy, err := lock.ParsePolicy(string(c.LockPolicy))
	if err != nil {
		return c, err
	}
	c.LockPolicy = policy
	return c, c.checkTargets()
}

// destinations are the registries to push to, and whether they are the embedded one.
func (c Config) destinations() (uris []registry.URI, embedded bool) {
	if len(c.RegistryURI) == 0 {
		return []registry.URI{{Host: RegistryHost, Insecure: true}}, true
	}
	return c.RegistryURI, false
}

// sourceRegistry is where a base without a registry in its name comes from.
func (c Config) sourceRegistry() registry.URI {
	if c.SourceRegistryURI != nil {
		return *c.SourceRegistryURI
	}
	uris, _ := c.destinations()
	return uris[0]
}
