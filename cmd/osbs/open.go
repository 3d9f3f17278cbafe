package main

import (
	"context"
	"log/slog"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/local"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/progress"
)

// openInstance opens the instance that the settings are for.
func openInstance(ctx context.Context, c *osbsconf.Config, getenv func(string) string, log *slog.Logger, p progress.Reporter) (osbs.Instance, error) {
	if !c.IsLocal() {
		return nil, failure.WithHint(failure.New(failure.Usage, "instance %q is on a cluster, and this osbs runs builds on the local instance only", c.Instance),
			"-i %s builds on this machine", osbsconf.Local)
	}
	dir := c.DataDir
	if dir == "" {
		var err error
		if dir, err = local.DefaultDataDir(getenv); err != nil {
			return nil, err
		}
	}
	return local.Open(ctx, local.Config{
		DataDir: dir, RegistryURI: c.RegistryURI, RegistrySecretDirs: c.RegistrySecret, RegistryCAFile: c.RegistryCAFile,
		RegistryInsecure: c.RegistryInsecure, SourceRegistryURI: c.SourceRegistryURI, HomeRegistry: c.HomeRegistry,
		GitSecretDir: c.GitSecret, GitCAFile: c.GitCAFile, Submodules: c.Submodules,
		MirrorRegistryURI: c.MirrorRegistryURI, ArchiveDir: c.ArchiveDir, ArchiveFormat: c.ArchiveFormat,
		Pulp: local.Pulp{
			URL: c.PulpURL, RegistryName: c.PulpRegistryName, SecretDir: c.PulpSecret, CAFile: c.PulpCAFile,
			RepositoryPrefix: c.PulpRepositoryPrefix, Timeout: c.PulpTimeout,
		},
		StorageDriver: c.StorageDriver, NoLayerCache: !c.LayerCache, Format: c.Format, Compression: c.Compression, Isolation: c.Isolation,
		BuildSecrets: c.BuildSecret, LockPolicy: lock.Policy(c.LockPolicy), LockTimeout: c.LockTimeout,
		RepoConfig: c.RepoConfig, BumpRelease: c.BumpRelease, Jobs: c.Jobs, Parallel: c.Parallel, KeepBuilds: c.KeepBuilds,
		Log: log, Progress: p,
	})
}
