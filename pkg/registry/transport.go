package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Time limits of one connection. A whole transfer has none: stalls end it (see body.go), size does not.
const (
	dialTimeout     = 30 * time.Second
	tlsTimeout      = 20 * time.Second
	headerTimeout   = 5 * time.Minute // a registry hashes an uploaded layer before it answers
	continueTimeout = 2 * time.Second
	idleTimeout     = 90 * time.Second
	idlePerHost     = 16
	maxHeader       = 1 << 20
)

// errPlainHTTP says that a server, or a redirect of it, asked for an unencrypted connection that nobody allowed.
var errPlainHTTP = errors.New("plain HTTP is not allowed")

// errAllowedPlain says that a server does not speak TLS, and need not.
var errAllowedPlain = errors.New("no TLS, which is allowed for this host")

// isNoTLS recognises a server that does not speak TLS at all.
func isNoTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// network sends requests, once each: TLS with the right trust for each host, plain HTTP only where that was asked for.
type network struct {
	insecureHosts hostSet
	// plainHosts are those that a URI with http:// names: TLS is not even tried with them.
	plainHosts hostSet
	dial       *dialer
	secure     *http.Transport
	insecure   *http.Transport
	// single are the transports of hosts for which there are certificates of their own.
	single map[string]*http.Transport
}

func newNetwork(insecure hostSet, roots *x509.CertPool, addresses map[string]string) *network {
	dial := newDialer(addresses)
	return &network{
		insecureHosts: insecure, dial: dial, single: map[string]*http.Transport{},
		secure: newHTTPTransport(dial, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		insecure: newHTTPTransport(dial, &tls.Config{
			InsecureSkipVerify: true, //nolint:gosec // only for hosts that a person listed as insecure
			MinVersion:         tls.VersionTLS12,
		}),
	}
}

// trustFor gives a host certificates of its own, besides roots, those of all hosts. No other host is shown the client's certificate, also
// not one to which the registry sends its clients on.
func (n *network) trustFor(host string, t trust, roots *x509.CertPool) {
	config := &tls.Config{
		RootCAs: roots, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: n.insecureHosts.has(host), //nolint:gosec // only for hosts that a person listed as insecure
	}
	if len(t.authorities) > 0 {
		if roots == nil {
			roots = systemRoots()
		}
		config.RootCAs = roots.Clone()
		config.RootCAs.AppendCertsFromPEM(t.authorities)
	}
	if t.certificate != nil {
		// Shown to whoever asks, also if the server names authorities of which none has signed it: its answer then says what is wrong.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.certificate, nil }
	}
	n.single[host] = newHTTPTransport(n.dial, config)
}

// transport is the one for a host.
func (n *network) transport(host string) *http.Transport {
	switch single := n.single[canonicalHost(host)]; {
	case single != nil:
		return single
	case n.insecureHosts.has(host):
		return n.insecure
	default:
		return n.secure
	}
}

// newHTTPTransport speaks HTTP/1.1: layers are moved in parallel, each on its own connection with its own flow control.
func newHTTPTransport(dial *dialer, config *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  dial.proxy,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dial.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  continueTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    idlePerHost,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // digests are over the bytes that the registry stores
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
	}
}

// proxyError is what a proxy answered that does not connect its client to a registry.
type proxyError struct {
	// host is the proxy's, status what it answered.
	host, status string
	code         int
}

func (e *proxyError) Error() string { return fmt.Sprintf("proxy %s answered %s", e.host, e.status) }

// proxyAnswer makes an error of what a proxy answers to CONNECT, which net/http does not tell from an answer of the registry.
func proxyAnswer(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyError{host: proxy.Host, status: resp.Status, code: resp.StatusCode}
}

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case req.URL.Scheme == "https" && n.plainHosts.has(req.URL.Host):
		closeBody(req)
		return nil, fmt.Errorf("%s: %w", req.URL.Host, errAllowedPlain)
	case n.insecureHosts.has(req.URL.Host):
		resp, err := n.transport(req.URL.Host).RoundTrip(req)
		if err != nil && isNoTLS(err) {
			err = fmt.Errorf("%s: %w", req.URL.Host, errAllowedPlain) // plain HTTP is tried next
		}
		return resp, err
	case req.URL.Scheme == "https":
		return n.transport(req.URL.Host).RoundTrip(req)
	default:
		closeBody(req)
		return nil, fmt.Errorf("%s: %w", req.URL.Host, errPlainHTTP)
	}
}

// closeBody does what a RoundTripper must that sends nothing.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// dialer connects to the addresses that stand in for names.
type dialer struct {
	net.Dialer
	addresses map[string]string
}

func newDialer(addresses map[string]string) *dialer {
	return &dialer{Dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}, addresses: addresses}
}

// lookup finds the address for host, host:port, or nothing.
func (d *dialer) lookup(hostport string) (string, bool) {
	if len(d.addresses) == 0 {
		return "", false
	}
	if address, ok := d.addresses[hostport]; ok {
		return address, true
	}
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", false
	}
	address, ok := d.addresses[host]
	return address, ok
}

func (d *dialer) dial(ctx context.Context, netw, address string) (net.Conn, error) {
	if instead, ok := d.lookup(address); ok {
		address = instead
	}
	return d.DialContext(ctx, netw, address)
}

// proxy takes the proxy from the environment, except for hosts with an address of their own.
func (d *dialer) proxy(req *http.Request) (*url.URL, error) {
	if _, ok := d.lookup(req.URL.Host); ok {
		return nil, nil //nolint:nilnil // nil is how net/http spells no proxy
	}
	return http.ProxyFromEnvironment(req)
}
