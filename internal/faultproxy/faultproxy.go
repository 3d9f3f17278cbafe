// Package faultproxy is a reverse proxy for tests that does to chosen requests what networks and servers do on bad days.
//
//	proxy := faultproxy.Start(t, registry.URL)
//	proxy.Add(faultproxy.Rule{Method: "PATCH", Path: `/blobs/uploads/`, Count: 2, Fault: faultproxy.ResetRequest(1 << 20)})
//
// It speaks plain HTTP to its clients, and keeps their Host header, so that servers write URLs which lead through the proxy again.
package faultproxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"
)

// Fault answers a request badly. next is the real server.
type Fault func(w http.ResponseWriter, req *http.Request, next http.Handler)

// Rule chooses requests for a Fault.
type Rule struct {
	// Method is exact; empty means any.
	Method string
	// Path is a regular expression on the URL's path; empty means any.
	Path string
	// Skip lets so many matching requests pass before the first that meets the fault.
	Skip int
	// Count is how many requests meet the fault; 0 means all.
	Count int
	// Fault is what happens to them.
	Fault Fault

	path *regexp.Regexp
	seen int
}

// Proxy is a running proxy.
type Proxy struct {
	// URL is http://Host, Host is 127.0.0.1:port.
	URL, Host string

	mu       sync.Mutex
	rules    []*Rule
	requests []string
	received int64
}

// Start runs a proxy before target, an http or https URL, until the test ends. The target's certificate is not verified.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the test's own server
		DisableCompression:    true,
		ExpectContinueTimeout: 5 * time.Second,
	}
	next := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host
			r.Out.Header.Set("X-Forwarded-Proto", "http")
		},
	}
	p := &Proxy{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { p.handle(w, req, next) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	p.URL, p.Host = server.URL, server.Listener.Addr().String()
	return p
}

// Add makes the proxy follow a rule, after those it has; the first that applies to a request wins.
func (p *Proxy) Add(r Rule) {
	r.path = regexp.MustCompile(r.Path)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &r)
}

// Clear forgets all rules, requests and bytes.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.requests, p.received = nil, nil, 0
}

// Requests are the requests so far, as "METHOD /path"; those that met a fault end in "!".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Received is how many bytes of requests' bodies have come so far.
func (p *Proxy) Received() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.received
}

// countedBody counts what is read of a request's body.
type countedBody struct {
	io.ReadCloser
	p *Proxy
}

func (c countedBody) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.received += int64(n)
	return n, err
}

// Count is how many requests so far match the regular expression, in the form of Requests.
func (p *Proxy) Count(pattern string) int {
	expression := regexp.MustCompile(pattern)
	n := 0
	for _, r := range p.Requests() {
		if expression.MatchString(r) {
			n++
		}
	}
	return n
}

func (p *Proxy) handle(w http.ResponseWriter, req *http.Request, next http.Handler) {
	if req.Body != nil && req.Body != http.NoBody {
		req = req.WithContext(req.Context()) // a server looks at the body of its own request when it decides what to do with the rest of it
		req.Body = countedBody{req.Body, p}
	}
	if fault := p.choose(req); fault != nil {
		fault(w, req, next)
		return
	}
	next.ServeHTTP(w, req)
}

func (p *Proxy) choose(req *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := req.Method + " " + req.URL.Path
	for _, r := range p.rules {
		if r.Method != "" && r.Method != req.Method || !r.path.MatchString(req.URL.Path) {
			continue
		}
		r.seen++
		if r.seen <= r.Skip || r.Count > 0 && r.seen > r.Skip+r.Count {
			continue
		}
		p.requests = append(p.requests, line+" !")
		return r.Fault
	}
	p.requests = append(p.requests, line)
	return nil
}

// Status answers with a code and a body in the form of a registry's errors. header holds pairs, such as "Retry-After", "1".
func Status(code int, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"UNKNOWN","message":"fault %d"}]}`, code)
	}
}

// Answer answers with a code, a content type and a body: rubbish, or whatever a test needs.
func Answer(code int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// NotHTTP answers with bytes that are no HTTP.
func NotHTTP() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "220 mail.example.com ESMTP\r\n")
		_ = conn.Close()
	}
}

// Reset closes the connection with a TCP reset before anything is answered.
func Reset() Fault { return ResetRequest(0) }

// ResetRequest reads so many bytes of the request's body, then resets the connection: a reset in the middle of an upload.
func ResetRequest(bytes int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		_, _ = io.CopyN(io.Discard, req.Body, bytes)
		reset(w)
	}
}

// CutRequest passes so many bytes of the request's body on to the server, then breaks both connections, as a network does.
func CutRequest(bytes int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		req.Body = &cutBody{ReadCloser: req.Body, left: bytes}
		next.ServeHTTP(httptest.NewRecorder(), req)
		reset(w)
	}
}

// cutBody fails after some bytes.
type cutBody struct {
	io.ReadCloser
	left int64
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// ResetAfter lets the server do what is asked, and resets the connection instead of passing its answer on.
func ResetAfter() Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), req)
		reset(w)
	}
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// CutResponse passes so many bytes of the real body on, then breaks the connection.
func CutResponse(bytes int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&limitedWriter{ResponseWriter: w, left: bytes, spent: func() { panic(http.ErrAbortHandler) }}, req)
	}
}

// Stall passes so many bytes of the real body on, then nothing until the client gives up.
func Stall(bytes int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&limitedWriter{ResponseWriter: w, left: bytes, spent: func() {
			<-req.Context().Done()
			panic(http.ErrAbortHandler)
		}}, req)
	}
}

// Slow passes the real body on in pieces, with a pause after each.
func Slow(piece int, pause time.Duration) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&slowWriter{ResponseWriter: w, piece: piece, pause: pause, done: req.Context().Done()}, req)
	}
}

// Corrupt passes the real body on with its first byte changed.
func Corrupt() Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&corruptWriter{ResponseWriter: w}, req)
	}
}

type limitedWriter struct {
	http.ResponseWriter
	left  int64
	spent func()
}

func (l *limitedWriter) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *limitedWriter) Write(p []byte) (int, error) {
	n, err := l.ResponseWriter.Write(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	if err == nil && l.left <= 0 {
		_ = http.NewResponseController(l.ResponseWriter).Flush()
		l.spent()
	}
	return n, err
}

type slowWriter struct {
	http.ResponseWriter
	piece int
	pause time.Duration
	done  <-chan struct{}
}

func (s *slowWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *slowWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := s.ResponseWriter.Write(p[written:min(written+s.piece, len(p))])
		written += n
		if err != nil {
			return written, err
		}
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		select {
		case <-time.After(s.pause):
		case <-s.done:
			return written, io.ErrClosedPipe
		}
	}
	return written, nil
}

type corruptWriter struct {
	http.ResponseWriter
	begun bool
}

func (c *corruptWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *corruptWriter) Write(p []byte) (int, error) {
	if !c.begun && len(p) > 0 {
		c.begun = true
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	}
	return c.ResponseWriter.Write(p)
}
