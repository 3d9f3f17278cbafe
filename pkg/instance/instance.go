// Package instance opens the instance that the settings name.
package instance

import (
	"context"
	"log/slog"
	"os"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/local"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/progress"
)

// Option adjusts what osbs.conf has no key for.
type Option func(*local.Config)

// WithLog has messages that concern no single build go to log.
func WithLog(log *slog.Logger) Option { return func(c *local.Config) { c.Log = log } }

// WithProgress has the progress of builds shown by p, besides their logs.
func WithProgress(p progress.Reporter) Option { return func(c *local.Config) { c.Progress = p } }

// Open opens the instance of conf: the local one, or one on a cluster, as osbsconf.Load returned it. name, if not empty, must be that instance's. Close what it returns.
func Open(ctx context.Context, conf *osbsconf.Config, name string, options ...Option) (osbs.Instance, error) {
	if name != "" && name != conf.Instance {
		return nil, failure.New(failure.Internal, "the settings are those of instance %q, not of %q", conf.Instance, name)
	}
	if !conf.IsLocal() {
		c := local.Config{Log: slog.New(slog.DiscardHandler)}
		for _, option := range options {
			option(&c)
		}
		return openCluster(conf, c.Log)
	}
	c, err := Local(conf)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(&c)
	}
	return local.Open(ctx, c)
}

// Local are the settings of the local instance, in that package's words.
func Local(conf *osbsconf.Config) (local.Config, error) {
	dir := conf.DataDir
	if dir == "" {
		var err error
		if dir, err = local.DefaultDataDir(os.Getenv); err != nil {
			return local.Config{}, err
		}
	}
	policy, err := lock.ParsePolicy(conf.LockPolicy)
	if err != nil {
		return local.Config{}, err
	}
	return local.Config{
		DataDir:     dir,
		RegistryURI: conf.RegistryURI, RegistrySecretDirs: conf.RegistrySecret, RegistryCAFile: conf.RegistryCAFile,
		RegistryInsecure: conf.RegistryInsecure, SourceRegistryURI: conf.SourceRegistryURI, HomeRegistry: conf.HomeRegistry,
		GitSecretDir: conf.GitSecret, GitCAFile: conf.GitCAFile, Submodules: conf.Submodules,
		Home: os.Getenv("HOME"), AgentSocket: os.Getenv("SSH_AUTH_SOCK"),
		MirrorRegistryURI: conf.MirrorRegistryURI, ArchiveDir: conf.ArchiveDir, ArchiveFormat: conf.ArchiveFormat,
		Pulp: local.Pulp{
			URL: conf.Pulp.URL, APIPrefix: conf.Pulp.APIPrefix, SecretDir: conf.Pulp.Secret, CAFile: conf.Pulp.CAFile,
			Registry: conf.Pulp.Registry, RepositoryPrefix: conf.Pulp.RepositoryPrefix, Timeout: conf.Pulp.Timeout,
			RetainVersions: conf.Pulp.RetainVersions,
		},
		StorageDriver: conf.StorageDriver, NoLayerCache: !conf.LayerCache, Format: conf.Format, Compression: conf.Compression,
		BuildSecrets: conf.BuildSecret, LockPolicy: policy, LockTimeout: conf.LockTimeout,
		RepoConfig: conf.RepoConfig, BumpRelease: conf.BumpRelease, NoEarlyCutoff: !conf.EarlyCutoff,
	}, nil
}
