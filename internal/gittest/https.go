package gittest

import (
	"crypto/subtle"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/cgi" //nolint:gosec // fixed in Go for long, and for tests only
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// HTTPS is git's http-backend behind a TLS server.
type HTTPS struct {
	// Base is https://127.0.0.1:PORT.
	Base string
	// CAFile holds the server's certificate, in PEM.
	CAFile string
	// User and Password are asked for if User is not empty.
	User, Password string

	t testing.TB
}

// HTTPSOptions change what a server does.
type HTTPSOptions struct {
	// Auth makes the server ask for credentials, for reading too.
	Auth bool
	// PushAuth makes it ask for credentials for pushes only.
	PushAuth bool
	// Wrap goes before the server, for faults.
	Wrap func(http.Handler) http.Handler
}

// ServeHTTPS serves the repositories below root until the test ends.
func ServeHTTPS(t testing.TB, root string, o HTTPSOptions) *HTTPS {
	t.Helper()
	git := need(t, "git")
	s := &HTTPS{t: t, User: "reader", Password: "pass-word/of:reader"}
	var h http.Handler = &cgi.Handler{
		Path: git, Args: []string{"http-backend"}, Root: "/", Stderr: io.Discard,
		Env: append(environ(), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=reader"),
	}
	if o.Auth || o.PushAuth {
		h = s.authenticate(h, o.Auth)
	}
	if o.Wrap != nil {
		h = o.Wrap(h)
	}
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	s.Base = server.URL
	s.CAFile = filepath.Join(t.TempDir(), "ca.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	writeFile(t, s.CAFile, string(text), 0o644)
	return s
}

func (s *HTTPS) authenticate(next http.Handler, always bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		push := strings.HasSuffix(r.URL.Path, "git-receive-pack") || r.URL.Query().Get("service") == "git-receive-pack"
		user, password, ok := r.BasicAuth()
		good := ok && subtle.ConstantTimeCompare([]byte(user), []byte(s.User)) == 1 && subtle.ConstantTimeCompare([]byte(password), []byte(s.Password)) == 1
		if (always || push) && !good {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials, please", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// URL is the address of a repository below the server's root.
func (s *HTTPS) URL(name string) string { return s.Base + "/" + name }

// Secret is a mounted secret of the type kubernetes.io/basic-auth for the server.
func (s *HTTPS) Secret() string {
	s.t.Helper()
	return Secret(s.t, map[string]string{"username": s.User, "password": s.Password + "\n"})
}

// Secret writes files as a mounted secret has them, and returns their directory.
func Secret(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text, 0o600)
	}
	return dir
}

func writeFile(t testing.TB, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
