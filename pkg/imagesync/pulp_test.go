package imagesync_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/pulptest"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagesync"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// secret is a mounted basic-auth secret.
func secret(t *testing.T, user, password string) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{"username": user, "password": password} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// newPulp is a target that reaches the server at url.
func newPulp(t *testing.T, p pushed, url string, timeout time.Duration) *imagesync.Pulp {
	t.Helper()
	c, err := pulp.New(pulp.Options{Env: env, URL: url, SecretDir: secret(t, pulptest.Username, pulptest.Password), Timeout: timeout, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &imagesync.Pulp{Client: c, Prefix: "crane-", Source: p.client, Served: newClient(t, registry.Options{}), Lag: 2 * time.Second, Poll: time.Millisecond}
}

func TestPulp(t *testing.T) {
	for name, isGroup := range map[string]bool{"child task": false, "task group": true} {
		t.Run(name, func(t *testing.T) {
			home := registrytest.Start(t, registrytest.Options{BasicAuth: true})
			server := pulptest.Start(t)
			server.Groups, server.Lag = isGroup, 5
			p := push(t, home, newImage(t, 1000, 2))
			target := newPulp(t, p, server.URL, 0)
			record, err := p.sync(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			got := record.Targets[0]
			if got.Kind != "pulp" || got.Location != server.Served.Host+"/team/app:1-1" || got.Digest != p.digest {
				t.Errorf("record = %+v", got)
			}
			if tags := tagsOf(t, target.Served, server.Served.Host+"/team/app"); !slices.Equal(slices.Sorted(slices.Values(tags)), []string{"1", "1-1", "latest", unique}) {
				t.Errorf("tags at Pulp = %q", tags)
			}
			for field, want := range map[string]any{"upstream_name": "team/app", "url": "http://" + home.Host, "username": home.Username, "password": home.Password,
				"tls_validation": false, "policy": "immediate"} {
				if got := server.Get("remotes", "crane-team-app", field); got != want {
					t.Errorf("remote: %s = %v, want %v", field, got, want)
				}
			}
			checkAgain(t, p, target, server)
		})
	}
}

// checkAgain spoils what Pulp has: the next sync corrects it.
func checkAgain(t *testing.T, p pushed, target imagesync.Target, server *pulptest.Pulp) {
	t.Helper()
	server.Set("remotes", "crane-team-app", "password", "other")
	server.Set("remotes", "crane-team-app", "include_tags", []any{"old"})
	server.Set("distributions", "crane-team-app", "repository", nil)
	server.Set("distributions", "crane-team-app", "repository_version", "/pulp/api/v3/x/")
	if _, err := p.sync(t.Context(), target); err != nil {
		t.Fatalf("again: %v", err)
	}
	if v := server.Get("distributions", "crane-team-app", "repository_version"); v != nil {
		t.Errorf("the distribution still serves %v", v)
	}
	if v, ok := server.Get("distributions", "crane-team-app", "repository").(string); !ok || !strings.Contains(v, "/repositories/") {
		t.Errorf("the distribution serves repository %v", v)
	}
	if n := len(server.Requests()); n > 80 {
		t.Errorf("%d requests", n)
	}
}

func TestPulpErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*testing.T, *pulptest.Pulp)
		timeout time.Duration
		kind    failure.Kind
		text    string
	}{
		"task fails":    {func(_ *testing.T, s *pulptest.Pulp) { s.ChildState = "failed" }, 0, failure.Unavailable, "tasks.copy failed: the fake was told to [2J"},
		"task canceled": {func(_ *testing.T, s *pulptest.Pulp) { s.ChildState = "canceled" }, 0, failure.Unavailable, "was canceled"},
		"task skipped":  {func(_ *testing.T, s *pulptest.Pulp) { s.ChildState = "skipped" }, 0, failure.Unavailable, "without the tags"},
		"unknown state": {func(_ *testing.T, s *pulptest.Pulp) { s.ChildState = "exploded" }, 0, failure.Unavailable, `state "exploded"`},
		"never ends":    {func(_ *testing.T, s *pulptest.Pulp) { s.Endless = true }, 100 * time.Millisecond, failure.TimedOut, "raise the timeout of the Pulp instance"},
		"other content": {func(t *testing.T, s *pulptest.Pulp) {
			t.Helper()
			s.ChildState = "completed"
			s.Served.Push(t, "team/app:1-1", newImage(t, 10, 1))
			s.Served.Push(t, "team/app:"+unique, newImage(t, 10, 1))
		}, 0, failure.Untrusted, "pushed was"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := pulptest.Start(t)
			p := push(t, registrytest.Start(t, registrytest.Options{}), newImage(t, 100, 1))
			tc.prepare(t, server)
			target := newPulp(t, p, server.URL, tc.timeout)
			target.Lag = 100 * time.Millisecond
			_, err := p.sync(t.Context(), target)
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v (%s), want %s with %q", err, failure.KindOf(err), tc.kind, tc.text)
			}
			if server.Endless && !server.Canceled() {
				t.Error("the task was not canceled")
			}
		})
	}
}

func TestPulpCancelled(t *testing.T) {
	server := pulptest.Start(t)
	server.Endless = true
	p := push(t, registrytest.Start(t, registrytest.Options{}), newImage(t, 100, 1))
	proxy := faultproxy.Start(t, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	proxy.Add(faultproxy.Rule{Method: http.MethodGet, Path: "/tasks/", Skip: 12, Count: 1, Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(w, req)
		cancel()
	}})
	if _, err := p.sync(ctx, newPulp(t, p, proxy.URL, 0)); failure.KindOf(err) != failure.Cancelled {
		t.Errorf("error %v (%s)", err, failure.KindOf(err))
	}
	if !server.Canceled() {
		t.Error("the task was not canceled")
	}
}

func TestPulpFaults(t *testing.T) {
	server := pulptest.Start(t)
	proxy := faultproxy.Start(t, server.URL)
	proxy.Add(faultproxy.Rule{Method: http.MethodGet, Path: "/repositories/", Count: 1, Fault: faultproxy.Status(503)})
	proxy.Add(faultproxy.Rule{Method: http.MethodPost, Path: "/remotes/", Count: 1, Fault: faultproxy.ResetAfter()})
	proxy.Add(faultproxy.Rule{Method: http.MethodGet, Path: "/tasks/", Count: 1, Fault: faultproxy.Status(429, "Retry-After", "0")})
	proxy.Add(faultproxy.Rule{Method: http.MethodGet, Path: "/tasks/", Count: 1, Fault: faultproxy.CutResponse(10)})
	proxy.Add(faultproxy.Rule{Method: http.MethodPost, Path: "/distributions/", Count: 1, Fault: faultproxy.ResetAfter()})
	p := push(t, registrytest.Start(t, registrytest.Options{}), newImage(t, 100, 1))
	if _, err := p.sync(t.Context(), newPulp(t, p, proxy.URL, 0)); err != nil {
		t.Fatal(err)
	}
	if n := proxy.Count("!$"); n != 5 {
		t.Errorf("%d requests met a fault, want 5: %q", n, proxy.Requests())
	}
}
