package imagesync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/transfer"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Pulp is a Target: a Pulp 3 server, which takes the image over from the registry that it was pushed into.
type Pulp struct {
	Client *pulp.Client
	// Prefix of the repository's name in Pulp.
	Prefix string
	// Source reaches the registry that the image was pushed into; its credentials are handed to Pulp.
	Source *registry.Client
	// SourceCAFile is handed to Pulp too; empty means that Pulp trusts its system's certificates.
	SourceCAFile string
	// Served reaches the registry that Pulp serves.
	Served *registry.Client
	// RegistryName is host[:port] of the registry that Pulp serves, if it is not reached under the name that Pulp gives.
	RegistryName string
	// RetainVersions is how many versions of a repository Pulp keeps; 0 leaves to Pulp what it does.
	RetainVersions int
	// Lag is how long Pulp's registry may take to serve what Pulp has; 0 means DefaultLag. Poll is the pause between two looks; 0
	// means a second.
	Lag, Poll time.Duration
}

// DefaultLag is how long content may need to appear at Pulp's registry.
const DefaultLag = 2 * time.Minute

var _ Target = (*Pulp)(nil)

// Kind implements Target.
func (*Pulp) Kind() string { return "pulp" }

// String implements Target.
func (p *Pulp) String() string { return p.Client.Host() }

// Tag implements Target. The digest of every tag at Pulp's registry is compared with the image's.
func (p *Pulp) Tag(ctx context.Context, image Image) error {
	request, err := p.request(ctx, image)
	if err != nil {
		return err
	}
	registry, err := p.Client.Tag(ctx, request, image.Floating)
	if err != nil {
		return err
	}
	for _, tag := range image.Floating {
		if err := p.verify(ctx, image, p.servedName(registry), tag); err != nil {
			return err
		}
		image.Log.Info("floating tag", "tag", p.servedName(registry)+":"+tag, "digest", image.Digest)
	}
	return nil
}

// servedName is the name under which the image is read back.
func (p *Pulp) servedName(registry string) string {
	if _, path, found := strings.Cut(registry, "/"); found && p.RegistryName != "" {
		return p.RegistryName + "/" + path
	}
	return registry
}

// Sync implements Target. When Pulp has finished, the digest of every tag at Pulp's registry is compared with what was pushed.
func (p *Pulp) Sync(ctx context.Context, image Image) (workspace.SyncedTarget, error) {
	request, err := p.request(ctx, image)
	if err != nil {
		return workspace.SyncedTarget{}, err
	}
	result, err := p.Client.Sync(ctx, request)
	if err != nil {
		return workspace.SyncedTarget{}, err
	}
	served := p.servedName(result.Registry)
	for _, tag := range image.Tags {
		if err := p.verify(ctx, image, served, tag); err != nil {
			return workspace.SyncedTarget{}, err
		}
	}
	return workspace.SyncedTarget{Location: served + ":" + image.Best(), Digest: image.Digest, Existed: result.Existed}, nil
}

// request says what Pulp is to do.
func (p *Pulp) request(ctx context.Context, image Image) (pulp.Request, error) {
	repo, err := p.Source.ParseRepository(image.Repository)
	if err != nil {
		return pulp.Request{}, err
	}
	r := pulp.Request{
		Repository: pulp.RepositoryName(p.Prefix, image.Name), BasePath: image.Name, Upstream: repo.RepositoryStr(), Tags: image.Tags, Digest: image.Digest,
		Source: "https://" + repo.RegistryStr(), Insecure: p.Source.Insecure(repo.RegistryStr()),
		RetainVersions: p.RetainVersions,
	}
	r.Companions, r.Referrers = attached(image)
	if r.Insecure {
		r.Source = repo.Scheme() + "://" + repo.RegistryStr()
	}
	auth, err := authn.Resolve(ctx, p.Source.Keychain(), repo)
	if err != nil {
		return pulp.Request{}, failure.New(failure.Unauthorized, "credentials for %s: %w", repo, err)
	}
	account, err := authn.Authorization(ctx, auth)
	if err != nil {
		return pulp.Request{}, failure.New(failure.Unauthorized, "credentials for %s: %w", repo, err)
	}
	r.Username, r.Password = account.Username, account.Password
	r.CA, r.ClientCertificate, r.ClientKey = p.Source.Certificates(repo.RegistryStr())
	if p.SourceCAFile != "" {
		ca, err := os.ReadFile(p.SourceCAFile)
		if err != nil {
			return pulp.Request{}, failure.New(failure.Usage, "CA file is unreadable: %w", err)
		}
		r.CA = strings.TrimSpace(r.CA+"\n"+string(ca)) + "\n"
	}
	return r, nil
}

// attached is what belongs to the image, as Pulp wants to be told.
func attached(image Image) (companions map[string]string, referrers []string) {
	companions = map[string]string{}
	for tag, digest := range image.Attached.Tags {
		companions[tag] = digest.String()
	}
	for subject, list := range image.Attached.Referrers {
		if _, indexed := image.Attached.Tags[subject.Algorithm+"-"+subject.Hex]; indexed {
			continue // they come with the tag
		}
		for _, d := range list {
			referrers = append(referrers, d.Digest.String())
		}
	}
	slices.Sort(referrers)
	if len(referrers) > 0 {
		image.Log.Warn("the registry lists what refers to the image without a tag for it, and Pulp has no such list: it can be had from Pulp by digest only", "count", len(referrers))
	}
	return companions, referrers
}

// verify compares a tag's digest. Content lags behind Pulp's tasks: until then its registry says that there is nothing, or that
// nobody may see it.
func (p *Pulp) verify(ctx context.Context, image Image, served, tag string) error {
	lag, poll := p.Lag, p.Poll
	if lag <= 0 {
		lag = DefaultLag
	}
	if poll <= 0 {
		poll = time.Second
	}
	limit, cancel := context.WithTimeoutCause(ctx, lag, errLag)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		digest, err := p.served(limit, image, served, tag)
		switch kind := failure.KindOf(err); {
		case err == nil && digest == image.Digest:
			return nil
		case err == nil:
			return failure.New(failure.Untrusted, "%s:%s has digest %s at Pulp, pushed was %s", served, tag, digest, image.Digest)
		case ctx.Err() == nil && limit.Err() != nil:
			return failure.New(failure.Unavailable, "%s:%s is not served by Pulp after %s: %w", served, tag, lag, err)
		case kind != failure.NotFound && kind != failure.Unauthorized:
			return err
		}
		select {
		case <-limit.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("waiting for Pulp to serve %s:%s: %w", served, tag, ctx.Err())
			}
			return failure.New(failure.Unavailable, "%s:%s is not served by Pulp after %s: %w", served, tag, lag, errLag)
		case <-ticker.C:
		}
	}
}

var errLag = errors.New("the content does not appear")

// served is the digest that Pulp's registry has.
func (p *Pulp) served(ctx context.Context, image Image, served, tag string) (string, error) {
	name, err := p.Served.ParseRepository(served)
	if err != nil {
		return "", err
	}
	repo, err := transfer.Open(ctx, p.Served, image.Env, name, transfer.Pull)
	if err != nil {
		return "", err
	}
	digest, found, err := repo.Resolve(ctx, tag)
	if err == nil && !found {
		err = failure.New(failure.NotFound, "%s:%s does not exist", served, tag)
	}
	return digest.String(), err
}
