package engine

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	nettypes "go.podman.io/common/libnetwork/types"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"go.podman.io/buildah/define"
	"go.podman.io/buildah/imagebuildah"
	"go.podman.io/buildah/pkg/sourcepolicy"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// build makes the image and exports its new layers.
func build(ctx context.Context, b wire.Build) (*wire.Image, error) {
	if err := prepareTemp(b); err != nil {
		return nil, err
	}
	store, err := openStore(b)
	if err != nil {
		return nil, err
	}
	defer store.Shutdown(true) //nolint:errcheck // the namespace of mounts ends with this process
	if err := pull(ctx, store, b); err != nil {
		return nil, err
	}
	options, err := buildOptions(b)
	if err != nil {
		return nil, err
	}
	// Under a fixed name: the library would run a preprocessor over some.
	file := filepath.Join(b.Temp, "Dockerfile")
	if err := os.WriteFile(file, b.Dockerfile, 0o600); err != nil {
		return nil, failure.New(failure.Storage, "writing the Dockerfile: %w", err)
	}
	id, _, err := imagebuildah.BuildDockerfiles(ctx, store, options, file)
	if err != nil {
		return nil, err
	}
	return export(ctx, store, id, b)
}

// pulls is how many bases are fetched at once.
const pulls = 2

// pull puts all bases into the storage.
func pull(ctx context.Context, store storage.Store, b wire.Build) error {
	source := &bases{store: store, socket: os.NewFile(wire.Blobs, "blobs")}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pulls)
	seen := map[string]bool{}
	for _, base := range b.Bases {
		key := base.Repository + base.Digest
		if seen[key] {
			continue
		}
		seen[key] = true
		group.Go(func() error { return source.ensure(ctx, base) })
	}
	return group.Wait()
}

// policy pins every base to what detect-base found, and refuses all else: whatever way of naming an image a Dockerfile finds, the
// build has nothing that was not pinned.
func policy(b wire.Build) (string, error) {
	var p sourcepolicy.Policy
	for _, base := range b.Bases {
		name, err := pinned(base)
		if err != nil {
			return "", err
		}
		p.Rules = append(p.Rules, sourcepolicy.Rule{
			Action:   sourcepolicy.ActionConvert,
			Selector: sourcepolicy.Selector{Identifier: sourcepolicy.ImageSourceIdentifier(base.Reference), MatchType: sourcepolicy.MatchTypeExact},
			Updates:  &sourcepolicy.Updates{Identifier: "docker-image://" + name},
		})
	}
	// The library asks about the images of its own steps too, by their ids. A reference of the same length would only be looked for
	// in the storage, where bases have longer names; a Dockerfile that names an id is refused before the engine starts.
	for _, last := range []struct {
		action sourcepolicy.Action
		what   string
	}{{sourcepolicy.ActionAllow, strings.Repeat("?", 2*sha256.Size)}, {sourcepolicy.ActionDeny, "*"}} {
		p.Rules = append(p.Rules, sourcepolicy.Rule{Action: last.action, Selector: sourcepolicy.Selector{
			Identifier: "docker-image://" + last.what, MatchType: sourcepolicy.MatchTypeWildcard,
		}})
	}
	data, err := json.Marshal(p)
	if err != nil {
		return "", failure.New(failure.Internal, "encoding the source policy: %w", err)
	}
	path := filepath.Join(b.Temp, "source-policy.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", failure.New(failure.Storage, "writing the source policy: %w", err)
	}
	return path, nil
}

// buildOptions says to the library what it must do, and keeps it from looking for anything on the machine.
func buildOptions(b wire.Build) (define.BuildOptions, error) {
	sources, err := policy(b)
	if err != nil {
		return define.BuildOptions{}, err
	}
	secrets, err := linkSecrets(b)
	if err != nil {
		return define.BuildOptions{}, err
	}
	signatures := filepath.Join(b.Temp, "policy.json")
	format := define.OCIv1ImageManifest
	if b.Docker {
		format = define.Dockerv2ImageManifest
	}
	fileTime := b.FileTime.UTC()
	return define.BuildOptions{
		ContextDirectory: filepath.Join(b.Temp, contextDir), Excludes: b.Ignore, Target: b.Target, Args: b.Args, SourcePolicyFile: sources,
		Isolation: define.IsolationChroot, OutputFormat: format, Compression: define.Uncompressed,
		PullPolicy: define.PullNever, SignaturePolicyPath: signatures,
		Layers: true, NoCache: !b.LayerCache, RemoveIntermediateCtrs: true, ForceRmIntermediateCtrs: true,
		SourceDateEpoch: &fileTime, RewriteTimestamp: true, CreatedAnnotation: types.OptionalBoolFalse,
		Out: os.Stdout, Err: os.Stdout, ReportWriter: os.Stdout,
		CommonBuildOpts:  &define.CommonBuildOptions{Secrets: secrets, HTTPProxy: true, Ulimit: ownLimits(), IdentityLabel: types.OptionalBoolFalse},
		ConfigureNetwork: define.NetworkDisabled, NetworkInterface: noNetwork{},
		NamespaceOptions:      []define.NamespaceOption{{Name: "network", Host: true}},
		IDMappingOptions:      &define.IDMappingOptions{HostUIDMapping: true, HostGIDMapping: true},
		DefaultMountsFilePath: filepath.Join(b.Temp, "mounts.conf"),
		SystemContext: &types.SystemContext{
			SignaturePolicyPath: signatures, SystemRegistriesConfPath: filepath.Join(b.Temp, "registries.conf"),
			SystemRegistriesConfDirPath: filepath.Join(b.Temp, "none"), BigFilesTemporaryDir: b.Temp, BlobInfoCacheDir: b.Temp,
			OSChoice: b.OS, ArchitectureChoice: b.Architecture, VariantChoice: b.Variant,
		},
		Platforms: []struct{ OS, Arch, Variant string }{{b.OS, b.Architecture, b.Variant}},
	}, nil
}

// linkSecrets gives the files names that the library's syntax can hold.
func linkSecrets(b wire.Build) ([]string, error) {
	ids := make([]string, 0, len(b.Secrets))
	for id := range b.Secrets {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	secrets := make([]string, 0, len(ids))
	for i, id := range ids {
		link := filepath.Join(b.Temp, "secrets", strconv.Itoa(i))
		if err := os.Symlink(b.Secrets[id], link); err != nil {
			return nil, failure.New(failure.Storage, "preparing secret %s: %w", id, err)
		}
		secrets = append(secrets, fmt.Sprintf("id=%s,src=%s", id, link))
	}
	return secrets, nil
}

// ownLimits passes our own limits on to RUN: the library's default for open files needs a capability where ours are lower.
func ownLimits() []string {
	var limits []string
	for name, resource := range map[string]int{"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC} {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) == nil {
			limits = append(limits, fmt.Sprintf("%s=%d:%d", name, int64(l.Max), int64(l.Max)))
		}
	}
	return limits
}

// noNetwork keeps the library from looking for a program that sets networks up: RUN has the build's own.
type noNetwork struct{ nettypes.ContainerNetwork }

func (noNetwork) Drivers() []string                                              { return nil }
func (noNetwork) DefaultNetworkName() string                                     { return "none" }
func (noNetwork) NetworkList(...nettypes.FilterFunc) ([]nettypes.Network, error) { return nil, nil }
func (noNetwork) NetworkInspect(name string) (nettypes.Network, error) {
	return nettypes.Network{}, failure.New(failure.NotFound, "no network %q", name)
}
