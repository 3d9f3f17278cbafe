package pulp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The collections of the API.
const (
	repositories  = "repositories/container/container/"
	remotes       = "remotes/container/container/"
	distributions = "distributions/container/container/"
)

// anyType are the collections that have the resources of all types, of which each name exists once.
var anyType = map[string]string{repositories: "repositories/", remotes: "remotes/", distributions: "distributions/"}

// resource is what the package wants to know of a repository, remote or distribution.
type resource struct {
	Href              string  `json:"pulp_href"`
	Name              string  `json:"name"`
	BasePath          string  `json:"base_path"`
	Repository        *string `json:"repository"`
	RepositoryVersion *string `json:"repository_version"`
	RegistryPath      string  `json:"registry_path"`
	RetainVersions    *int    `json:"retain_repo_versions"`
	LatestVersion     string  `json:"latest_version_href"`
	// Includes is what a remote takes over; IncludeTags is how servers before pulp_container 2.28 or so spell it.
	Includes    []string `json:"includes"`
	IncludeTags []string `json:"include_tags"`
}

func (r *resource) includes() []string {
	if len(r.Includes) > 0 {
		return r.Includes
	}
	return r.IncludeTags
}

// query makes the query of keys and values.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// find looks a resource up by a field that is unique, name or base_path; nil if there is none.
func (c *Client) find(ctx context.Context, collection, field, value string) (*resource, error) {
	var page struct {
		Results []resource `json:"results"`
	}
	if err := c.call(ctx, http.MethodGet, collection+"?"+query(field, value), nil, &page); err != nil {
		return nil, err
	}
	for i, r := range page.Results {
		if (field == "name" && r.Name == value || field == "base_path" && r.BasePath == value) && r.Href != "" {
			return &page.Results[i], nil
		}
	}
	return nil, nil //nolint:nilnil // absent is an answer here
}

// create makes a resource and waits until it exists. Its name is unique: if another build was faster, or if the answer to our own
// first try was lost, Pulp says 400 and what is there is taken. If what is there is of another type, that is failure.Conflict.
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
	found, findErr := c.find(ctx, collection, "name", name)
	switch {
	case findErr == nil && found != nil:
		return found, nil
	case err != nil:
		return nil, c.explainRefusal(ctx, collection, name, err)
	case findErr != nil:
		return nil, findErr
	default:
		return nil, failure.New(failure.Unavailable, "Pulp says that it has created %q, but does not have it", name)
	}
}

// explainRefusal looks whether something of another type has the name.
func (c *Client) explainRefusal(ctx context.Context, collection, name string, err error) error {
	if failure.KindOf(err) == failure.InvalidInput {
		other, findErr := c.find(ctx, anyType[collection], "name", name)
		if findErr == nil && other != nil {
			return failure.WithHint(failure.New(failure.Conflict, "Pulp has something of another type under the name %q: %s", name, shorten(other.Href)),
				"give it another name, remove it, or set the repository prefix of the Pulp instance")
		}
	}
	return fmt.Errorf("creating it: %w", err)
}

func (c *Client) ensureRepository(ctx context.Context, r Request) (href string, err error) {
	fields := map[string]any{"name": r.Repository, "description": "synced by osbs"}
	if r.RetainVersions > 0 {
		fields["retain_repo_versions"] = r.RetainVersions
	}
	found, err := c.find(ctx, repositories, "name", r.Repository)
	if err == nil && found == nil {
		if found, err = c.create(ctx, repositories, r.Repository, fields); err == nil {
			c.env.Log.Info("created a repository in Pulp", "name", r.Repository)
		}
	}
	if err != nil {
		return "", err
	}
	if r.RetainVersions > 0 && (found.RetainVersions == nil || *found.RetainVersions != r.RetainVersions) {
		c.env.Log.Info("correcting a repository in Pulp", "name", r.Repository, "retain_repo_versions", r.RetainVersions)
		return found.Href, c.update(ctx, found.Href, map[string]any{"retain_repo_versions": r.RetainVersions})
	}
	return found.Href, nil
}

