// Package pulptest is a server for tests that behaves as Pulp 3 with pulp_container does, as far as a client can see: unknown fields
// are refused, names are unique, passwords cannot be read back, changes are tasks that take a while, a sync does its work in a child
// task, and its content lags behind it at the registry. It really copies images, from registry to registry.
package pulptest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/internal/registrytest"
)

// The account that every request needs.
const (
	Username = "admin"
	Password = "pulp-correct-horse"
)

const api = "/pulp/api/v3/"

// Pulp is a running server.
type Pulp struct {
	// URL is the server's.
	URL string
	// Served is the registry that it serves images from.
	Served *registrytest.Registry

	// The fields below may be set before the first request.

	// Groups makes the work of a sync a member of a task group instead of a child.
	Groups bool
	// ChildState, if set, is the state in which the work of a sync ends without having been done.
	ChildState string
	// Endless makes the work of a sync run until it is canceled.
	Endless bool
	// Transport is how it reaches the registries that it syncs from; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// Lag is how many requests for content of its registry are answered with 404 or 403 in turn.
	Lag int

	lagMu sync.Mutex // guards Lag; a sync holds mu while it writes to the registry

	mu        sync.Mutex
	resources map[string]map[string]any // by href
	tasks     map[string]*task
	count     int
	requests  []string
}

// task is one task.
type task struct {
	name, state, failure string
	looks                int // how often it was asked for
	work                 func() (state, failure string)
	children             []string
	group                string
	endless              bool
}

// Start runs the server, and the registry that it serves, until the test ends.
func Start(t testing.TB) *Pulp {
	t.Helper()
	p := &Pulp{resources: map[string]map[string]any{}, tasks: map[string]*task{}}
	p.Served = registrytest.Start(t, registrytest.Options{Wrap: p.lag})
	server := httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	p.URL = server.URL
	return p
}

// lag makes the registry forget at first what it has.
func (p *Pulp) lag(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p.lagMu.Lock()
		isLate := p.Lag > 0 && (req.Method == http.MethodGet || req.Method == http.MethodHead) && strings.Contains(req.URL.Path, "/manifests/") &&
			!strings.HasPrefix(req.UserAgent(), copier)
		code := http.StatusNotFound
		if isLate {
			if p.Lag--; p.Lag%2 == 0 {
				code = http.StatusForbidden
			}
		}
		p.lagMu.Unlock()
		if isLate {
			w.WriteHeader(code)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// Requests are those so far, as "METHOD path".
func (p *Pulp) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Set changes a field of the resource with the name in a collection such as "distributions", behind the client's back.
func (p *Pulp) Set(collection, name, field string, value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for href, r := range p.resources {
		if strings.Contains(href, "/"+collection+"/") && r["name"] == name {
			r[field] = value
		}
	}
}

// Get is a field of a resource, passwords included.
func (p *Pulp) Get(collection, name, field string) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	for href, r := range p.resources {
		if strings.Contains(href, "/"+collection+"/") && r["name"] == name {
			return r[field]
		}
	}
	return nil
}

// Canceled says whether a client has canceled a task.
func (p *Pulp) Canceled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tasks {
		if t.state == "canceled" {
			return true
		}
	}
	return false
}

// fields are those that each collection accepts.
var fields = map[string][]string{
	"repositories":  {"name", "description", "remote", "retain_repo_versions", "pulp_labels", "manifest_signing_service"},
	"remotes":       {"name", "url", "upstream_name", "include_tags", "exclude_tags", "policy", "tls_validation", "username", "password", "ca_cert", "client_cert", "client_key", "sigstore", "proxy_url", "pulp_labels"},
	"distributions": {"name", "base_path", "repository", "repository_version", "content_guard", "private", "description", "pulp_labels"},
}

