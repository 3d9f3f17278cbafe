// Package gitserver serves git repositories over https and ssh, by git's own programs.
//
// Repositories below public/ can be read by everybody, those below private/ with credentials. Pushing always needs credentials, and makes the
// repository that it pushes to. Over ssh any user name will do, with the one key that is let in.
package gitserver

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cgi" //nolint:gosec // fixed in Go for long, and for tests only
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Config says what is served, where, and to whom.
type Config struct {
	// Root is the directory of the repositories.
	Root string
	// HTTPS and SSH are the addresses to listen on.
	HTTPS, SSH string
	// Certificate and Key are the files of the https server's.
	Certificate, Key string
	// HostKey is the file of the ssh server's private key, UserKey that of the public key that is let in.
	HostKey, UserKey string
	// User and Password are the credentials for https.
	User, Password string
}

// Serve serves until a server fails or the context is done.
func Serve(ctx context.Context, c Config) error {
	for _, dir := range []string{"public", "private"} {
		if err := os.MkdirAll(filepath.Join(c.Root, dir), 0o755); err != nil {
			return err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.SSH)
	if err != nil {
		return fmt.Errorf("listening for ssh: %w", err)
	}
	defer listener.Close()
	failed := make(chan error, 2)
	go func() { failed <- c.serveSSH(ctx, listener) }()
	server := &http.Server{Addr: c.HTTPS, Handler: c.handler(), ReadHeaderTimeout: 30 * time.Second}
	defer server.Close()
	go func() { failed <- server.ListenAndServeTLS(c.Certificate, c.Key) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (c Config) handler() http.Handler {
	backend := func(user string) http.Handler {
		env := []string{"GIT_PROJECT_ROOT=" + c.Root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*", "GIT_CONFIG_KEY_1=uploadpack.allowAnySHA1InWant", "GIT_CONFIG_VALUE_1=true"}
		if user != "" {
			env = append(env, "REMOTE_USER="+user)
		}
		return &cgi.Handler{Path: "/usr/bin/git", Args: []string{"http-backend"}, Root: "/", Env: env, InheritEnv: []string{"PATH"}}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			fmt.Fprintln(w, "git")
			return
		}
		push := strings.HasSuffix(r.URL.Path, "/git-receive-pack") || r.URL.Query().Get("service") == "git-receive-pack"
		private := !strings.HasPrefix(path.Clean(r.URL.Path), "/public/")
		if !push && !private {
			backend("").ServeHTTP(w, r)
			return
		}
		user, password, _ := r.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(c.User+":"+c.Password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials, please", http.StatusUnauthorized)
			return
		}
		if repository, _, found := strings.Cut(r.URL.Path, ".git/"); push && found {
			if err := c.make(r.Context(), repository+".git"); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		backend(user).ServeHTTP(w, r)
	})
}

// repository is the directory of a repository that a client names.
func (c Config) repository(name string) (string, error) {
	name = path.Clean("/" + name)
	if !strings.HasPrefix(name, "/public/") && !strings.HasPrefix(name, "/private/") {
		return "", errors.New("repositories are below public/ and private/")
	}
	return filepath.Join(c.Root, name), nil
}

// make makes a repository if it is not there.
func (c Config) make(ctx context.Context, name string) error {
	dir, err := c.repository(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	//nolint:gosec // an argument, below the root, as repository has made sure
	out, err := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "--initial-branch=main", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making the repository %s: %w: %s", name, err, out)
	}
	return nil
}
