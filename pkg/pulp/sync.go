package pulp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Request is an image that Pulp is to take over.
type Request struct {
	// Repository is the name of Pulp's repository, remote and distribution, see RepositoryName.
	Repository string
	// BasePath is the image's name at Pulp's registry.
	BasePath string
	// Source is the registry that Pulp takes the image from, such as https://registry.example.com, and Upstream its name there.
	Source, Upstream string
	// Tags to take over; there must be one.
	Tags []string
	// Username and Password are for Source; empty means anonymous.
	Username, Password string
	// CA is the PEM certificate that Pulp must trust at Source besides its system's; Insecure makes it trust any.
	CA       string
	Insecure bool
	// RetainVersions is how many versions of its repository Pulp keeps; 0 leaves to Pulp what it does.
	RetainVersions int
}

// RepositoryName is the name of the repository in Pulp: the prefix and the image's name, `/` replaced by `-`.
func RepositoryName(prefix, image string) string { return prefix + strings.ReplaceAll(image, "/", "-") }

// Result tells where Pulp serves the image.
type Result struct {
	// Registry is host/name, as Pulp says.
	Registry string
}

// Sync makes Pulp take the image over, and returns when all of Pulp's tasks have ended well. A task that fails or is canceled is
// failure.Unavailable; when Options.Timeout passes, the task is canceled and the error is failure.TimedOut.
func (c *Client) Sync(ctx context.Context, r Request) (Result, error) {
	if r.Repository == "" || r.Upstream == "" || len(r.Tags) == 0 {
		return Result{}, failure.New(failure.Internal, "a sync needs a repository and at least one tag: Pulp would take everything over")
	}
	limit, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	result, err := c.sync(limit, r)
	if err != nil && ctx.Err() == nil && errors.Is(context.Cause(limit), errTimeout) {
		return Result{}, failure.WithHint(failure.New(failure.TimedOut, "Pulp has not finished after %s: %w", c.timeout, err), "pulp-timeout raises the limit")
	}
	return result, err
}

var errTimeout = errors.New("the time limit of the sync has passed")

func (c *Client) sync(ctx context.Context, r Request) (Result, error) {
	repository, err := c.ensureRepository(ctx, r)
	if err != nil {
		return Result{}, fmt.Errorf("repository %s: %w", r.Repository, err)
	}
	remote, err := c.ensureRemote(ctx, r)
	if err != nil {
		return Result{}, fmt.Errorf("remote %s: %w", r.Repository, err)
	}
	began := time.Now()
	var started started
	if err := c.call(ctx, http.MethodPost, repository+"sync/", map[string]any{"remote": remote, "mirror": false}, &started); err != nil {
		return Result{}, fmt.Errorf("starting the sync: %w", err)
	}
	if err := c.follow(ctx, started); err != nil {
		return Result{}, fmt.Errorf("the sync: %w", err)
	}
	c.env.Log.Info("Pulp has taken the image over", "repository", r.Repository, "tags", r.Tags, "took", time.Since(began).Round(time.Millisecond))
	registry, err := c.ensureDistribution(ctx, r, repository)
	if err != nil {
		return Result{}, fmt.Errorf("distribution %s: %w", r.Repository, err)
	}
	return Result{Registry: registry}, nil
}

// The collections of the API.
const (
	repositories  = "repositories/container/container/"
	remotes       = "remotes/container/container/"
	distributions = "distributions/container/container/"
)

// resource is what the package wants to know of a repository, remote or distribution.
type resource struct {
	Href              string  `json:"pulp_href"`
	Name              string  `json:"name"`
	BasePath          string  `json:"base_path"`
	Repository        *string `json:"repository"`
	RepositoryVersion *string `json:"repository_version"`
	RegistryPath      string  `json:"registry_path"`
}