func (p *Pulp) serve(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, req.Method+" "+req.URL.Path)
	user, password, _ := req.BasicAuth()
	if user != Username || password != Password {
		answer(w, http.StatusUnauthorized, map[string]any{"detail": "Authentication credentials were not provided."})
		return
	}
	path, ok := strings.CutPrefix(req.URL.Path, api)
	if !ok {
		answer(w, http.StatusNotFound, map[string]any{"detail": "Not found."})
		return
	}
	collection, rest, _ := strings.Cut(path, "/")
	var body map[string]any
	if req.Method == http.MethodPost || req.Method == http.MethodPatch {
		if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"detail": "JSON parse error"})
			return
		}
	}
	switch {
	case collection == "tasks":
		p.serveTask(w, req, body)
	case collection == "task-groups":
		p.serveGroup(w, req)
	case collection == "content":
		p.serveContent(w, req, rest)
	case fields[collection] != nil && rest == "": // all types
		p.serveCollection(w, req, collection, nil)
	case fields[collection] == nil || !strings.HasPrefix(rest, "container/container/"):
		answer(w, http.StatusNotFound, map[string]any{"detail": "Not found."})
	case rest == "container/container/":
		p.serveCollection(w, req, collection, body)
	default:
		p.serveResource(w, req, collection, body) //nolint:contextcheck // a task outlives the request that started it
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // maps and texts always encode
}

func (p *Pulp) id() string {
	p.count++
	return fmt.Sprintf("0198a7e4-0000-7000-8000-%012d", p.count)
}

