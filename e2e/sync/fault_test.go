//go:build e2e

package sync_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/e2e/pulpserver"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// want checks the kind of an error, and what it says.
func want(t *testing.T, err error, kind failure.Kind, texts ...string) {
	t.Helper()
	if failure.KindOf(err) != kind {
		t.Errorf("error %v (%s), want %s", err, failure.KindOf(err), kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %v does not say %q", err, text)
		}
	}
}

// TestServerFaults has Pulp's server fail in ways that pass, and in ways that do not.
func TestServerFaults(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	for name, c := range map[string]struct {
		intercept func(http.ResponseWriter, *http.Request) bool
		timeout   time.Duration
		kind      failure.Kind
		text      string
	}{
		"500 for a while": {intercept: after(4, http.StatusInternalServerError)},
		"502 for a while": {intercept: after(3, http.StatusBadGateway)},
		"slow": {intercept: func(_ http.ResponseWriter, req *http.Request) bool {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-req.Context().Done():
			}
			return false
		}},
		"down": {intercept: after(1000, http.StatusServiceUnavailable), kind: failure.Unavailable, text: "after 6 tries"},
		"hangs": {intercept: func(_ http.ResponseWriter, req *http.Request) bool {
			<-req.Context().Done()
			return true
		}, timeout: 2 * time.Second, kind: failure.TimedOut, text: "has not finished after 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, server, from)
			if c.timeout > 0 {
				s.options.Timeout = c.timeout
			}
			dir, digest := from.built(t, "team/fault", "none-"+strings.ReplaceAll(name, " ", "-"), "", newImage(t))
			server.Intercept(c.intercept)
			defer server.Intercept(nil)
			record, err := s.run(t.Context(), dir)
			if c.kind != "" {
				want(t, err, c.kind, c.text)
				return
			}
			if err != nil || record.Targets[0].Digest != digest {
				t.Errorf("%+v, %v", record, err)
			}
		})
	}
}

