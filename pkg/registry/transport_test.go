package registry

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

var quick = retry.Policy{Attempts: 4, First: time.Millisecond, Max: 2 * time.Millisecond}

// testTransport talks to servers on loopback in plain HTTP, and tries again quickly.
func testTransport() *retryTransport {
	return &retryTransport{
		env: step.Env{Retry: quick}.WithDefaults(), stall: 200 * time.Millisecond,
		inner: newNetwork(hostSet{"127.0.0.1": true}, nil, nil),
	}
}

// content serves text with and without ranges.
func content(t *testing.T, text string, header http.Header, ranges bool) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		if ranges {
			http.ServeContent(w, req, "", time.Time{}, strings.NewReader(text))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, url string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := testTransport().RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func TestGetUnderFaults(t *testing.T) {
	text := strings.Repeat("0123456789", 10000)
	rule := func(count int, f faultproxy.Fault) faultproxy.Rule { return faultproxy.Rule{Count: count, Fault: f} }
	for name, tc := range map[string]struct {
		rules    []faultproxy.Rule
		ranges   bool
		requests int
		status   int
		fails    bool
	}{
		"408":              {[]faultproxy.Rule{rule(2, faultproxy.Status(408))}, true, 3, 200, false},
		"429, Retry-After": {[]faultproxy.Rule{rule(1, faultproxy.Status(429, "Retry-After", "0"))}, true, 2, 200, false},
		"500":              {[]faultproxy.Rule{rule(1, faultproxy.Status(500))}, true, 2, 200, false},
		"502, 503, 504":    {[]faultproxy.Rule{rule(1, faultproxy.Status(502)), rule(1, faultproxy.Status(503)), rule(1, faultproxy.Status(504))}, true, 4, 200, false},
		"503 for ever":     {[]faultproxy.Rule{rule(0, faultproxy.Status(503))}, true, 4, 503, false},
		"404 is no fault":  {[]faultproxy.Rule{rule(0, faultproxy.Status(404))}, true, 1, 404, false},
		"401 is no fault":  {[]faultproxy.Rule{rule(0, faultproxy.Status(401))}, true, 1, 401, false},
		"reset":            {[]faultproxy.Rule{rule(2, faultproxy.Reset())}, true, 3, 200, false},
		"reset for ever":   {[]faultproxy.Rule{rule(0, faultproxy.Reset())}, true, 4, 0, true},
		"cut, ranges":      {[]faultproxy.Rule{rule(1, faultproxy.CutResponse(12345))}, true, 2, 200, false},
		"cut, no ranges":   {[]faultproxy.Rule{rule(1, faultproxy.CutResponse(12345))}, false, 2, 200, false},
		"cut often":        {[]faultproxy.Rule{rule(7, faultproxy.CutResponse(2000))}, true, 8, 200, false},
		"cut, then 503":    {[]faultproxy.Rule{rule(1, faultproxy.CutResponse(5)), rule(2, faultproxy.Status(503))}, true, 4, 200, false},
		"cut, then gone":   {[]faultproxy.Rule{rule(1, faultproxy.CutResponse(5)), rule(0, faultproxy.Status(404))}, true, 2, 200, true},
		"stalls":           {[]faultproxy.Rule{rule(1, faultproxy.Stall(12345))}, true, 2, 200, false},
		"slow":             {[]faultproxy.Rule{rule(0, faultproxy.Slow(20000, 5*time.Millisecond))}, true, 1, 200, false},
		"not HTTP":         {[]faultproxy.Rule{rule(0, faultproxy.NotHTTP())}, true, 1, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, content(t, text, http.Header{"Etag": {`"x"`}}, tc.ranges))
			for _, r := range tc.rules {
				proxy.Add(r)
			}
			status, body, err := get(t, proxy.URL+"/v2/x/blobs/y")
			if (err != nil) != tc.fails {
				t.Errorf("error %v", err)
			}
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			if status == 200 && err == nil && body != text {
				t.Errorf("the body differs: %d bytes of %d", len(body), len(text))
			}
			if got := len(proxy.Requests()); got != tc.requests {
				t.Errorf("%d requests, want %d: %v", got, tc.requests, proxy.Requests())
			}
		})
	}
}

