package local

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/sirupsen/logrus" // the embedded registry logs through its global logger

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// RegistryHost is the name of the embedded registry in references. It resolves to no other machine: names under localhost never do
// (RFC 6761), and the clients of this project dial the address of the listener instead.
const RegistryHost = "osbs.localhost"

const (
	// uploadAge is how old an unfinished upload is when it is taken for one that a killed process left.
	uploadAge = 24 * time.Hour
	// purgeEvery is how often unfinished uploads are looked for, over all processes.
	purgeEvery = 24 * time.Hour
	// headerTimeout bounds how long a client of the registry may take to send the header of a request.
	headerTimeout = 30 * time.Second
	// closeTimeout bounds how long requests to the registry may go on when it is closed.
	closeTimeout = 2 * time.Second
)

// embeddedRegistry is a registry with its blobs in a directory, behind a loopback listener of this process. Several processes may
// serve one directory at once: content is addressed by digest, and links and blobs are renamed into place.
type embeddedRegistry struct {
	app    *handlers.App
	server *http.Server
	addr   string
	// password is what clients need: other users of the machine, and what a Dockerfile runs, reach the listener too.
	password string
	served   chan error
	purged   chan struct{}
	cancel   context.CancelFunc
}

// registryOptions say what is served, and where.
type registryOptions struct {
	dir      string
	address  string // host:port; port 0 is any
	readOnly bool
	log      *slog.Logger
}

// startRegistry serves until close is called.
func startRegistry(ctx context.Context, o registryOptions) (*embeddedRegistry, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", o.address)
	if err != nil {
		return nil, failure.New(failure.Unavailable, "starting the embedded registry: %w", err)
	}
	forwardLogs(ctx, o.log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	app, err := newApp(ctx, o.dir)
	if err != nil {
		cancel()
		listener.Close()
		return nil, err
	}
	password := rand.Text()
	handler := onlyWith(password, app)
	if o.readOnly {
		handler = pullOnly(app)
	}
	r := &embeddedRegistry{
		app: app, addr: listener.Addr().String(), password: password, served: make(chan error, 1), purged: make(chan struct{}), cancel: cancel,
		server: &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(o.log.Handler(), slog.LevelDebug)},
	}
	go func() { r.served <- r.server.Serve(listener) }()
	go func() {
		defer close(r.purged)
		purgeUploads(ctx, o.dir, o.log)
	}()
	return r, nil
}

// newApp is the registry's HTTP handler. The library panics on what it cannot do.
func newApp(ctx context.Context, dir string) (app *handlers.App, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = failure.New(failure.Storage, "starting the embedded registry: %v", p)
		}
	}()
	config := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": dir},
			"redirect":   configuration.Parameters{"disable": true},
			"delete":     configuration.Parameters{"enabled": true}, // a floating tag that was moved in vain is taken back
			// The library's own purging waits up to an hour after start; purgeUploads does not.
			"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	// Every blob of an image is there before its manifest is pushed; that of another architecture in an index need not be.
	config.Validation.Manifests.Indexes.Platforms = "none"
	return handlers.NewApp(ctx, config), nil
}

// close ends the registry; requests that run are given a moment.
func (r *embeddedRegistry) close(ctx context.Context) error {
	r.cancel()
	<-r.purged
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = r.server.Close()
	}
	if serveErr := <-r.served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return errors.Join(err, r.app.Shutdown())
}

// registryUser is the user that goes with the password.
const registryUser = "osbs"

// onlyWith refuses every request that has not the password.
func onlyWith(password string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, given, _ := req.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(given), []byte(password)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="osbs"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintln(w, `{"errors":[{"code":"UNAUTHORIZED","message":"this registry is the one of a running osbs process"}]}`)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// withSecret calls use with a registry secret that holds the password, as package registry reads them.
func (r *embeddedRegistry) withSecret(temp string, use func(dir string) error) error {
	dir, err := os.MkdirTemp(temp, "secret-")
	if err != nil {
		return failure.New(failure.Storage, "making the secret of the embedded registry: %w", err)
	}
	defer os.RemoveAll(dir)
	auths := map[string]any{"auths": map[string]any{RegistryHost: map[string]string{"username": registryUser, "password": r.password}}}
	text, err := json.Marshal(auths)
	if err != nil {
		return failure.New(failure.Internal, "encoding the secret of the embedded registry: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".dockerconfigjson"), text, 0o600); err != nil {
		return failure.New(failure.Storage, "writing the secret of the embedded registry: %w", err)
	}
	return use(dir)
}

// pullOnly refuses every request that would change something.
func pullOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet && req.Method != http.MethodHead {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusMethodNotAllowed)
			fmt.Fprintln(w, `{"errors":[{"code":"UNSUPPORTED","message":"this registry is read-only: images get into it by osbs build"}]}`)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// forwardLogs sends what the registry's library writes to its global logger to log, as debug messages.
func forwardLogs(ctx context.Context, log *slog.Logger) {
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.WarnLevel)
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	logrus.SetLevel(logrus.DebugLevel)
	logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	logrus.SetOutput(debugLines{log})
}

type debugLines struct{ log *slog.Logger }

func (d debugLines) Write(p []byte) (int, error) {
	d.log.Debug(strings.TrimSpace(string(p)), "from", "embedded registry")
	return len(p), nil
}

// purgeUploads removes uploads that nobody will finish, once in a while.
func purgeUploads(ctx context.Context, dir string, log *slog.Logger) {
	stamp := filepath.Join(dir, "purged")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < purgeEvery {
		return
	}
	driver, err := filesystem.FromParameters(map[string]any{"rootdirectory": dir})
	if err != nil {
		log.Debug("unfinished uploads are not removed", "error", err)
		return
	}
	deleted, errs := storage.PurgeUploads(ctx, driver, time.Now().Add(-uploadAge), true)
	log.Debug("removed unfinished uploads", "count", len(deleted), "error", errors.Join(errs...))
	if ctx.Err() != nil {
		return
	}
	if err := os.WriteFile(stamp, nil, 0o600); err != nil {
		log.Debug("cannot note that unfinished uploads were removed", "error", err)
	}
}

// checkLoopback refuses an address that other machines could reach: the registry asks for no password.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return failure.WithHint(failure.New(failure.Usage, "address %q: %w", address, err), "such as 127.0.0.1:5000")
	}
	ip, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return failure.WithHint(failure.New(failure.Usage, "address %q is not one of this machine only, and the registry asks for no password", address),
			"such as 127.0.0.1:5000")
	}
	return nil
}
