package pulp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// Request is an image that Pulp is to take over.
type Request struct {
	// Repository is the name of Pulp's repository, remote and distribution, see RepositoryName.
	Repository string
	// BasePath is the image's name at Pulp's registry.
	BasePath string
	// Source is the registry that Pulp takes the image from, such as https://registry.example.com, and Upstream its name there.
	Source, Upstream string
	// Tags to take over; there must be one. Digest is what all of them mean.
	Tags   []string
	Digest string
	// Companions are the tags of what belongs to the image, such as its signatures, and the digest of each.
	Companions map[string]string
	// Referrers are the digests of what refers to the image and has no tag. A Pulp that cannot take over what has no tag leaves them out.
	Referrers []string
	// Username and Password are for Source; empty means anonymous.
	Username, Password string
	// CA is the PEM certificate that Pulp must trust at Source besides its system's; Insecure makes it trust any.
	CA       string
	Insecure bool
	// ClientCertificate and ClientKey, in PEM, are shown to Source; empty means none.
	ClientCertificate, ClientKey string
	// RetainVersions is how many versions of its repository Pulp keeps; 0 leaves to Pulp what it does.
	RetainVersions int
}

// RepositoryName is the name of the repository in Pulp: the prefix and the image's name, `/` replaced by `-`.
func RepositoryName(prefix, image string) string { return prefix + strings.ReplaceAll(image, "/", "-") }

// Result tells where Pulp serves the image.
type Result struct {
	// Registry is host/name, as Pulp says.
	Registry string
	// Existed says that Pulp had all of it before.
	Existed bool
}

// Sync makes Pulp take the image over, and returns when all of Pulp's tasks have ended well and Pulp's repository has the image under its
// tags. A task that fails or is canceled is failure.Unavailable; a tag that means another image there failure.Untrusted; names that are
// taken by something else failure.Conflict. When Options.Timeout passes, the task is canceled and the error is failure.TimedOut.
func (c *Client) Sync(ctx context.Context, r Request) (Result, error) {
	if r.Repository == "" || r.Upstream == "" || len(r.Tags) == 0 || r.Digest == "" {
		return Result{}, failure.New(failure.Internal, "a sync needs a repository, a digest and at least one tag: Pulp would take everything over")
	}
	c.env.Redact.Add(r.Password, r.ClientKey)
	var result Result
	err := c.within(ctx, func(ctx context.Context) (err error) {
		result, err = c.sync(ctx, r)
		return err
	})
	return result, err
}

// within bounds the work by the time limit.
func (c *Client) within(ctx context.Context, work func(context.Context) error) error {
	limit, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	err := work(limit)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limit), errTimeout) {
		return failure.WithHint(failure.New(failure.TimedOut, "Pulp has not finished after %s: %w", c.timeout, err), "raise the timeout of the Pulp instance")
	}
	return err
}

var errTimeout = errors.New("the time limit of the sync has passed")

func (c *Client) sync(ctx context.Context, r Request) (Result, error) {
	repository, err := c.ensureRepository(ctx, r)
	if err != nil {
		return Result{}, fmt.Errorf("repository %s: %w", r.Repository, err)
	}
	var result Result
	if missing, err := c.missing(ctx, repository, r); err == nil && len(missing) == 0 {
		c.env.Log.Info("Pulp has the image already", "repository", r.Repository, "tags", r.Tags)
		result.Existed = true
	} else if failure.KindOf(err) == failure.Untrusted {
		return Result{}, err
	} else if err := c.takeOver(ctx, repository, r); err != nil {
		return Result{}, err
	}
	if result.Registry, err = c.ensureDistribution(ctx, r, repository); err != nil {
		return Result{}, fmt.Errorf("distribution %s: %w", r.Repository, err)
	}
	return result, nil
}

// again marks an error that another sync may not meet.
type again struct{ error }

func (a again) Unwrap() error { return a.error }

// takeOver has Pulp sync, until it has what it should or there is no hope.
func (c *Client) takeOver(ctx context.Context, repository string, r Request) error {
	var final error // what call has tried again in vain is not tried again here
	err := retry.Do(ctx, c.env.Log, c.env.Retry, "syncing "+r.Repository, func(ctx context.Context) error {
		err := c.syncOnce(ctx, repository, r)
		if errors.As(err, &again{}) {
			return retry.Temporary(err)
		}
		final = err
		return nil
	})
	if err != nil {
		return err
	}
	return final
}