// TestCredentials logs in with a wrong password, with a client certificate, and to a server whose certificate has expired.
func TestCredentials(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	dir, digest := from.built(t, "team/login", "none-abcde-1", "", newImage(t))

	s := newStage(t, server, from)
	s.options.SecretDir = login(t, "not-the-password")
	_, err := s.run(t.Context(), dir)
	want(t, err, failure.Unauthorized, "Pulp refused access", "pulp-secret")

	s = newStage(t, server, from)
	s.options.CAFile = from.CAFile
	_, err = s.run(t.Context(), dir)
	want(t, err, failure.Untrusted, "CA that signed Pulp's certificate")

	undo, err := server.UseExpiredCertificate()
	if err != nil {
		t.Fatal(err)
	}
	s = newStage(t, server, from)
	_, err = s.run(t.Context(), dir)
	undo()
	want(t, err, failure.Untrusted, "Pulp's certificate is not valid now", "expired", "renew it")

	pair, err := server.Client(pulpserver.Username)
	if err != nil {
		t.Fatal(err)
	}
	s = newStage(t, server, from)
	s.options.SecretDir = t.TempDir()
	for name, file := range map[string]string{"tls.crt": pair.Certificate, "tls.key": pair.Key} {
		if err := os.Symlink(file, filepath.Join(s.options.SecretDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.must(t, dir); got.Digest != digest {
		t.Errorf("with a client certificate: %+v", got)
	}
	if len(server.Logins()) == 0 {
		t.Error("nobody logged in with a certificate")
	}
}

// TestFewRights syncs with an account that has the roles that docs/sync.md names, and no others; and with one that has none.
func TestFewRights(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	dir, digest := from.built(t, "rights/app", "none-abcde-1", "1-1", newImage(t), "latest")
	next, newer := from.built(t, "rights/app", "none-abcde-2", "1-2", newImage(t), "latest")
	document, err := os.ReadFile("../../docs/sync.md")
	if err != nil {
		t.Fatal(err)
	}
	roles := regexp.MustCompile("`(container\\.[a-z]+_creator)`").FindAllStringSubmatch(string(document), -1)
	s := newStage(t, server, from)
	s.options.SecretDir = user(t, server, "nobody")
	_, err = s.run(t.Context(), dir)
	want(t, err, failure.Unauthorized, "Pulp refused access", "what its account may do")
	names := []string{}
	for _, role := range roles {
		names = append(names, role[1])
	}
	s = newStage(t, server, from)
	s.options.SecretDir = user(t, server, "syncer", names...)
	if got := s.must(t, dir); got.Digest != digest {
		t.Errorf("%+v", got)
	}
	if got := s.must(t, next); got.Digest != newer {
		t.Errorf("the next build: %+v", got)
	}
}

// user makes a user with roles, and returns a mounted secret of it.
func user(t *testing.T, server *pulpserver.Server, name string, roles ...string) (secret string) {
	t.Helper()
	password := rand.Text()
	var made struct {
		Href string `json:"pulp_href"`
	}
	if err := server.Do(t.Context(), http.MethodPost, "users/", map[string]any{"username": name, "password": password}, &made); err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if err := server.Do(t.Context(), http.MethodPost, made.Href+"roles/", map[string]any{"role": role, "content_object": nil}, nil); err != nil {
			t.Fatal(err)
		}
	}
	secret = login(t, password)
	if err := os.WriteFile(filepath.Join(secret, "username"), []byte(name), 0o600); err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestNamesInUse meets repositories and distributions of other types.
func TestNamesInUse(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	if err := server.Change(t.Context(), http.MethodPost, "repositories/file/file/", map[string]any{"name": "site-team-file"}); err != nil {
		t.Fatal(err)
	}
	dir, _ := from.built(t, "team/file", "none-abcde-1", "", newImage(t))
	_, err := s.run(t.Context(), dir)
	want(t, err, failure.Conflict, `something of another type under the name "site-team-file"`, "/repositories/file/file/", "repository prefix")

	// What somebody has pushed into Pulp is served from a repository of another type under the same path.
	client := registrytest.WriteSecret(t, registrytest.Dockercfg(t, server.Host, pulpserver.Username, server.Password))
	c, err := registry.New(registry.Options{CAFile: server.CAFile, SecretDirs: []string{client}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(server.Host + "/team/pushed:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, newImage(t), c.Remote(t.Context())...); err != nil {
		t.Fatal(err)
	}
	dir, _ = from.built(t, "team/pushed", "none-abcde-1", "", newImage(t))
	_, err = s.run(t.Context(), dir)
	want(t, err, failure.Conflict, `distribution "team/pushed" serves something else under team/pushed`)
}

// TestTaskCanceled has an administrator cancel a sync.
func TestTaskCanceled(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	first, _ := from.built(t, "team/canceled", "none-abcde-1", "", newImage(t))
	s.must(t, first)
	dir, digest := from.built(t, "team/canceled", "none-abcde-2", "", newImage(t))
	for _, worker := range []string{"worker0", "worker1"} {
		server.Pause(worker)
		defer server.Resume(worker)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := s.run(t.Context(), dir)
		failed <- err
	}()
	cancelTask(t, server)
	for _, worker := range []string{"worker0", "worker1"} {
		server.Resume(worker)
	}
	want(t, <-failed, failure.Unavailable, "synchronize", "was canceled", "somebody with rights in Pulp")
	if got := s.must(t, dir); got.Digest != digest {
		t.Errorf("the next sync: %+v", got)
	}
}

// cancelTask waits for a sync that waits, and cancels it.
func cancelTask(t *testing.T, server *pulpserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		tasks, err := server.Tasks(ctx, "synchronize", "waiting")
		if err == nil && len(tasks) > 0 {
			if err := server.Do(ctx, http.MethodPatch, tasks[0].Href, map[string]any{"state": "canceled"}, nil); err != nil {
				t.Error(err)
			}
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Error("no sync waits")
}

// TestWorkerKilled kills the process of a sync in the middle of it, as a machine without memory does: the sync is started again. With
// OSBS_E2E_LONG=1 it kills whole workers, which the others take minutes to notice.
func TestWorkerKilled(t *testing.T) {
	server := newPulp(t)
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	from := source{registrytest.Start(t, registrytest.Options{BasicAuth: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") && !strings.Contains(req.UserAgent(), "osbs") {
				once.Do(func() { close(reached) })
				select {
				case <-release:
				case <-req.Context().Done():
					return
				}
			}
			next.ServeHTTP(w, req)
		})
	}})}
	s := newStage(t, server, from)
	s.options.Timeout = 10 * time.Minute
	dir, digest := from.built(t, "team/killed", "none-abcde-1", "", newImage(t))
	go func() {
		<-reached
		for _, worker := range []string{"worker0", "worker1"} {
			if os.Getenv("OSBS_E2E_LONG") == "" {
				server.KillTasks(worker)
				continue
			}
			server.Kill(worker)
			if err := server.Launch(worker); err != nil {
				t.Error(err)
			}
		}
		close(release)
	}()
	if got := s.must(t, dir); got.Digest != digest {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(s.log.String(), "trying again") {
		t.Error("the log does not tell that the sync was started again")
	}
}

// TestDiskFull has no room where Pulp puts what it downloads.
func TestDiskFull(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	dir, digest := from.built(t, "team/full", "none-abcde-1", "", newImage(t))
	if !site.small {
		t.Skip("a small file system could not be mounted")
	}
	filler := filepath.Join(site.dir, "tmp", "filler")
	if err := os.WriteFile(filler, make([]byte, 2*smallSize), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the file system has too much room: %v", err)
	}
	_, err := s.run(t.Context(), dir)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	want(t, err, failure.Unavailable, "No space left on device")
	if got := s.must(t, dir); got.Digest != digest {
		t.Errorf("with room again: %+v", got)
	}
}

// TestDigestDiffers has somebody else push under the tag before Pulp looks.
func TestDigestDiffers(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	dir, digest := from.built(t, "team/differs", "none-abcde-1", "1-1", newImage(t), "latest")
	from.Push(t, "team/differs:1-1", newImage(t))
	_, err := s.run(t.Context(), dir)
	want(t, err, failure.Untrusted, "1-1 has digest", "pushed was "+digest, "somebody else pushes")
	var tags struct {
		Results []struct {
			Name string `json:"name"`
		} `json:"results"`
	}
	if err := server.Do(t.Context(), http.MethodGet, "content/container/tags/?name=latest", nil, &tags); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(server.Host + "/team/differs:latest")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(ref, s.target.Served.Remote(t.Context())...); err == nil {
		t.Error("a floating tag was moved")
	}
}

// TestTagGone has a tag removed before Pulp looks.
func TestTagGone(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	dir, digest := from.built(t, "team/gone", "none-abcde-1", "", newImage(t))
	record := workspace.Push{Digest: digest, Images: []workspace.PushedImage{{Repository: from.Host + "/team/gone", Unique: "none-abcde-1", Primary: "1-1"}}}
	if err := workspace.Write(dir, record); err != nil {
		t.Fatal(err)
	}
	_, err := s.run(t.Context(), dir)
	want(t, err, failure.Unavailable, "without the tags 1-1", "must list them")
}

// TestSourceUnreachable names a registry that Pulp cannot find.
func TestSourceUnreachable(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	dir, digest := from.built(t, "team/nowhere", "none-abcde-1", "", newImage(t))
	record := workspace.Push{Digest: digest, Images: []workspace.PushedImage{{Repository: "nowhere.example.com/team/nowhere", Unique: "none-abcde-1"}}}
	if err := workspace.Write(dir, record); err != nil {
		t.Fatal(err)
	}
	secret := registrytest.WriteSecret(t, registrytest.Dockercfg(t, "nowhere.example.com", from.Username, from.Password))
	client, err := registry.New(registry.Options{Env: s.options.Env, Registries: []registry.URI{{Host: "nowhere.example.com"}}, SecretDirs: []string{secret}, CAFile: from.CAFile,
		Addresses: map[string]string{"nowhere.example.com": from.Host}})
	if err != nil {
		t.Fatal(err)
	}
	s.target.Source = client
	_, err = s.run(t.Context(), dir)
	want(t, err, failure.Unavailable, "synchronize", "nowhere.example.com", "it must reach the registry that the image was pushed into")
}

// TestNoSecretsVisible looks for credentials in everything that a sync leaves behind where people can see it.
func TestNoSecretsVisible(t *testing.T) {
	server, from := newPulp(t), newSource(t)
	s := newStage(t, server, from)
	good, _ := from.built(t, "team/secret", "none-abcde-1", "1-1", newImage(t), "latest")
	s.must(t, good)
	bad, _ := from.built(t, "team/secret", "none-abcde-2", "1-2", newImage(t))
	server.Intercept(after(1000, http.StatusInternalServerError))
	_, err := s.run(t.Context(), bad)
	server.Intercept(nil)
	want(t, err, failure.Unavailable)
	seen := map[string]string{"log": s.log.String(), "error": fmt.Sprint(err)}
	for _, path := range []string{"repositories/", "remotes/", "distributions/", "tasks/?limit=1000", "remotes/container/container/", "task-groups/", "status/", "roles/", "users/"} {
		var all any
		if err := server.Do(t.Context(), http.MethodGet, path, nil, &all); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		seen[path] = fmt.Sprint(all)
	}
	for _, file := range []string{"api.log", "content.log", "worker0.log", "worker1.log"} {
		text, err := os.ReadFile(filepath.Join(site.dir, file))
		if err != nil {
			t.Fatal(err)
		}
		seen[file] = string(text)
	}
	record, err := os.ReadFile(filepath.Join(string(good), "records", "sync.json"))
	if err == nil {
		seen["record"] = string(record)
	}
	for where, text := range seen {
		for _, secret := range []string{from.Password, server.Password} {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a password", where)
			}
		}
	}
}
