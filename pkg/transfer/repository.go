// Package transfer moves images into a repository of a registry: blobs in parallel and streaming, each skipped, mounted or sent,
// then manifests, each read back. Nothing is held in memory but manifests.
//
// push sends a built image with it, sync copies one, and import moves a tag:
//
//	repo, err := transfer.Open(ctx, client, env, name, transfer.Push)
//	err = repo.Tag(ctx, digest, "latest")
package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// Access is what will be done with a repository; token servers want to know beforehand.
type Access string

// The kinds of access.
const (
	Pull = Access(transport.PullScope)
	Push = Access(transport.PushScope)
)

// Repository is one repository of a registry, with an authenticated connection. It is safe for concurrent use.
type Repository struct {
	name   name.Repository
	env    step.Env
	client *http.Client
	// wholeLimit and partSize are defaultWholeLimit and defaultPartSize, but in tests.
	wholeLimit, partSize int64
	// onlyWhole says that the registry takes no parts of a blob.
	onlyWhole atomic.Bool
}

// Open authenticates for the repository. Blobs of the repositories in mountFrom can be mounted if they are in the same registry and
// may be read; that they may not is no error. Errors are those of registry.Classify.
func Open(ctx context.Context, c *registry.Client, env step.Env, repo name.Repository, access Access, mountFrom ...name.Repository) (*Repository, error) {
	auth, err := authn.Resolve(ctx, c.Keychain(), repo)
	if err != nil {
		return nil, failure.New(failure.Unauthorized, "credentials for %s: %w", repo, err)
	}
	scopes := []string{repo.Scope(string(access))}
	own := len(scopes)
	for _, other := range mountFrom {
		if other.RegistryStr() == repo.RegistryStr() && other.RepositoryStr() != repo.RepositoryStr() {
			scopes = append(scopes, other.Scope(transport.PullScope))
		}
	}
	base := transport.NewUserAgent(c.Transport(), "osbs")
	rt, err := transport.NewWithContext(ctx, repo.Registry, auth, base, scopes)
	if err != nil && len(scopes) > own && failure.KindOf(registry.Classify(err, repo.String())) == failure.Unauthorized {
		rt, err = transport.NewWithContext(ctx, repo.Registry, auth, base, scopes[:own]) // without mounting, then
	}
	if err != nil {
		return nil, registry.Classify(err, repo.String())
	}
	return &Repository{name: repo, env: env.WithDefaults(), client: &http.Client{Transport: rt}, wholeLimit: defaultWholeLimit, partSize: defaultPartSize}, nil
}

// Name is the repository's name, registry included.
func (r *Repository) Name() name.Repository { return r.name }

// Manifest is a manifest or an index, byte for byte.
type Manifest struct {
	Raw       []byte
	MediaType types.MediaType
	Digest    v1.Hash
}

// maxManifest bounds a manifest, in bytes; registries accept 4 MiB.
const maxManifest = 8 << 20

// url is the address of something below the repository. The transport corrects the scheme.
func (r *Repository) url(path string, query url.Values) string {
	u := url.URL{Scheme: r.name.Scheme(), Host: r.name.RegistryStr(), Path: "/v2/" + r.name.RepositoryStr() + "/" + path, RawQuery: query.Encode()}
	return u.String()
}

// do sends a request and gives errors and unexpected answers their kind; ref names what it is about.
func (r *Repository) do(req *http.Request, ref string, expected ...int) (*http.Response, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, registry.Classify(err, ref)
	}
	if err := transport.CheckError(resp, expected...); err != nil {
		_ = resp.Body.Close()
		return nil, registry.Classify(err, ref)
	}
	return resp, nil
}

// acceptManifests asks for manifests as they are, not converted.
var acceptManifests = []string{
	string(types.OCIManifestSchema1), string(types.OCIImageIndex), string(types.DockerManifestSchema2), string(types.DockerManifestList),
}

// reference spells a tag or digest of the repository for messages.
func (r *Repository) reference(identifier string) string {
	if _, err := v1.NewHash(identifier); err == nil {
		return r.name.String() + "@" + identifier
	}
	return r.name.String() + ":" + identifier
}

// Manifest fetches by tag or digest. That it does not exist is failure.NotFound; that content asked for by digest has another one is
// failure.Untrusted.
func (r *Repository) Manifest(ctx context.Context, identifier string) (Manifest, error) {
	m, err := r.fetch(ctx, identifier)
	if err != nil {
		return Manifest{}, err
	}
	ref := r.reference(identifier)
	if wanted, err := v1.NewHash(identifier); err == nil && wanted != m.Digest {
		return Manifest{}, failure.New(failure.Untrusted, "%s: the registry sent a manifest that differs from its digest: it has %s", ref, m.Digest)
	}
	if !json.Valid(m.Raw) {
		return Manifest{}, failure.New(failure.Unavailable, "%s: registry %s answered something that is not a manifest", ref, r.name.RegistryStr())
	}
	return m, nil
}