// syncOnce has Pulp sync once, and looks at what it has then. All builds of an image share its remote: when two sync at the same
// time, the one may find that it was told the other's tags.
func (c *Client) syncOnce(ctx context.Context, repository string, r Request) error {
	began := time.Now()
	remote, correction, err := c.ensureRemote(ctx, r)
	if err != nil {
		return fmt.Errorf("remote %s: %w", r.Repository, err)
	}
	// Pulp works on what concerns one remote in the order in which it was asked, so the sync need not wait here for the correction.
	var sync started
	if err := c.call(ctx, http.MethodPost, repository+"sync/", map[string]any{"remote": remote, "mirror": false}, &sync); err != nil {
		return fmt.Errorf("starting the sync: %w", err)
	}
	for _, s := range []started{correction, sync} {
		if err := c.follow(ctx, s); err != nil {
			return fmt.Errorf("the sync: %w", err)
		}
	}
	missing, err := c.missing(ctx, repository, r)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return c.explainMissing(ctx, r, missing)
	}
	c.env.Log.Info("Pulp has taken the image over", "repository", r.Repository, "tags", r.Tags, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// explainMissing says why Pulp's repository lacks tags after a sync.
func (c *Client) explainMissing(ctx context.Context, r Request, missing []string) error {
	err := failure.WithHint(failure.New(failure.Unavailable, "Pulp has synced %s without the tags %s", r.Repository, strings.Join(missing, ", ")),
		"the registry that the image was pushed into must list them; a Pulp that takes over signed images only leaves others out")
	remote, findErr := c.find(ctx, remotes, "name", r.Repository)
	if findErr == nil && remote != nil && !sameSet(remote.includes(), r.includes()) {
		c.env.Log.Info("another sync has changed the remote meanwhile", "remote", r.Repository, "its", remote.includes())
		return again{err}
	}
	return err
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// includes are what the remote is told to take over.
func (r Request) includes() []string {
	all := slices.Clone(r.Tags)
	for tag := range r.Companions {
		all = append(all, tag)
	}
	all = append(all, r.Referrers...)
	slices.Sort(all[len(r.Tags):])
	return all
}

// missing are those of the request's tags that the latest version of the repository does not have. One that means another digest there is
// failure.Untrusted.
func (c *Client) missing(ctx context.Context, repository string, r Request) ([]string, error) {
	want := map[string]string{}
	for _, tag := range r.Tags {
		want[tag] = r.Digest
	}
	for tag, digest := range r.Companions {
		want[tag] = digest
	}
	var current struct {
		Version string `json:"latest_version_href"`
	}
	if err := c.call(ctx, http.MethodGet, repository, nil, &current); err != nil {
		return nil, err
	}
	var missing []string
	for _, tag := range r.includes() {
		digest, isTag := want[tag]
		if !isTag {
			continue
		}
		got, err := c.digestOf(ctx, current.Version, tag)
		switch {
		case err != nil:
			return nil, err
		case got == "":
			missing = append(missing, tag)
		case got != digest:
			return nil, failure.WithHint(failure.New(failure.Untrusted, "%s:%s has digest %s at Pulp, pushed was %s", r.Repository, tag, got, digest),
				"somebody else pushes into the registry, or into Pulp, under this tag")
		}
	}
	return missing, nil
}

// digestOf is what a tag means in a version of a repository; empty if it has no such tag.
func (c *Client) digestOf(ctx context.Context, version, tag string) (string, error) {
	if version == "" {
		return "", nil
	}
	var tags struct {
		Results []struct {
			Manifest string `json:"tagged_manifest"`
		} `json:"results"`
	}
	if err := c.call(ctx, http.MethodGet, "content/container/tags/?"+query("repository_version", version, "name", tag), nil, &tags); err != nil {
		return "", fmt.Errorf("looking for tag %s: %w", tag, err)
	}
	if len(tags.Results) == 0 {
		return "", nil
	}
	var manifest struct {
		Digest string `json:"digest"`
	}
	if err := c.call(ctx, http.MethodGet, tags.Results[0].Manifest, nil, &manifest); err != nil {
		return "", fmt.Errorf("looking at tag %s: %w", tag, err)
	}
	return manifest.Digest, nil
}

// Tag makes tags mean the image that a Sync of the request has brought, and returns the image's name at Pulp's registry. Tags that mean
// it already are left alone.
func (c *Client) Tag(ctx context.Context, r Request, tags []string) (registry string, err error) {
	err = c.within(ctx, func(ctx context.Context) error {
		repository, err := c.find(ctx, repositories, "name", r.Repository)
		if err != nil {
			return err
		}
		if repository == nil {
			return failure.New(failure.NotFound, "Pulp has no repository %s", r.Repository)
		}
		for _, tag := range tags {
			if err := c.tag(ctx, repository, r.Digest, tag); err != nil {
				return fmt.Errorf("setting tag %s: %w", tag, err)
			}
		}
		registry, err = c.ensureDistribution(ctx, r, repository.Href)
		return err
	})
	return registry, err
}

func (c *Client) tag(ctx context.Context, repository *resource, digest, tag string) error {
	if now, err := c.digestOf(ctx, repository.LatestVersion, tag); err != nil || now == digest {
		return err
	}
	var s started
	if err := c.call(ctx, http.MethodPost, repository.Href+"tag/", map[string]any{"tag": tag, "digest": digest}, &s); err != nil {
		return err
	}
	return c.follow(ctx, s)
}
