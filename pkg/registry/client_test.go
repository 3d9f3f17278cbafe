package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

var quick = retry.Policy{Attempts: 3, First: time.Millisecond, Max: 2 * time.Millisecond}

// client makes a client that tries again quickly.
func client(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	o.Env = step.Env{Retry: quick}
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// head asks for repo:tag at host, and classifies what goes wrong.
func head(t *testing.T, c *registry.Client, host, image string) error {
	t.Helper()
	ref, err := c.ParseReference(host + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.Get(ref, c.Remote(t.Context())...)
	return registry.Classify(err, ref.String())
}

// TestErrors asks server servers, of two implementations where that makes a difference.
func TestErrors(t *testing.T) {
	secured := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	debian := registrytest.StartDebian(t, registrytest.Options{TLS: true, BasicAuth: true})
	tokens := registrytest.Start(t, registrytest.Options{TLS: true, TokenServer: true})
	debianTokens := registrytest.StartDebian(t, registrytest.Options{TLS: true, TokenServer: true})
	plain := registrytest.Start(t, registrytest.Options{})
	without := func(o registry.Options) registry.Options { o.SecretDirs = nil; return o }
	for name, tc := range map[string]struct {
		options registry.Options
		host    string
		kind    failure.Kind
		text    string
	}{
		"absent":                          {secured.Options(), secured.Host, failure.NotFound, "does not exist"},
		"absent, Debian":                  {debian.Options(), debian.Host, failure.NotFound, "does not exist"},
		"absent, tokens":                  {tokens.Options(), tokens.Host, failure.NotFound, "does not exist"},
		"no credentials":                  {without(secured.Options()), secured.Host, failure.Unauthorized, "refused access"},
		"no credentials, Debian":          {without(debian.Options()), debian.Host, failure.Unauthorized, "refused access"},
		"no credentials, tokens":          {without(tokens.Options()), tokens.Host, failure.Unauthorized, "refused access"},
		"no credentials, Debian's tokens": {without(debianTokens.Options()), debianTokens.Host, failure.Unauthorized, "refused access"},
		"certificate not trusted":         {registry.Options{}, secured.Host, failure.Untrusted, "the certificate of registry"},
		"insecure: not verified":          {registry.Options{Insecure: []string{secured.Host}, SecretDirs: []string{secured.SecretDir}}, secured.Host, failure.NotFound, "does not exist"},
		"plain HTTP not asked for":        {registry.Options{}, plain.Host, failure.Untrusted, "does not speak TLS"},
		"plain HTTP":                      {registry.Options{Insecure: []string{"127.0.0.1"}}, plain.Host, failure.NotFound, "does not exist"},
		"name of the certificate":         {registry.Options{CAFile: secured.CAFile, Addresses: map[string]string{"r.example.org": secured.Host}}, "r.example.org", failure.Untrusted, "the certificate of registry"},
		"address instead of the name":     {registry.Options{CAFile: secured.CAFile, Addresses: map[string]string{"r.example.com:5000": secured.Host}}, "r.example.com:5000", failure.Unauthorized, "refused access"},
		"nobody listens":                  {registry.Options{}, "127.0.0.1:1", failure.Unavailable, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := head(t, client(t, tc.options), tc.host, "none/such:1")
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), tc.host) {
				t.Errorf("%s: %v\nwant %s: ...%s...", failure.KindOf(err), err, tc.kind, tc.text)
			}
			for _, r := range []*registrytest.Registry{secured, debian, tokens} {
				if strings.Contains(err.Error(), r.Password) {
					t.Errorf("the error holds the password: %v", err)
				}
			}
		})
	}
}