// TestChangedContentIsNotContinued: half of one manifest and half of another is neither.
func TestChangedContentIsNotContinued(t *testing.T) {
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n++
		w.Header().Set("Etag", `"`+strconv.Itoa(n)+`"`)
		http.ServeContent(w, req, "", time.Time{}, strings.NewReader(strings.Repeat(strconv.Itoa(n), 1000)))
	}))
	t.Cleanup(server.Close)
	proxy := faultproxy.Start(t, server.URL)
	proxy.Add(faultproxy.Rule{Count: 1, Fault: faultproxy.CutResponse(500)})
	if _, body, err := get(t, proxy.URL+"/v2/x/manifests/latest"); err == nil {
		t.Errorf("no error, body %q", body)
	}
}

// TestStreamsAreSentOnce: the body of an upload must not be sent twice, because a registry appends.
func TestStreamsAreSentOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	for name, fault := range map[string]faultproxy.Fault{
		"503": faultproxy.Status(503), "reset": faultproxy.Reset(), "reset in the middle": faultproxy.ResetRequest(1000), "answer lost": faultproxy.ResetAfter(),
	} {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Start(t, server.URL)
			proxy.Add(faultproxy.Rule{Fault: fault})
			body := &closeCounter{Reader: strings.NewReader(strings.Repeat("x", 100000))}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, proxy.URL+"/v2/x/blobs/uploads/1", body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := testTransport().RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			if got := proxy.Requests(); len(got) != 1 {
				t.Errorf("requests %v", got)
			}
			if body.closed != 1 {
				t.Errorf("the body was closed %d times", body.closed)
			}
		})
	}
}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

// TestStreamSurvives401: what has not been asked for can be sent again with a new token.
func TestStreamSurvives401(t *testing.T) {
	refused := false
	var received []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !refused {
			refused = true
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		received, _ = io.ReadAll(req.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(server.Close)
	text := strings.Repeat("x", 1<<20)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, server.URL, io.NopCloser(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	transport := testTransport()
	for _, want := range []int{401, 202} {
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
	if string(received) != text {
		t.Errorf("received %d bytes of %d", len(received), len(text))
	}
}

// TestUploadStalls: a server that takes nothing more does not hold a push for ever.
func TestUploadStalls(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		_, _ = io.CopyN(io.Discard, req.Body, 10)
		<-release
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	body := io.NopCloser(io.LimitReader(zeros{}, 1<<30))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, server.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := testTransport().RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, errStalled) {
		t.Errorf("error %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestRepeatable(t *testing.T) {
	for name, tc := range map[string]struct {
		method, path string
		body         io.Reader
		want         bool
	}{
		"GET":            {http.MethodGet, "/", nil, true},
		"HEAD":           {http.MethodHead, "/", nil, true},
		"PUT manifest":   {http.MethodPut, "/v2/x/manifests/y", strings.NewReader("x"), true},
		"PUT stream":     {http.MethodPut, "/v2/x/blobs/uploads/1", io.NopCloser(strings.NewReader("x")), false},
		"PATCH":          {http.MethodPatch, "/v2/x/blobs/uploads/1", strings.NewReader("x"), false},
		"open an upload": {http.MethodPost, "/v2/x/blobs/uploads/", nil, true},
		"other POST":     {http.MethodPost, "/tasks", strings.NewReader("x"), false},
		"DELETE":         {http.MethodDelete, "/v2/x/manifests/y", nil, true},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://r"+tc.path, tc.body)
		if err != nil {
			t.Fatal(err)
		}
		if got := canRepeat(req); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-1": 0, "soon": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:04:15 GMT": 10 * time.Second, "Fri, 02 Jan 2026 03:04:00 GMT": 0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestPlainHTTPIsRefused(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://r.example.com/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newNetwork(hostSet{}, nil, nil).RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, errPlainHTTP) {
		t.Errorf("error %v", err)
	}
}

func TestInsecureHosts(t *testing.T) {
	c, err := New(Options{Insecure: []string{"a", "b:5000", ""}, Registries: []URI{{Host: "c:1", Insecure: true}, {Host: "d"}}})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, host := range []string{"a", "a:5000", "b", "b:5000", "c", "c:1", "d", "A"} {
		got[host] = c.Insecure(host)
	}
	want := map[string]bool{"a": true, "a:5000": true, "b": false, "b:5000": true, "c": false, "c:1": true, "d": false, "A": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
