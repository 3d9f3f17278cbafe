package pulpserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/osbs-tekton/osbs/internal/certtest"
)

// front is what a site has before Pulp's applications: it speaks TLS, and says whom a client certificate names.
type front struct {
	server *http.Server

	mu        sync.Mutex
	shown     *tls.Certificate
	intercept func(w http.ResponseWriter, req *http.Request) bool
	logins    []string
}

// Intercept has a function see each request first; it says whether it has answered. nil ends that.
func (s *Server) Intercept(f func(w http.ResponseWriter, req *http.Request) bool) {
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	s.front.intercept = f
}

// Logins are the users that client certificates have named so far.
func (s *Server) Logins() []string {
	s.front.mu.Lock()
	defer s.front.mu.Unlock()
	return append([]string(nil), s.front.logins...)
}

// listen begins to serve.
func listen(s *Server, o Options) (*front, error) {
	listener, err := net.Listen("tcp", withDefault(o.Listen, "127.0.0.1:0")) //nolint:noctx // it does not wait for anything
	if err != nil {
		return nil, err
	}
	s.Host = withDefault(o.Host, listener.Addr().String())
	s.URL = "https://" + s.Host
	pair, err := s.certificate()
	if err != nil {
		return nil, err
	}
	roots, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(roots) {
		return nil, errors.New("the CA file holds no certificate")
	}
	f := &front{}
	if err := f.show(pair); err != nil {
		return nil, err
	}
	f.server = &http.Server{
		Handler: f.handler(s), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.certificate(), nil }},
	}
	go func() { _ = f.server.ServeTLS(listener, "", "") }()
	return f, nil
}

func withDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// certificate makes an authority, and a certificate for the server.
func (s *Server) certificate() (certtest.Pair, error) {
	ca, err := certtest.New(s.dir, "ca")
	if err != nil {
		return certtest.Pair{}, err
	}
	s.authority, s.CAFile = ca, ca.File
	return ca.Server("server", s.hostname())
}

// hostname is the host without the port.
func (s *Server) hostname() string {
	host, _, err := net.SplitHostPort(s.Host)
	if err != nil {
		return s.Host // it has none
	}
	return host
}

// Client is a certificate in the name of a user.
func (s *Server) Client(user string) (certtest.Pair, error) {
	return s.authority.Client(user, time.Now().Add(24*time.Hour))
}

// UseExpiredCertificate has the server show a certificate whose time is over, until the function that it returns is called.
func (s *Server) UseExpiredCertificate() (undo func(), err error) {
	expired, err := s.authority.Expired("expired", s.hostname())
	if err != nil {
		return nil, err
	}
	before := s.front.certificate()
	if err := s.front.show(expired); err != nil {
		return nil, err
	}
	return func() { s.front.set(before) }, nil
}

// certificate is the one that is shown.
func (f *front) certificate() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shown
}

func (f *front) set(c *tls.Certificate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shown = c
}

// show has the front use a certificate for connections to come.
func (f *front) show(p certtest.Pair) error {
	c, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return err
	}
	f.set(&c)
	return nil
}

func (f *front) handler(s *Server) http.Handler {
	api, content := s.proxy("api"), s.proxy("content")
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		f.mu.Lock()
		intercept := f.intercept
		f.mu.Unlock()
		if intercept != nil && intercept(w, req) {
			return
		}
		req.Header.Del("Remote-User") // only a certificate says so
		if len(req.TLS.PeerCertificates) > 0 {
			name := req.TLS.PeerCertificates[0].Subject.CommonName
			req.Header.Set("Remote-User", name)
			f.mu.Lock()
			f.logins = append(f.logins, name)
			f.mu.Unlock()
		}
		if strings.HasPrefix(req.URL.Path, "/pulp/content/") || strings.HasPrefix(req.URL.Path, "/pulp/container/") {
			content.ServeHTTP(w, req)
			return
		}
		api.ServeHTTP(w, req)
	})
}

func (s *Server) proxy(name string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: s.Host})
			r.Out.Host = s.Host
			r.Out.Header.Set("X-Forwarded-Host", s.Host)
			r.Out.Header.Set("X-Forwarded-Proto", "https")
		},
		Transport:    s.transport(name),
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}