// TestBadServers asks servers that misbehave.
func TestBadServers(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	server.Push(t, "a/b:1", img)
	manifests := func(f faultproxy.Fault) faultproxy.Rule { return faultproxy.Rule{Path: "/manifests/", Fault: f} }
	for name, tc := range map[string]struct {
		rule faultproxy.Rule
		kind failure.Kind
		text string
	}{
		"down":              {faultproxy.Rule{Fault: faultproxy.Status(503)}, failure.Unavailable, "failed"},
		"rate limit":        {manifests(faultproxy.Status(429, "Retry-After", "0")), failure.Unavailable, "limits the rate"},
		"full":              {manifests(faultproxy.Answer(500, "application/json", `{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write: no space left on device"}]}`)), failure.Unavailable, "is full"},
		"a web page":        {faultproxy.Rule{Fault: faultproxy.Answer(400, "text/html", "<html>sign in</html>")}, failure.Unavailable, "failed"},
		"not HTTP":          {faultproxy.Rule{Fault: faultproxy.NotHTTP()}, failure.Unavailable, ""},
		"resets":            {faultproxy.Rule{Fault: faultproxy.Reset()}, failure.Unavailable, "cannot be reached"},
		"forbidden":         {manifests(faultproxy.Status(403)), failure.Unauthorized, "refused access"},
		"huge manifest":     {manifests(faultproxy.Answer(200, "application/json", strings.Repeat(" ", 9<<20))), failure.Unavailable, "larger than"},
		"redirect to plain": {manifests(redirect("http://r.example.com/x")), failure.Untrusted, "does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, server.URL)
			proxy.Add(tc.rule)
			err := head(t, client(t, registry.Options{Insecure: []string{proxy.Host}}), proxy.Host, "a/b:1")
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: %v\nwant %s: ...%s...", failure.KindOf(err), err, tc.kind, tc.text)
			}
		})
	}
}

func redirect(to string) faultproxy.Fault {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		http.Redirect(w, req, to, http.StatusTemporaryRedirect)
	}
}

// TestCorruptContentIsUntrusted: what is asked for by digest has that digest.
func TestCorruptContentIsUntrusted(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	server.Push(t, "a/b:1", img)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.Start(t, server.URL)
	proxy.Add(faultproxy.Rule{Path: "/manifests/", Fault: faultproxy.Corrupt()})
	err = head(t, client(t, registry.Options{Insecure: []string{proxy.Host}}), proxy.Host, "a/b@"+digest.String())
	if failure.KindOf(err) != failure.Untrusted {
		t.Errorf("%s: %v", failure.KindOf(err), err)
	}
}

// TestFaultsAreRiddenOut pushes and pulls through a proxy at which every kind of request fails once.
func TestFaultsAreRiddenOut(t *testing.T) {
	for name, start := range map[string]func(testing.TB, registrytest.Options) *registrytest.Registry{"v3": registrytest.Start, "Debian": registrytest.StartDebian} {
		t.Run(name, func(t *testing.T) {
			server := start(t, registrytest.Options{BasicAuth: true})
			proxy := faultproxy.Start(t, server.URL)
			for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
				proxy.Add(faultproxy.Rule{Method: method, Count: 1, Fault: faultproxy.Status(503)})
				proxy.Add(faultproxy.Rule{Method: method, Count: 1, Fault: faultproxy.Reset()})
			}
			proxy.Add(faultproxy.Rule{Method: "PUT", Path: "/manifests/", Count: 1, Fault: faultproxy.ResetAfter()})
			proxy.Add(faultproxy.Rule{Method: "GET", Path: "/blobs/", Count: 1, Fault: faultproxy.CutResponse(5000)})
			c := client(t, registry.Options{Registries: []registry.URI{{Host: proxy.Host, Insecure: true}}, SecretDirs: []string{secretFor(t, proxy.Host, server)}})
			img, err := random.Image(20000, 2)
			if err != nil {
				t.Fatal(err)
			}
			ref, err := c.ParseReference(proxy.Host + "/a/b:1")
			if err != nil {
				t.Fatal(err)
			}
			if err := remote.Write(ref, img, c.Remote(t.Context())...); err != nil {
				t.Fatal(err)
			}
			back, err := remote.Image(ref, c.Remote(t.Context())...)
			if err != nil {
				t.Fatal(err)
			}
			layers, err := back.Layers()
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range layers {
				if _, err := registry.ReadBlob(l, 1<<20); err != nil {
					t.Error(err)
				}
			}
			if n := proxy.Count("!$"); n != 10 {
				t.Errorf("%d faults, want 10: %v", n, proxy.Requests())
			}
		})
	}
}