// find looks a resource up by name; nil if there is none.
func (c *Client) find(ctx context.Context, collection, name string) (*resource, error) {
	var page struct {
		Results []resource `json:"results"`
	}
	if err := c.call(ctx, http.MethodGet, collection+"?"+url.Values{"name": {name}}.Encode(), nil, &page); err != nil {
		return nil, err
	}
	for i := range page.Results {
		if page.Results[i].Name == name && page.Results[i].Href != "" {
			return &page.Results[i], nil
		}
	}
	return nil, nil //nolint:nilnil // absent is an answer here
}

// create makes a resource and waits until it exists. Its name is unique: if another build was faster, or if the answer to our own
// first try was lost, Pulp says 400 and what is there is taken.
func (c *Client) create(ctx context.Context, collection, name string, fields map[string]any) (*resource, error) {
	var made struct {
		resource
		started
	}
	err := c.call(ctx, http.MethodPost, collection, fields, &made)
	if err == nil && made.Href == "" {
		err = c.follow(ctx, made.started)
	}
	if err == nil && made.Href != "" {
		return &made.resource, nil
	}
	found, findErr := c.find(ctx, collection, name)
	switch {
	case findErr == nil && found != nil:
		return found, nil
	case err != nil:
		return nil, fmt.Errorf("creating it: %w", err)
	case findErr != nil:
		return nil, findErr
	default:
		return nil, failure.New(failure.Unavailable, "Pulp says that it has created %q, but does not have it", name)
	}
}

func (c *Client) ensureRepository(ctx context.Context, r Request) (href string, err error) {
	found, err := c.find(ctx, repositories, r.Repository)
	if err == nil && found == nil {
		found, err = c.create(ctx, repositories, r.Repository, map[string]any{"name": r.Repository, "description": "synced by osbs"})
	}
	if err != nil {
		return "", err
	}
	return found.Href, nil
}

// ensureRemote makes the remote say what this sync needs. Its credentials cannot be read back, so that it is written every time.
func (c *Client) ensureRemote(ctx context.Context, r Request) (href string, err error) {
	c.env.Redact.Add(r.Password)
	fields := map[string]any{
		"name": r.Repository, "url": r.Source, "upstream_name": r.Upstream, "include_tags": r.Tags, "policy": "immediate",
		"tls_validation": !r.Insecure, "username": optional(r.Username), "password": optional(r.Password), "ca_cert": optional(r.CA),
	}
	found, err := c.find(ctx, remotes, r.Repository)
	if err == nil && found == nil {
		if found, err = c.create(ctx, remotes, r.Repository, fields); err == nil {
			c.env.Log.Info("created a remote in Pulp", "name", r.Repository)
		}
	}
	if err != nil {
		return "", err
	}
	return found.Href, c.update(ctx, found.Href, fields)
}

// optional is null for an empty text: so Pulp spells none.
func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// ensureDistribution makes Pulp's registry serve the latest version of the repository, and returns under which name.
func (c *Client) ensureDistribution(ctx context.Context, r Request, repository string) (registry string, err error) {
	fields := map[string]any{"name": r.Repository, "base_path": r.BasePath, "repository": repository}
	found, err := c.find(ctx, distributions, r.Repository)
	if err == nil && found == nil {
		found, err = c.create(ctx, distributions, r.Repository, fields)
	}
	if err != nil {
		return "", err
	}
	isRight := found.BasePath == r.BasePath && found.Repository != nil && *found.Repository == repository && found.RepositoryVersion == nil
	if !isRight {
		c.env.Log.Info("correcting a distribution in Pulp", "name", r.Repository)
		fields["repository_version"] = nil
		if err := c.update(ctx, found.Href, fields); err != nil {
			return "", err
		}
		if found, err = c.find(ctx, distributions, r.Repository); err != nil {
			return "", err
		}
	}
	if found == nil || found.RegistryPath == "" {
		return "", failure.New(failure.Unavailable, "Pulp does not say where it serves the image")
	}
	return found.RegistryPath, nil
}

// update changes a resource and waits until it is changed.
func (c *Client) update(ctx context.Context, href string, fields map[string]any) error {
	var s started
	if err := c.call(ctx, http.MethodPatch, href, fields, &s); err != nil {
		return fmt.Errorf("correcting it: %w", err)
	}
	return c.follow(ctx, s)
}
