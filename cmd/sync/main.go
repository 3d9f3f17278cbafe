// Command sync is the sync stage: it brings the pushed image into mirror registries, a directory and a Pulp server, as far as
// they are configured.
package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

func main() { step.Main(spec()) }

func spec() step.Spec {
	return step.Spec{
		Name:      "sync",
		Summary:   "brings the pushed image into mirror registries, a directory and a Pulp server, whichever are configured",
		Results:   []step.Result{{Name: "locations", Description: "where the image now is, separated by commas"}},
		Skippable: true,
		Flags:     flags,
	}
}

// settings are the values of the flags.
type settings struct {
	access                    *registry.Flags
	mirrors                   *string
	jobs                      *int
	archiveDir, archiveFormat *string
	pulpURL, pulpAPIPrefix    *string
	pulpRegistry, pulpCA      *string
	pulpSecret, pulpPrefix    *string
	pulpTimeout               *time.Duration
	pulpRetain                *int
}

func flags(f *step.FlagSet) step.Run {
	s := settings{
		access:        registry.RegisterFlags(f, "registries that were pushed into, of which the first is synced from"),
		jobs:          f.Int("jobs", 0, "blobs to copy at once; 0 means the default"),
		mirrors:       f.String("mirror-registry-uri", "", "further registries to copy the image into, separated by commas; empty means none"),
		archiveDir:    f.String("archive-dir", "", "directory to store the image in as a tar file; empty means none"),
		archiveFormat: f.String("archive-format", "oci", "form of the tar file: oci (an OCI image layout) or docker (for docker load)"),
		pulpURL:       f.String("pulp-url", "", "Pulp 3 server to sync into, such as https://pulp.example.com; empty means none"),
		pulpAPIPrefix: f.String("pulp-api-prefix", pulp.DefaultAPIPrefix, "what Pulp's administrator has set API_ROOT to; a domain's name may follow"),
		pulpRegistry:  f.String("pulp-registry", "", "host[:port] of the registry that Pulp serves, if it is not the one that Pulp names"),
		pulpSecret:    f.String("pulp-secret-dir", "", "directory with Pulp's mounted secret: username and password, or tls.crt and tls.key, or both"),
		pulpCA:        f.String("pulp-ca-file", "", "file with CA certificates to trust at Pulp besides the system's"),
		pulpPrefix:    f.String("pulp-repository-prefix", "", "prefix of the repository's name in Pulp"),
		pulpTimeout:   f.Duration("pulp-timeout", pulp.DefaultTimeout, "how long Pulp may take"),
		pulpRetain:    f.Int("pulp-retain-versions", 0, "how many versions of a repository Pulp keeps; 0 leaves to Pulp what it does"),
	}
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		client, targets, err := s.targets(env)
		if err != nil {
			return err
		}
		record, err := imagesync.Run(ctx, imagesync.Options{Env: env, Workspace: f.Workspace(), Registry: client, Targets: targets})
		if err != nil {
			return err
		}
		locations := make([]string, 0, len(record.Targets))
		for _, t := range record.Targets {
			locations = append(locations, t.Location)
		}
		return out.Set("locations", strings.Join(locations, ","))
	}
}

// targets are those that the flags configure: the fastest first.
func (s settings) targets(env step.Env) (*registry.Client, []imagesync.Target, error) {
	mirrors, err := registry.ParseURIs(*s.mirrors)
	if err != nil {
		return nil, nil, err
	}
	client, _, err := s.access.Open(env, mirrors...)
	if err != nil {
		return nil, nil, err
	}
	var targets []imagesync.Target
	for _, uri := range mirrors {
		targets = append(targets, &imagesync.Registry{Client: client, URI: uri, Jobs: *s.jobs})
	}
	if *s.archiveDir != "" {
		format, err := imagesync.ParseFormat(*s.archiveFormat)
		if err != nil {
			return nil, nil, err
		}
		targets = append(targets, &imagesync.Directory{Path: *s.archiveDir, Format: format})
	}
	if *s.pulpURL != "" {
		target, err := s.pulp(env, client)
		if err != nil {
			return nil, nil, err
		}
		targets = append(targets, target)
	}
	return client, targets, nil
}

// pulp is the Pulp server, and the registry that it serves.
func (s settings) pulp(env step.Env, source *registry.Client) (*imagesync.Pulp, error) {
	if *s.pulpRetain < 0 {
		return nil, failure.WithHint(failure.New(failure.Usage, "-pulp-retain-versions %d is no number of versions", *s.pulpRetain), "0 leaves to Pulp what it does")
	}
	client, err := pulp.New(pulp.Options{
		Env: env, URL: *s.pulpURL, APIPrefix: *s.pulpAPIPrefix, SecretDir: env.MountedSecret(*s.pulpSecret), CAFile: *s.pulpCA, Timeout: *s.pulpTimeout,
	})
	if err != nil {
		return nil, err
	}
	var plain []registry.URI
	if u, err := url.Parse(*s.pulpURL); err == nil && u.Scheme == "http" {
		plain = append(plain, registry.URI{Host: u.Host, Insecure: true})
	}
	served, _, err := s.access.OpenTrusting(env, *s.pulpCA, plain...)
	if err != nil {
		return nil, err
	}
	return &imagesync.Pulp{
		Client: client, Prefix: *s.pulpPrefix, Source: source, SourceCAFile: s.access.CAFile(), Served: served, RegistryName: *s.pulpRegistry,
		RetainVersions: *s.pulpRetain,
	}, nil
}
