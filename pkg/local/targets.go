package local

import (
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// syncTargets are the places that the instance is configured to sync into: the fastest first, as the sync stage of a cluster has them.
func (r *run) syncTargets() ([]imagesync.Target, error) {
	var targets []imagesync.Target
	for _, mirror := range r.conf.MirrorRegistryURI {
		targets = append(targets, &imagesync.Registry{Client: r.client, URI: mirror, Jobs: r.conf.Jobs})
	}
	if r.conf.ArchiveDir != "" {
		format, err := imagesync.ParseFormat(r.conf.ArchiveFormat)
		if err != nil {
			return nil, err
		}
		targets = append(targets, &imagesync.Directory{Path: r.conf.ArchiveDir, Format: format})
	}
	if r.conf.Pulp.URL != "" {
		target, err := r.pulp()
		if err != nil {
			return nil, err
		}
		targets = append(targets, target)
	}
	return targets, nil
}

func (r *run) pulp() (imagesync.Target, error) {
	conf := r.conf.Pulp
	client, err := pulp.New(pulp.Options{
		Env: r.env, URL: conf.URL, APIPrefix: conf.APIPrefix, SecretDir: conf.SecretDir, CAFile: conf.CAFile, Timeout: conf.Timeout,
	})
	if err != nil {
		return nil, err
	}
	served, err := registry.New(registry.Options{Env: r.env, CAFile: conf.CAFile, Insecure: r.conf.RegistryInsecure})
	if err != nil {
		return nil, err
	}
	return &imagesync.Pulp{
		Client: client, Prefix: conf.RepositoryPrefix, Source: r.client, SourceCAFile: r.conf.RegistryCAFile,
		Served: served, RegistryName: conf.Registry, RetainVersions: conf.RetainVersions,
	}, nil
}

// checkTargets refuses what can never work, before the first build finds out.
func (c Config) checkTargets() error {
	if _, err := imagesync.ParseFormat(c.ArchiveFormat); err != nil {
		return err
	}
	if c.Pulp.URL != "" && len(c.RegistryURI) == 0 {
		return failure.WithHint(failure.New(failure.Usage, "Pulp takes images from a registry that it can reach, and the embedded one is on this machine only"),
			"set registry_uri")
	}
	return nil
}