// fetch is Manifest without a look at what came.
func (r *Repository) fetch(ctx context.Context, identifier string) (Manifest, error) {
	ref := r.reference(identifier)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url("manifests/"+identifier, nil), nil)
	if err != nil {
		return Manifest{}, fmt.Errorf("fetching the manifest %s: %w", ref, err)
	}
	req.Header["Accept"] = acceptManifests
	resp, err := r.do(req, ref, http.StatusOK)
	if err != nil {
		return Manifest{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
	if err != nil {
		return Manifest{}, registry.Classify(err, ref)
	}
	if len(raw) > maxManifest {
		return Manifest{}, failure.New(failure.Unavailable, "%s: the manifest is larger than %d bytes", ref, maxManifest)
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return Manifest{}, fmt.Errorf("hashing the manifest %s: %w", ref, err)
	}
	return Manifest{Raw: raw, MediaType: mediaType(raw, resp.Header.Get("Content-Type")), Digest: digest}, nil
}

// mediaType trusts what the manifest says of itself, which its digest covers, before what the server says.
func mediaType(raw []byte, header string) types.MediaType {
	var own struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &own); err == nil && own.MediaType != "" {
		return own.MediaType
	}
	return types.MediaType(header)
}

// Resolve is the digest of a tag or digest; found is false if it does not exist.
func (r *Repository) Resolve(ctx context.Context, identifier string) (digest v1.Hash, found bool, err error) {
	ref := r.reference(identifier)
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, r.url("manifests/"+identifier, nil), nil)
	if err != nil {
		return v1.Hash{}, false, fmt.Errorf("looking for %s: %w", ref, err)
	}
	req.Header["Accept"] = acceptManifests
	resp, err := r.do(req, ref, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return v1.Hash{}, false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return v1.Hash{}, false, nil
	}
	if digest, err = v1.NewHash(resp.Header.Get("Docker-Content-Digest")); err == nil {
		return digest, true, nil
	}
	m, err := r.Manifest(ctx, identifier) // a registry that does not tell digests: the content does
	if failure.KindOf(err) == failure.NotFound {
		return v1.Hash{}, false, nil
	}
	return m.Digest, err == nil, err
}

// PutManifest stores a manifest under a tag or under its digest, and reads it back: what the registry then has must be the same, or
// the error is failure.Untrusted.
func (r *Repository) PutManifest(ctx context.Context, identifier string, m Manifest) error {
	ref := r.reference(identifier)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.url("manifests/"+identifier, nil), bytes.NewReader(m.Raw))
	if err != nil {
		return fmt.Errorf("putting the manifest %s: %w", ref, err)
	}
	req.Header.Set("Content-Type", string(m.MediaType))
	resp, err := r.do(req, ref, http.StatusCreated, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return registry.Classify(err, ref)
	}
	return r.verify(ctx, identifier, m.Digest)
}

// verify reads back what identifier now means and compares the content's digest.
func (r *Repository) verify(ctx context.Context, identifier string, want v1.Hash) error {
	back, err := r.fetch(ctx, identifier)
	if failure.KindOf(err) == failure.NotFound {
		return failure.New(failure.Untrusted, "%s was pushed, but the registry does not have it: %w", r.reference(identifier), err)
	}
	if err != nil {
		return fmt.Errorf("reading back %s: %w", r.reference(identifier), err)
	}
	if back.Digest != want {
		return failure.New(failure.Untrusted, "%s: the registry has digest %s, pushed was %s", r.reference(identifier), back.Digest, want)
	}
	return nil
}

// Tag makes a tag mean the image with the digest, which the repository has already; nothing is uploaded but the manifest. A tag
// that means it already is left alone, and moved tells so. The tag is read back.
func (r *Repository) Tag(ctx context.Context, digest v1.Hash, tag string) (moved bool, err error) {
	if !validTag.MatchString(tag) {
		return false, failure.New(failure.InvalidInput, "tag %q is malformed", tag)
	}
	now, found, err := r.Resolve(ctx, tag)
	if err != nil || (found && now == digest) {
		return false, err
	}
	m, err := r.Manifest(ctx, digest.String())
	if err != nil {
		return false, err
	}
	return true, r.PutManifest(ctx, tag, m)
}

// validTag is what the OCI distribution specification allows; go-containerregistry accepts more.
var validTag = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)

// errDigest says that a blob's content is not what its digest says.
var errDigest = errors.New("content differs from its digest")
