// Package forwardproxy is a forward proxy for tests, as sites have it between their builds and the world: it answers CONNECT and plain
// requests, and knows names that nothing else resolves.
//
//	proxy := forwardproxy.Start(t, map[string]string{"registry.example.com": registry.Host})
//	out, err := forwardproxy.Rerun(t, "HTTPS_PROXY="+proxy.URL)
//
// net/http reads the environment once for a process, and takes no proxy for addresses of this machine. So what is to be tested runs in a
// second process, and with a name that is made up.
package forwardproxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Proxy is a running proxy.
type Proxy struct {
	// URL is http://127.0.0.1:port.
	URL string

	hosts map[string]string
	mu    sync.Mutex
	asked []string
}

// Start runs a proxy until the test ends. hosts are the addresses behind the names that it knows; it reaches nothing else.
func Start(t testing.TB, hosts map[string]string) *Proxy {
	t.Helper()
	p := &Proxy{hosts: hosts}
	plain := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return p.dial(ctx, address) }, DisableKeepAlives: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p.remember(req.Method == http.MethodConnect, req.Host)
		if req.Method == http.MethodConnect {
			p.connect(w, req)
			return
		}
		plain.ServeHTTP(w, req)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	p.URL = server.URL
	return p
}

func (p *Proxy) remember(connects bool, host string) {
	line := "plain " + host
	if connects {
		line = "CONNECT " + host
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.asked, line) {
		p.asked = append(p.asked, line)
	}
}

// Asked are the hosts that the proxy was asked for, each once, as "CONNECT host:port" or "plain host".
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func (p *Proxy) dial(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	to, ok := p.hosts[host]
	if !ok {
		return nil, &net.DNSError{Err: "the proxy does not know it", Name: host, IsNotFound: true}
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	return dialer.DialContext(ctx, "tcp", to)
}

func (p *Proxy) connect(w http.ResponseWriter, req *http.Request) {
	to, err := p.dial(req.Context(), req.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	if _, err := io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // it ends when either side does
		done <- struct{}{}
	}
	go pass(to, buffered)
	go pass(from, to)
	<-done
}

// again tells a test that it runs in the second process.
const again = "OSBS_TEST_BEHIND_PROXY"

// Behind says whether the test runs in the process that Rerun has started.
func Behind() bool { return os.Getenv(again) != "" }

// Rerun runs the test once more, in a process with the given variables and without any other proxy, and returns what that prints. The
// test must do there what is to be tested, and nothing else.
func Rerun(t *testing.T, environment ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v") //nolint:gosec // the test's own program
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(append(cmd.Env, again+"=1"), environment...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