// secretFor gives the account of r for another host.
func secretFor(t *testing.T, host string, r *registrytest.Registry) string {
	t.Helper()
	return registrytest.WriteSecret(t, registrytest.Dockercfg(t, host, r.Username, r.Password))
}

// TestTokensExpireDuringAPush: each token is good for one request, so every request of the push meets an expired one first.
func TestTokensExpireDuringAPush(t *testing.T) {
	var used atomic.Int64
	var last atomic.Value
	once := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			token := req.Header.Get("Authorization")
			if strings.HasPrefix(token, "Bearer ") && last.Swap(token) == token {
				used.Add(1)
				req.Header.Set("Authorization", "Bearer expired")
			}
			next.ServeHTTP(w, req)
		})
	}
	r := registrytest.Start(t, registrytest.Options{TLS: true, TokenServer: true, Wrap: once})
	img, err := random.Image(1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, r.Options())
	ref, err := c.ParseReference(r.Host + "/a/b:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, append(c.Remote(t.Context()), remote.WithJobs(1))...); err != nil {
		t.Fatal(err)
	}
	if used.Load() < 3 || r.Tokens.Issued() < 4 {
		t.Errorf("%d expired tokens were used and %d issued: the test tests nothing", used.Load(), r.Tokens.Issued())
	}
}

func TestClassify(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		kind failure.Kind
	}{
		"nil":            {nil, ""},
		"cancelled":      {fmt.Errorf("x: %w", context.Canceled), failure.Cancelled},
		"deadline":       {fmt.Errorf("x: %w", context.DeadlineExceeded), failure.TimedOut},
		"has a kind":     {failure.New(failure.Conflict, "x"), failure.Conflict},
		"local disk":     {&fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, failure.Storage},
		"full disk":      {fmt.Errorf("x: %w", syscall.ENOSPC), failure.Storage},
		"no such host":   {&net.DNSError{Err: "no such host", Name: "r", IsNotFound: true}, failure.Unavailable},
		"something else": {errors.New("x"), failure.Unavailable},
	} {
		if got := failure.KindOf(registry.Classify(tc.err, "r.example.com/a:1")); got != tc.kind {
			t.Errorf("%s: %s, want %s", name, got, tc.kind)
		}
	}
}

type timeout struct{}

func (timeout) Error() string   { return "TLS handshake timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestClassifyFindsATimeoutBelowTheRetries(t *testing.T) {
	err := &url.Error{Op: "Get", URL: "https://r.example.com/v2/", Err: fmt.Errorf("after 7 tries: %w", timeout{})}
	if got := registry.Classify(err, "r.example.com/a:1"); !strings.Contains(got.Error(), "registry r.example.com cannot be reached") {
		t.Error(got)
	}
}

func TestParseReference(t *testing.T) {
	c := client(t, registry.Options{Insecure: []string{"r:5000"}})
	for in, want := range map[string]string{
		"fedora": "https index.docker.io/library/fedora:latest", "docker.io/a/b:1": "https index.docker.io/a/b:1",
		"r:5000/a": "http r:5000/a:latest", "r:5001/a": "https r:5001/a:latest",
	} {
		ref, err := c.ParseReference(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := ref.Context().Scheme() + " " + ref.Name(); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{"", "UPPER", "a b", "a:b:c", "a@sha256:1"} {
		if _, err := c.ParseReference(in); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%q: %v", in, err)
		}
	}
}