// ensureRemote makes the remote say what this sync needs. Its credentials cannot be read back, so that it is written every time; what
// else an administrator has set there, such as a proxy, stays.
func (c *Client) ensureRemote(ctx context.Context, r Request) (href string, correction started, err error) {
	fields := map[string]any{
		"name": r.Repository, "url": r.Source, "upstream_name": r.Upstream, "include_tags": r.includes(), "policy": "immediate",
		"tls_validation": !r.Insecure, "username": optional(r.Username), "password": optional(r.Password), "ca_cert": optional(r.CA),
		"client_cert": optional(r.ClientCertificate), "client_key": optional(r.ClientKey),
	}
	found, err := c.find(ctx, remotes, "name", r.Repository)
	if err == nil && found == nil {
		if found, err = c.create(ctx, remotes, r.Repository, fields); err == nil {
			c.env.Log.Info("created a remote in Pulp", "name", r.Repository)
		}
	}
	if err != nil {
		return "", started{}, err
	}
	if err := c.call(ctx, http.MethodPatch, found.Href, fields, &correction); err != nil {
		return "", started{}, fmt.Errorf("correcting it: %w", err)
	}
	return found.Href, correction, nil
}

// optional is null for an empty text: so Pulp spells none.
func optional(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// ensureDistribution makes Pulp's registry serve the latest version of the repository, and returns under which name. One that an
// administrator has made under another name does as well.
func (c *Client) ensureDistribution(ctx context.Context, r Request, repository string) (registry string, err error) {
	fields := map[string]any{"name": r.Repository, "base_path": r.BasePath, "repository": repository}
	found, err := c.find(ctx, distributions, "name", r.Repository)
	if err == nil && found == nil {
		found, err = c.distributionAt(ctx, r, repository)
	}
	if err == nil && found == nil {
		if found, err = c.create(ctx, distributions, r.Repository, fields); err == nil {
			c.env.Log.Info("created a distribution in Pulp", "name", r.Repository, "base_path", r.BasePath)
		}
	}
	if err != nil {
		return "", err
	}
	isRight := found.BasePath == r.BasePath && found.Repository != nil && *found.Repository == repository && found.RepositoryVersion == nil
	if !isRight {
		c.env.Log.Info("correcting a distribution in Pulp", "name", found.Name)
		delete(fields, "name")
		fields["repository_version"] = nil
		if err := c.update(ctx, found.Href, fields); err != nil {
			return "", err
		}
		if found, err = c.find(ctx, distributions, "name", r.Repository); err != nil {
			return "", err
		}
	}
	if found == nil || found.RegistryPath == "" {
		return "", failure.New(failure.Unavailable, "Pulp does not say where it serves the image")
	}
	return found.RegistryPath, nil
}

// distributionAt is one that serves the repository under the image's name already; nil if nothing has that name. If something else is
// served there, that is failure.Conflict.
func (c *Client) distributionAt(ctx context.Context, r Request, repository string) (*resource, error) {
	other, err := c.find(ctx, anyType[distributions], "base_path", r.BasePath)
	if err != nil || other == nil {
		return nil, err
	}
	found, err := c.find(ctx, distributions, "base_path", r.BasePath)
	if err != nil || found != nil && found.Repository != nil && *found.Repository == repository {
		return found, err
	}
	return nil, failure.WithHint(failure.New(failure.Conflict, "Pulp's distribution %q serves something else under %s", shorten(other.Name), r.BasePath),
		"give it another base_path, or remove it")
}

// update changes a resource and waits until it is changed.
func (c *Client) update(ctx context.Context, href string, fields map[string]any) error {
	var s started
	if err := c.call(ctx, http.MethodPatch, href, fields, &s); err != nil {
		return fmt.Errorf("correcting it: %w", err)
	}
	return c.follow(ctx, s)
}
