package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// Attached is what belongs to an image without being part of it: signatures, attestations, bills of materials.
type Attached struct {
	// Tags are those whose names are made of the digest of what they belong to, and what each means: cosign's sha256-<hex>.sig, .att and
	// .sbom, and sha256-<hex>, the index of referrers where a registry does not keep one itself (OCI distribution specification,
	// "Referrers Tag Schema").
	Tags map[string]v1.Hash
	// Referrers are the manifests that name a subject, as the registry lists them, by the digest of the subject.
	Referrers map[v1.Hash][]v1.Descriptor
}

// IsEmpty says that nothing is attached.
func (a Attached) IsEmpty() bool { return len(a.Tags) == 0 && len(a.Referrers) == 0 }

// companionSuffixes are those of the tags that are looked for.
var companionSuffixes = []string{".sig", ".att", ".sbom", ""}

const (
	maxSubjects     = 200 // manifests for which attached ones are looked for
	maxReferrers    = 1000
	maxReferrerPage = 20
)

// companionTag is the tag for what is attached to a manifest.
func companionTag(subject v1.Hash, suffix string) string {
	return subject.Algorithm + "-" + subject.Hex + suffix
}

// Attached finds what is attached to the image, to the manifests of its platforms, and to what is attached to those.
func (r *Repository) Attached(ctx context.Context, src Source, digest string) (Attached, error) {
	all, err := List(ctx, src, digest)
	if err != nil {
		return Attached{}, err
	}
	found := Attached{Tags: map[string]v1.Hash{}, Referrers: map[v1.Hash][]v1.Descriptor{}}
	subjects := []v1.Hash{all.Top.Digest}
	for _, m := range all.Children {
		subjects = append(subjects, m.Digest)
	}
	for seen := map[v1.Hash]bool{}; len(subjects) > 0; {
		subject := subjects[0]
		subjects = subjects[1:]
		if seen[subject] {
			continue
		}
		if seen[subject] = true; len(seen) > maxSubjects {
			return Attached{}, failure.New(failure.InvalidInput, "%s: more than %d manifests have something attached", r.reference(digest), maxSubjects)
		}
		more, err := r.attachedTo(ctx, subject, found)
		if err != nil {
			return Attached{}, fmt.Errorf("looking for signatures and other referrers: %w", err)
		}
		subjects = append(subjects, more...)
	}
	return found, nil
}

// attachedTo adds what is attached to one manifest, and returns what may have something attached itself.
func (r *Repository) attachedTo(ctx context.Context, subject v1.Hash, found Attached) (more []v1.Hash, err error) {
	for _, suffix := range companionSuffixes {
		tag := companionTag(subject, suffix)
		digest, exists, err := r.Resolve(ctx, tag)
		if err != nil {
			return nil, err
		}
		if exists {
			found.Tags[tag] = digest
		}
		if exists && suffix == "" {
			if more, err = r.listed(ctx, digest); err != nil {
				return nil, err
			}
		}
	}
	referrers, _, err := r.referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	if len(referrers) > 0 {
		found.Referrers[subject] = referrers
	}
	for _, d := range referrers {
		more = append(more, d.Digest)
	}
	return more, nil
}

// listed are the manifests of an index; none if it is something else.
func (r *Repository) listed(ctx context.Context, digest v1.Hash) (list []v1.Hash, err error) {
	m, err := r.Manifest(ctx, digest.String())
	if err != nil || !m.MediaType.IsIndex() {
		return nil, err
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(m.Raw))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "index %s is malformed: %w", digest, err)
	}
	for _, d := range index.Manifests {
		list = append(list, d.Digest)
	}
	return list, nil
}

// referrers asks the registry for the manifests that name the subject. A registry that does not know the question says 404, or
// something else that is no index: then supported is false.
func (r *Repository) referrers(ctx context.Context, subject v1.Hash) (list []v1.Descriptor, supported bool, err error) {
	next := r.url("referrers/"+subject.String(), nil)
	for range maxReferrerPage {
		index, following, err := r.referrerPage(ctx, next, subject)
		if err != nil || index == nil {
			return list, supported, err
		}
		supported = true
		if list = append(list, index.Manifests...); len(list) > maxReferrers {
			break
		}
		if following == "" {
			return list, true, nil
		}
		next = following
	}
	return nil, true, failure.New(failure.InvalidInput, "%s has more than %d referrers", r.reference(subject.String()), maxReferrers)
}

