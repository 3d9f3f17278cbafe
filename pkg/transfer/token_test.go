package transfer_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/internal/sharedbuffer"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

// expiring makes each bearer token good for so many requests. It remembers the tokens, and which methods met a spent one. A proxy in
// front of a registry may swallow the question whether to send a body: then the registry says that a token is spent when it has it all.
type expiring struct {
	uses    int
	swallow bool

	mu     sync.Mutex
	used   map[string]int
	spent  map[string]int
	issued []string
}

func (e *expiring) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		token, isBearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if isBearer && e.isSpent(token, req.Method) {
			if e.swallow {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			req.Header.Set("Authorization", "Bearer expired")
		}
		next.ServeHTTP(w, req)
	})
}

func (e *expiring) isSpent(token, method string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.used == nil {
		e.used, e.spent = map[string]int{}, map[string]int{}
	}
	if !slices.Contains(e.issued, token) {
		e.issued = append(e.issued, token)
	}
	e.used[token]++
	if e.used[token] <= e.uses {
		return false
	}
	e.spent[method]++
	return true
}

// TestTokensExpireInsideABlob: tokens are renewed before each kind of request that an upload consists of, also while the token server
// is overloaded, and none of what lets somebody in is in the log.
func TestTokensExpireInsideABlob(t *testing.T) {
	const identity = "planted-refresh-token-4711"
	for name, tc := range map[string]struct {
		uses     int
		swallow  bool
		identity bool
		whole    bool
		rules    []faultproxy.Rule
	}{
		"each request":           {uses: 1},
		"each request, by OAuth": {uses: 1, identity: true},
		"whole blob":             {uses: 1, whole: true},
		"every other request":    {uses: 2},
		"Expect is swallowed":    {uses: 3, swallow: true},
		"swallowed, whole blob":  {uses: 2, swallow: true, whole: true},
		"token server is down": {uses: 1, rules: []faultproxy.Rule{
			{Path: "^/token", Skip: 2, Count: 2, Fault: faultproxy.Status(503)}, {Path: "^/token", Skip: 3, Count: 1, Fault: faultproxy.Status(429, "Retry-After", "0")},
			{Path: "^/token", Skip: 4, Count: 2, Fault: faultproxy.Reset()},
		}},
		"OAuth server is down": {uses: 1, identity: true, rules: []faultproxy.Rule{
			{Path: "^/token", Skip: 2, Count: 2, Fault: faultproxy.Status(500)}, {Path: "^/token", Skip: 3, Count: 2, Fault: faultproxy.Reset()},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens := &expiring{uses: tc.uses, swallow: tc.swallow}
			r := registrytest.Start(t, registrytest.Options{TokenServer: true, Wrap: tokens.wrap})
			proxy := faultproxy.Start(t, r.URL)
			for _, rule := range tc.rules {
				proxy.Add(rule)
			}
			dockercfg := registrytest.Dockercfg(t, proxy.Host, r.Username, r.Password)
			if tc.identity {
				r.Tokens.Identity = identity
				dockercfg = fmt.Sprintf(`{"auths":{%q:{"identitytoken":%q}}}`, proxy.Host, identity)
			}
			log := &sharedbuffer.Buffer{}
			repo := openWith(t, log, proxy.Host, dockercfg)
			if !tc.whole {
				repo.SetParts(mebi, mebi)
			}
			c, g := newContent(t), &gauge{}
			if _, err := repo.HasBlob(t.Context(), c.Digest); err != nil {
				t.Fatal(err)
			}
			if err := repo.Upload(t.Context(), c.Descriptor, c.open, g); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(proxy.Requests(), "\n"))
			}
			if got := readBlob(t, repo, c.Descriptor); !bytes.Equal(got, c.data) {
				t.Error("the registry has something else")
			}
			if len(tokens.spent) == 0 || tc.uses == 1 && !tc.whole && len(tokens.spent) < 4 {
				t.Errorf("spent tokens were met by %v: the test tests nothing", tokens.spent)
			}
			for _, planted := range append(tokens.issued, r.Password, identity, base64.StdEncoding.EncodeToString([]byte(r.Username+":"+r.Password))) {
				if strings.Contains(log.String(), planted) {
					t.Errorf("the log holds %.20s...:\n%s", planted, log)
				}
			}
		})
	}
}