// check refuses what Pulp's serializers refuse.
func (p *Pulp) check(collection, href string, body map[string]any) map[string]any {
	problems := map[string]any{}
	for field := range body {
		if !slices.Contains(fields[collection], field) {
			problems[field] = []string{"Unexpected field"}
		}
	}
	for other, r := range p.resources {
		if other == href || !strings.Contains(other, "/"+collection+"/") {
			continue
		}
		for _, field := range []string{"name", "base_path"} {
			if v, ok := body[field]; ok && v != nil && r[field] == v {
				problems[field] = []string{"This field must be unique."}
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return problems
}

func (p *Pulp) serveCollection(w http.ResponseWriter, req *http.Request, collection string, body map[string]any) {
	if req.Method == http.MethodGet {
		results := []any{}
		wanted := req.URL.Query()
		for href, r := range p.resources {
			if strings.Contains(href, "/"+collection+"/") && (r["name"] == wanted.Get("name") || r["base_path"] != nil && r["base_path"] == wanted.Get("base_path")) {
				results = append(results, p.visible(r))
			}
		}
		answer(w, http.StatusOK, map[string]any{"count": len(results), "next": nil, "previous": nil, "results": results})
		return
	}
	href := api + collection + "/container/container/" + p.id() + "/"
	if problems := p.check(collection, href, body); problems != nil {
		answer(w, http.StatusBadRequest, problems)
		return
	}
	body["pulp_href"] = href
	if collection == "repositories" {
		body["latest_version_href"] = href + "versions/1/"
	}
	if collection == "distributions" { // Pulp makes these later
		p.accepted(w, &task{name: "pulpcore.app.tasks.base.general_create", work: func() (string, string) {
			body["registry_path"] = p.Served.Host + "/" + fmt.Sprint(body["base_path"])
			p.resources[href] = body
			return "completed", ""
		}})
		return
	}
	p.resources[href] = body
	answer(w, http.StatusCreated, p.visible(body))
}

// visible leaves out what can only be written.
func (p *Pulp) visible(r map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range r {
		if k != "username" && k != "password" {
			out[k] = v
		}
	}
	return out
}

func (p *Pulp) serveResource(w http.ResponseWriter, req *http.Request, collection string, body map[string]any) {
	href, isSync := strings.CutSuffix(req.URL.Path, "sync/")
	href, isTag := strings.CutSuffix(href, "tag/")
	r := p.resources[href]
	switch {
	case r == nil:
		answer(w, http.StatusNotFound, map[string]any{"detail": "Not found."})
	case isTag && collection == "repositories" && req.Method == http.MethodPost:
		p.accepted(w, &task{name: "pulp_container.app.tasks.tag.tag_image", work: func() (string, string) { return p.tag(href, body) }})
	case isSync && collection == "repositories" && req.Method == http.MethodPost:
		p.sync(w, body)
	case req.Method == http.MethodPatch:
		if problems := p.check(collection, href, body); problems != nil {
			answer(w, http.StatusBadRequest, problems)
			return
		}
		p.accepted(w, &task{name: "pulpcore.app.tasks.base.general_update", work: func() (string, string) {
			for k, v := range body {
				r[k] = v
			}
			if path, ok := r["base_path"]; ok {
				r["registry_path"] = p.Served.Host + "/" + fmt.Sprint(path)
			}
			return "completed", ""
		}})
	default:
		answer(w, http.StatusOK, p.visible(r))
	}
}

// accepted starts a task.
func (p *Pulp) accepted(w http.ResponseWriter, t *task) {
	answer(w, http.StatusAccepted, map[string]any{"task": p.add(t)})
}

func (p *Pulp) add(t *task) string {
	href := api + "tasks/" + p.id() + "/"
	t.state = "waiting"
	p.tasks[href] = t
	return href
}

// sync starts a task that starts the one which does the work.
func (p *Pulp) sync(w http.ResponseWriter, body map[string]any) {
	source, ok := p.resources[fmt.Sprint(body["remote"])]
	if !ok {
		answer(w, http.StatusBadRequest, map[string]any{"remote": []string{"Invalid hyperlink - Object does not exist."}})
		return
	}
	from := p.visible(source)
	from["username"], from["password"] = source["username"], source["password"]
	parent := &task{name: "pulp_container.app.tasks.synchronize"}
	parent.work = func() (string, string) {
		child := &task{name: "pulp_container.app.tasks.copy", endless: p.Endless, work: func() (string, string) {
			if p.ChildState != "" {
				return p.ChildState, "the fake was told to\x1b[2J"
			}
			return p.copy(from)
		}}
		if p.Groups {
			child.group = api + "task-groups/" + p.id() + "/"
			parent.group = child.group
			p.add(child)
		} else {
			parent.children = append(parent.children, p.add(child))
		}
		return "completed", ""
	}
	p.accepted(w, parent)
}

// paths are the names of images that a repository has, as its distributions say; before there is one, as its remote does.
func (p *Pulp) paths(repository string) (paths []string) {
	name := p.resources[repository]["name"]
	for href, r := range p.resources {
		switch {
		case strings.Contains(href, "/remotes/") && r["name"] == name:
			paths = append(paths, fmt.Sprint(r["upstream_name"]))
		case strings.Contains(href, "/distributions/") && r["repository"] == repository:
			paths = append(paths, fmt.Sprint(r["base_path"]))
		}
	}
	return paths
}

// serveContent shows tags and manifests.
func (p *Pulp) serveContent(w http.ResponseWriter, req *http.Request, rest string) {
	if digest, ok := strings.CutPrefix(rest, "container/manifests/"); ok {
		answer(w, http.StatusOK, map[string]any{"digest": strings.TrimSuffix(digest, "/")})
		return
	}
	results := []any{}
	repository, _, _ := strings.Cut(req.URL.Query().Get("repository_version"), "versions/")
	for _, path := range p.paths(repository) {
		ref, err := name.ParseReference(p.Served.Host+"/"+path+":"+req.URL.Query().Get("name"), name.Insecure)
		if err != nil {
			continue
		}
		found, err := remote.Get(ref, remote.WithContext(req.Context()), remote.WithUserAgent(copier))
		if err == nil {
			results = []any{map[string]any{"name": ref.Identifier(), "tagged_manifest": api + "content/container/manifests/" + found.Digest.String() + "/"}}
		}
	}
	answer(w, http.StatusOK, map[string]any{"count": len(results), "results": results})
}

// tag makes a tag mean a manifest that is there.
func (p *Pulp) tag(repository string, body map[string]any) (state, failure string) {
	for _, path := range p.paths(repository) {
		ref, err := name.NewDigest(p.Served.Host+"/"+path+"@"+fmt.Sprint(body["digest"]), name.Insecure)
		if err != nil {
			return "failed", err.Error()
		}
		found, err := remote.Get(ref, remote.WithUserAgent(copier))
		if err != nil {
			return "failed", err.Error()
		}
		if err := remote.Tag(ref.Tag(fmt.Sprint(body["tag"])), found, remote.WithUserAgent(copier)); err != nil {
			return "failed", err.Error()
		}
	}
	return "completed", ""
}

// copier is the User-Agent with which the server itself reads registries.
const copier = "pulptest"

// copy takes the tags over that the remote names.
func (p *Pulp) copy(from map[string]any) (state, failure string) {
	u, err := url.Parse(fmt.Sprint(from["url"]))
	if err != nil {
		return "failed", err.Error()
	}
	transport := p.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	options := []remote.Option{remote.WithContext(context.Background()), remote.WithTransport(transport), remote.WithUserAgent(copier)}
	if user, ok := from["username"].(string); ok {
		options = append(options, remote.WithAuth(&authn.Basic{Username: user, Password: fmt.Sprint(from["password"])}))
	}
	var naming []name.Option
	if u.Scheme == "http" {
		naming = append(naming, name.Insecure)
	}
	tags, _ := from["include_tags"].([]any)
	for _, tag := range tags {
		source, err := name.ParseReference(fmt.Sprintf("%s/%s:%s", u.Host, from["upstream_name"], tag), naming...)
		if err != nil {
			return "failed", err.Error()
		}
		target, err := name.ParseReference(fmt.Sprintf("%s/%s:%s", p.Served.Host, from["upstream_name"], tag), name.Insecure)
		if err != nil {
			return "failed", err.Error()
		}
		found, err := remote.Get(source, options...)
		if err != nil {
			return "failed", err.Error()
		}
		if err := push(target, found); err != nil {
			return "failed", err.Error()
		}
	}
	return "completed", ""
}

func push(target name.Reference, found *remote.Descriptor) error {
	option := remote.WithUserAgent(copier)
	if found.MediaType.IsIndex() {
		index, err := found.ImageIndex()
		if err != nil {
			return err
		}
		return remote.WriteIndex(target, index, option)
	}
	image, err := found.Image()
	if err != nil {
		return err
	}
	return remote.Write(target, image, option)
}

// serveTask shows a task, which waits at the first look, runs at the second and has ended at the third.
func (p *Pulp) serveTask(w http.ResponseWriter, req *http.Request, body map[string]any) {
	t := p.tasks[req.URL.Path]
	if t == nil {
		answer(w, http.StatusNotFound, map[string]any{"detail": "Not found."})
		return
	}
	isDone := t.state != "waiting" && t.state != "running"
	switch {
	case req.Method == http.MethodPatch && isDone:
		answer(w, http.StatusConflict, map[string]any{"detail": "already finished"})
		return
	case req.Method == http.MethodPatch:
		t.state = fmt.Sprint(body["state"])
	case isDone:
	default:
		if t.looks++; t.looks == 2 {
			t.state = "running"
		} else if t.looks > 2 && !t.endless {
			t.state, t.failure = t.work()
		}
	}
	p.showTask(w, req.URL.Path, t)
}

func (p *Pulp) showTask(w http.ResponseWriter, href string, t *task) {
	shown := map[string]any{"pulp_href": href, "name": t.name, "state": t.state, "child_tasks": t.children, "task_group": nil, "parent_task": nil,
		"error": nil, "progress_reports": []any{}, "created_resources": []any{}}
	if t.children == nil {
		shown["child_tasks"] = []string{}
	}
	if t.group != "" {
		shown["task_group"] = t.group
	}
	if t.failure != "" {
		shown["error"] = map[string]any{"description": t.failure, "traceback": "..."}
	}
	answer(w, http.StatusOK, shown)
}

func (p *Pulp) serveGroup(w http.ResponseWriter, req *http.Request) {
	members := []any{}
	for href, t := range p.tasks {
		if t.group == req.URL.Path {
			members = append(members, map[string]any{"pulp_href": href, "name": t.name, "state": t.state})
		}
	}
	answer(w, http.StatusOK, map[string]any{"pulp_href": req.URL.Path, "description": "sync", "all_tasks_dispatched": true, "tasks": members})
}