// referrerPage is one page of the answer, nil if the registry does not know the question, and where the next is.
func (r *Repository) referrerPage(ctx context.Context, address string, subject v1.Hash) (*v1.IndexManifest, string, error) {
	ref := "referrers of " + r.reference(subject.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", fmt.Errorf("asking for the %s: %w", ref, err)
	}
	req.Header.Set("Accept", string(types.OCIImageIndex))
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, "", registry.Classify(err, ref)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), string(types.OCIImageIndex)) {
		return nil, "", nil // registries without it answer in many ways
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest))
	if err != nil {
		return nil, "", registry.Classify(err, ref)
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, "", failure.New(failure.Unavailable, "%s: the registry's answer is malformed: %w", ref, err)
	}
	following, err := nextPage(resp)
	return index, following, err
}

// nextPage is the address in `Link: <...>; rel="next"`. One on another host would get the credentials, and is refused.
func nextPage(resp *http.Response) (string, error) {
	link := resp.Header.Get("Link")
	target, parameters, found := strings.Cut(strings.TrimPrefix(link, "<"), ">")
	if !found || !strings.Contains(parameters, "next") {
		return "", nil
	}
	next, err := resp.Request.URL.Parse(target)
	if err != nil || next.Host != resp.Request.URL.Host {
		return "", failure.New(failure.Untrusted, "registry %s continues a list on another host", resp.Request.URL.Host)
	}
	return (&url.URL{Scheme: next.Scheme, Host: next.Host, Path: next.Path, RawQuery: next.RawQuery}).String(), nil
}

// Attach brings what is attached to an image from the repository that it was found in. In a registry that keeps no index of referrers,
// the tag for it is written.
func (r *Repository) Attach(ctx context.Context, src *Repository, a Attached, jobs int) error {
	for _, subject := range slices.SortedFunc(maps.Keys(a.Referrers), compareHashes) {
		for _, d := range a.Referrers[subject] {
			if err := r.copyManifest(ctx, src, d.Digest, d.Digest.String(), jobs); err != nil {
				return err
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(a.Tags)) {
		if err := r.copyManifest(ctx, src, a.Tags[tag], tag, jobs); err != nil {
			return err
		}
	}
	for subject, list := range a.Referrers {
		if err := r.indexReferrers(ctx, subject, list); err != nil {
			return err
		}
	}
	return nil
}

func compareHashes(a, b v1.Hash) int { return strings.Compare(a.String(), b.String()) }

// copyManifest brings a manifest and all that it refers to, under a tag or its digest, unless it is there.
func (r *Repository) copyManifest(ctx context.Context, src *Repository, digest v1.Hash, identifier string, jobs int) error {
	now, found, err := r.Resolve(ctx, identifier)
	if err != nil || found && now == digest {
		return err
	}
	top, _, err := r.Blobs(ctx, src, digest.String(), jobs)
	if err != nil {
		return fmt.Errorf("copying %s: %w", identifier, err)
	}
	return r.PutManifest(ctx, identifier, top)
}

// indexReferrers adds the referrers to the tag that stands in for the registry's own list, if it has none.
func (r *Repository) indexReferrers(ctx context.Context, subject v1.Hash, add []v1.Descriptor) error {
	_, supported, err := r.referrers(ctx, subject)
	if err != nil || supported {
		return err
	}
	tag := companionTag(subject, "")
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	switch m, err := r.Manifest(ctx, tag); {
	case failure.KindOf(err) == failure.NotFound:
	case err != nil:
		return err
	case json.Unmarshal(m.Raw, &index) != nil || !m.MediaType.IsIndex():
		return failure.New(failure.Conflict, "%s exists and is no index of referrers", r.reference(tag))
	}
	changed := false
	for _, d := range add {
		if !slices.ContainsFunc(index.Manifests, func(have v1.Descriptor) bool { return have.Digest == d.Digest }) {
			index.Manifests, changed = append(index.Manifests, d), true
		}
	}
	if !changed {
		return nil
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encoding the index of referrers: %w", err)
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	if err != nil {
		return errors.Join(errors.New("hashing the index of referrers"), err)
	}
	return r.PutManifest(ctx, tag, Manifest{Raw: raw, MediaType: types.OCIImageIndex, Digest: digest})
}