// openWith opens a repository with credentials, and a log at the lowest level in which nothing is redacted afterwards.
func openWith(t *testing.T, log io.Writer, host, dockercfg string) *transfer.Repository {
	t.Helper()
	repo, err := tryOpen(t, log, host, dockercfg)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func tryOpen(t *testing.T, log io.Writer, host, dockercfg string) (*transfer.Repository, error) {
	t.Helper()
	environment := step.Env{Retry: env.Retry, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Redact: &redact.Set{}}
	c, err := registry.New(registry.Options{Env: environment, Insecure: []string{host}, SecretDirs: []string{registrytest.WriteSecret(t, dockercfg)}})
	if err != nil {
		return nil, err
	}
	name, err := c.ParseRepository(host + "/team/app")
	if err != nil {
		return nil, err
	}
	return transfer.Open(t.Context(), c, environment, name, transfer.Push)
}

// TestSecretsAreInNoError: whatever a token server says, no credential gets into an error or a log.
func TestSecretsAreInNoError(t *testing.T) {
	const identity, other = "planted-refresh-token-4711", "planted-other-token-4712"
	for name, fault := range map[string]faultproxy.Fault{
		"refused":       faultproxy.Status(401),
		"down":          faultproxy.Status(503),
		"another token": faultproxy.Answer(200, "application/json", `{"refresh_token":"`+other+`"}`),
		"rubbish":       faultproxy.Answer(200, "application/json", `{"token":"`+other),
		"breaks":        faultproxy.Reset(),
		"redirects away": func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
			http.Redirect(w, req, "http://10.0.0.1/", http.StatusTemporaryRedirect)
		},
		"token of no worth": faultproxy.Answer(200, "application/json", `{"token":"`+other+`","access_token":"`+other+`"}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{TokenServer: true})
			for kind, dockercfg := range map[string]func(host string) string{
				"password": func(host string) string { return registrytest.Dockercfg(t, host, r.Username, r.Password) },
				"identity": func(host string) string { return fmt.Sprintf(`{"auths":{%q:{"identitytoken":%q}}}`, host, identity) },
			} {
				proxy := faultproxy.Start(t, r.URL)
				proxy.Add(faultproxy.Rule{Path: "^/token", Fault: fault})
				log := &sharedbuffer.Buffer{}
				repo, err := tryOpen(t, log, proxy.Host, dockercfg(proxy.Host))
				if err == nil {
					c := newContent(t)
					err = repo.Upload(t.Context(), c.Descriptor, c.open, &gauge{})
				}
				if err == nil {
					t.Fatalf("%s: no error", kind)
				}
				for _, planted := range []string{r.Password, identity, other, base64.StdEncoding.EncodeToString([]byte(r.Username + ":" + r.Password))} {
					if strings.Contains(err.Error(), planted) || strings.Contains(log.String(), planted) {
						t.Errorf("%s: %s is in the error, or in the log: %v\n%s", kind, planted, err, log)
					}
				}
			}
		})
	}
}

// openShift is the access control of OpenShift's registry: the password is a token of the API, whoever has it, and the token server at
// /openshift/token gives it back as a bearer token. Without credentials it gives one that is nobody's.
func openShift(token string, denied *atomic.Int64) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			_, password, isBasic := req.BasicAuth()
			bearer, isBearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
			switch {
			case req.URL.Path == "/openshift/token" && !isBasic:
				_ = json.NewEncoder(w).Encode(map[string]string{"token": "anonymous", "access_token": "anonymous"})
			case req.URL.Path == "/openshift/token" && password == token:
				_ = json.NewEncoder(w).Encode(map[string]string{"token": token, "access_token": token})
			case req.URL.Path == "/openshift/token":
				w.WriteHeader(http.StatusUnauthorized)
			case !isBasic && !isBearer:
				w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", "http://"+req.Host+"/openshift/token"))
				w.WriteHeader(http.StatusUnauthorized)
			case isBasic && password == token, isBearer && bearer == token, req.URL.Path == "/v2/":
				req.Header.Del("Authorization")
				next.ServeHTTP(w, req)
			default:
				denied.Add(1)
				w.Header().Set("WWW-Authenticate", `Basic realm=openshift,error="access denied"`)
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
	}
}

// TestOpenShift pushes with what OpenShift makes for a service account: a .dockercfg with all names and addresses of its registry.
func TestOpenShift(t *testing.T) {
	const token = "planted.service-account.token"
	var denied atomic.Int64
	r := registrytest.Start(t, registrytest.Options{Wrap: openShift(token, &denied)})
	entry := func(user, password string) map[string]string {
		return map[string]string{"username": user, "password": password, "email": "serviceaccount@example.org", "auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	}
	for name, tc := range map[string]struct {
		user, password string
		kind           failure.Kind
	}{
		"serviceaccount":     {"serviceaccount", token, ""},
		"any name":           {"<token>", token, ""},
		"of another account": {"serviceaccount", "planted.other.token", failure.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := map[string]any{}
			for _, host := range []string{"172.30.17.4:5000", "image-registry.openshift-image-registry.svc:5000", "image-registry.openshift-image-registry.svc.cluster.local:5000",
				"default-route-openshift-image-registry.apps.example.com", r.Host} {
				hosts[host] = entry(tc.user, tc.password)
			}
			dockercfg, err := json.Marshal(hosts)
			if err != nil {
				t.Fatal(err)
			}
			log := &sharedbuffer.Buffer{}
			repo, err := tryOpen(t, log, r.Host, string(dockercfg))
			if err == nil {
				c := newContent(t)
				repo.SetParts(mebi, mebi)
				err = repo.Upload(t.Context(), c.Descriptor, c.open, &gauge{})
			}
			if failure.KindOf(err) != tc.kind {
				t.Errorf("error %v, want %q", err, tc.kind)
			}
			if text := fmt.Sprint(err, log); strings.Contains(text, "planted") {
				t.Errorf("a token is in the log or in the error: %s", text)
			}
		})
	}
	if repo, err := tryOpen(t, io.Discard, r.Host, `{"other:1":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("a:b"))+`"}}`); err == nil {
		c := newContent(t)
		err = repo.Upload(t.Context(), c.Descriptor, c.open, &gauge{})
		if failure.KindOf(err) != failure.Unauthorized {
			t.Errorf("nobody: %v", err)
		}
	} else if failure.KindOf(err) != failure.Unauthorized {
		t.Error(err)
	}
	if denied.Load() == 0 {
		t.Error("nobody was refused")
	}
}
