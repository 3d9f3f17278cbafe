package registrytest

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/sharedbuffer"
)

// skipServers names the environment variable with which a developer does without the programs that Debian packages.
const skipServers = "OSBS_TEST_SKIP_SERVERS"

// StartDebian runs Debian's docker-registry program (distribution 2.8). That it is not installed is a failure, unless
// OSBS_TEST_SKIP_SERVERS=1 is set.
func StartDebian(t testing.TB, o Options) *Registry {
	t.Helper()
	if o.Wrap != nil {
		t.Fatal("registrytest: StartDebian has no Wrap")
	}
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv(skipServers) == "1" {
			t.Skip("docker-registry is not installed")
		}
		t.Fatalf("%v: install Debian's package docker-registry, or set %s=1", err, skipServers)
	}
	dir := t.TempDir()
	address := freePort(t)
	r := &Registry{Dir: filepath.Join(dir, "data"), Host: address, URL: "http://" + address}
	storage := fmt.Sprintf("filesystem: {rootdirectory: %q}", r.Dir)
	if o.Memory {
		storage = "inmemory: {}"
	}
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage:\n  %s\n  delete: {enabled: true}\n  maintenance: {uploadpurging: {enabled: false}}\n"+
		"http:\n  addr: %q\n  secret: test\n", storage, address)
	if o.TokenServer {
		config += r.serveTokens(t, dir, address, o)
	} else if o.TLS {
		files := r.writeCertificates(t, dir, o)
		clients := ""
		if o.ClientCertificate {
			clients = fmt.Sprintf(", clientcas: [%q]", files.ca)
		}
		config += fmt.Sprintf("  tls: {certificate: %q, key: %q%s}\n", files.certificate, files.key, clients)
		r.CAFile, r.URL = files.ca, "https://"+r.Host
	}
	if o.BasicAuth {
		config += fmt.Sprintf("auth:\n  htpasswd: {realm: test, path: %q}\n", writeHtpasswd(t, dir))
		r.addAccount(t, dir)
		r.writeSecret(t)
	}
	run(t, address, program, "serve", writeFile(t, filepath.Join(dir, "config.yml"), config))
	return r
}

// serveTokens puts a server before the registry at address that gives tokens too, under one name, as clients want it: they follow no
// registry to an address of a private network. It returns the registry's configuration of them.
func (r *Registry) serveTokens(t testing.TB, dir, address string, o Options) string {
	t.Helper()
	r.Tokens = newTokenServer(t, dir, o.TokenLifetime, true)
	r.addAccount(t, dir)
	mux := http.NewServeMux()
	mux.Handle("/token", r.Tokens)
	mux.Handle("/", &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(&url.URL{Scheme: "http", Host: address})
		p.Out.Host = p.In.Host
		p.Out.Header["X-Forwarded-Proto"] = p.In.Header["X-Forwarded-Proto"]
	}})
	r.serve(t, dir, forwarded(mux), o)
	r.writeSecret(t)
	return fmt.Sprintf("auth:\n  token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}\n", r.URL+"/token", tokenService, tokenIssuer, r.Tokens.certificate)
}

// started bounds how long a program may take to listen.
const started = 20 * time.Second

// run starts a program and waits until it listens on address. It is killed when the test ends.
func run(t testing.TB, address, program string, args ...string) {
	t.Helper()
	var output sharedbuffer.Buffer
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	deadline := time.Now().Add(started)
	dialer := net.Dialer{Timeout: time.Second}
	for {
		conn, err := dialer.DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", strings.Join(cmd.Args, " "), output.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s: %v\n%s", program, address, err, output.String())
		}
	}
}
