// Package registrytest starts real registries for tests: distribution v3 inside the test's process, and the docker-registry program
// that Debian packages. Both listen on loopback, keep their data in the test's temporary directory, and end with the test.
package registrytest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/bcrypt"

	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"             // BasicAuth
	_ "github.com/distribution/distribution/v3/registry/auth/token"                // TokenServer
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // where blobs are kept
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // Memory

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/pkg/registry"
)

// Options choose the registry. The zero value is plain HTTP without access control.
type Options struct {
	// TLS serves with a certificate of a CA of its own, valid for 127.0.0.1, localhost and *.example.com.
	TLS bool
	// Expired makes that certificate one of the past.
	Expired bool
	// ClientCertificate asks, with TLS, for a certificate that the registry's CA has signed; SecretDir holds one.
	ClientCertificate bool
	// BasicAuth asks every request for Username and Password.
	BasicAuth bool
	// TokenServer asks for a bearer token, which a token server at /token of the same host gives for Username and Password.
	// Anonymous requests get a token without rights.
	TokenServer bool
	// TokenLifetime is how long a token is accepted; 0 means an hour. distribution rounds to whole seconds.
	TokenLifetime time.Duration
	// Memory keeps what is pushed in memory, which is faster: Dir is not used.
	Memory bool
	// Wrap, if set, goes around the registry's handler. Not for StartDebian.
	Wrap func(http.Handler) http.Handler
}

// The account that registries with access control know.
const (
	username = "builder"
	password = "correct-horse-battery"
)

// Registry is a running registry.
type Registry struct {
	// URL is http(s)://Host.
	URL string
	// Host is 127.0.0.1:port, as image references spell it.
	Host string
	// Dir is the root of the registry's storage.
	Dir string
	// CAFile holds the CA's certificate; empty without TLS.
	CAFile string
	// Username, Password and SecretDir (a directory with .dockerconfigjson) are set when the registry has access control. SecretDir also
	// holds the client's certificate, if one is asked for.
	Username, Password, SecretDir string
	// Tokens is the token server; nil without.
	Tokens *TokenServer
}

// Start runs distribution v3 in this process.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	logrus.SetOutput(io.Discard) // distribution logs every request there
	dir := t.TempDir()
	r := &Registry{Dir: filepath.Join(dir, "data")}
	config := &configuration.Configuration{Storage: configuration.Storage{
		"filesystem":  configuration.Parameters{"rootdirectory": r.Dir},
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}}
	if o.Memory {
		delete(config.Storage, "filesystem")
		config.Storage["inmemory"] = configuration.Parameters{}
	}
	config.HTTP.Secret = "test"
	config.Catalog.MaxEntries = 1000
	mux := http.NewServeMux()
	switch {
	case o.BasicAuth:
		config.Auth = configuration.Auth{"htpasswd": configuration.Parameters{"realm": "test", "path": writeHtpasswd(t, dir)}}
		r.addAccount(t, dir)
	case o.TokenServer:
		r.Tokens = newTokenServer(t, dir, o.TokenLifetime, false)
		config.Auth = configuration.Auth{"token": r.Tokens.parameters()}
		mux.Handle("/token", r.Tokens)
		r.addAccount(t, dir)
	}
	app := handlers.NewApp(t.Context(), config)
	t.Cleanup(func() { _ = app.Shutdown() })
	mux.Handle("/", app)
	handler := forwarded(mux)
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	r.serve(t, dir, handler, o)
	if r.Username != "" {
		r.writeSecret(t)
	}
	return r
}

// forwarded tells distribution by which scheme it is reached, because it guesses https for its token server.
func forwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("X-Forwarded-Proto") == "" {
			proto := "http"
			if req.TLS != nil {
				proto = "https"
			}
			req.Header.Set("X-Forwarded-Proto", proto)
		}
		next.ServeHTTP(w, req)
	})
}

func (r *Registry) serve(t testing.TB, dir string, handler http.Handler, o Options) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if o.TLS {
		files := r.writeCertificates(t, dir, o)
		certificate, err := tls.LoadX509KeyPair(files.certificate, files.key)
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		if o.ClientCertificate {
			server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, readPool(t, files.ca)
		}
		server.StartTLS()
		r.CAFile = files.ca
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	r.URL = server.URL
	r.Host = server.Listener.Addr().String()
}

func (r *Registry) addAccount(t testing.TB, dir string) {
	t.Helper()
	r.Username, r.Password = username, password
	r.makeSecretDir(t, dir)
}

// makeSecretDir makes the directory of the secret, once.
func (r *Registry) makeSecretDir(t testing.TB, dir string) {
	t.Helper()
	r.SecretDir = filepath.Join(dir, "secret")
	if err := os.MkdirAll(r.SecretDir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func readPool(t testing.TB, file string) *x509.CertPool {
	t.Helper()
	data, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatalf("reading %s: %v", file, err)
	}
	return pool
}

func writeHtpasswd(t testing.TB, dir string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Join(dir, "htpasswd"), username+":"+string(hash)+"\n")
}

// writeSecret writes the account as Kubernetes mounts a docker-registry secret.
func (r *Registry) writeSecret(t testing.TB) {
	t.Helper()
	writeFile(t, filepath.Join(r.SecretDir, ".dockerconfigjson"), Dockercfg(t, r.Host, r.Username, r.Password))
}

// Dockercfg is the JSON of a .dockerconfigjson for one host.
func Dockercfg(t testing.TB, host, user, pass string) string {
	t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + pass))
	data, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// WriteSecret mounts a .dockerconfigjson, and returns its directory.
func WriteSecret(t testing.TB, dockercfg string) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, ".dockerconfigjson"), dockercfg)
	return dir
}

func writeFile(t testing.TB, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Options are what a client needs to reach the registry at r.Host.
func (r *Registry) Options() registry.Options {
	o := registry.Options{
		Registries: []registry.URI{{Host: r.Host, Insecure: strings.HasPrefix(r.URL, "http://")}},
		CAFile:     r.CAFile,
	}
	if r.SecretDir != "" {
		o.SecretDirs = []string{r.SecretDir}
	}
	return o
}

// Client reaches the registry.
func (r *Registry) Client(t testing.TB) *registry.Client {
	t.Helper()
	c, err := registry.New(r.Options())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Push stores an image, or an index, under repo:tag or repo@digest, without host, and returns its full reference.
func (r *Registry) Push(t testing.TB, repoTag string, what remote.Taggable) string {
	t.Helper()
	c := r.Client(t)
	ref, err := c.ParseReference(r.Host + "/" + repoTag)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what, c.Remote(t.Context())...)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what, c.Remote(t.Context())...)
	default:
		t.Fatalf("%T is neither image nor index", what)
	}
	if err != nil {
		t.Fatalf("pushing %s: %v", ref, err)
	}
	return ref.String()
}

// freePort asks the kernel for a port that nothing listens on.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing to wait for
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
