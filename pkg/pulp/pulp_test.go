package pulp_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/pulptest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

var env = step.Env{Retry: retry.Policy{Attempts: 3, First: time.Millisecond, Max: 2 * time.Millisecond}}

// request is a sync of an image.
var request = pulp.Request{Repository: "r", BasePath: "team/app", Source: "https://registry.example.com", Upstream: "team/app", Digest: "sha256:" + strings.Repeat("0", 64), Tags: []string{"1"}}

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func secret(t *testing.T, user, password string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "username", user)
	write(t, dir, "password", password+"\n")
	return dir
}

func TestNewRefuses(t *testing.T) {
	half, empty, rubbish := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, half, "username", "admin")
	write(t, rubbish, "tls.crt", "x")
	write(t, rubbish, "tls.key", "x")
	for name, tc := range map[string]struct {
		options pulp.Options
		kind    failure.Kind
	}{
		"no URL":              {pulp.Options{}, failure.Usage},
		"other scheme":        {pulp.Options{URL: "ftp://pulp.example.com"}, failure.Usage},
		"no scheme":           {pulp.Options{URL: "pulp.example.com"}, failure.Usage},
		"credentials":         {pulp.Options{URL: "https://admin:hunter2@pulp.example.com"}, failure.Usage},
		"no CA file":          {pulp.Options{URL: "https://p", CAFile: "/nonexistent"}, failure.Usage},
		"CA file is rubbish":  {pulp.Options{URL: "https://p", CAFile: write(t, t.TempDir(), "ca", "x")}, failure.Usage},
		"no secret":           {pulp.Options{URL: "https://p", SecretDir: "/nonexistent"}, failure.Unauthorized},
		"half a secret":       {pulp.Options{URL: "https://p", SecretDir: half}, failure.Unauthorized},
		"empty secret":        {pulp.Options{URL: "https://p", SecretDir: empty}, failure.Unauthorized},
		"certificate rubbish": {pulp.Options{URL: "https://p", SecretDir: rubbish}, failure.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pulp.New(tc.options)
			if failure.KindOf(err) != tc.kind || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v (%s), want %s", err, failure.KindOf(err), tc.kind)
			}
		})
	}
}

func TestPasswordIsRedacted(t *testing.T) {
	e := env
	e.Redact = &redact.Set{}
	if _, err := pulp.New(pulp.Options{Env: e, URL: "https://p", SecretDir: secret(t, "admin\n", "correct-horse\n")}); err != nil {
		t.Fatal(err)
	}
	header := base64.StdEncoding.EncodeToString([]byte("admin:correct-horse"))
	if got := e.Redact.String("x correct-horse Basic " + header); strings.Contains(got, "horse") || strings.Contains(got, header) {
		t.Errorf("redacted: %q", got)
	}
}

func TestSyncNeedsTags(t *testing.T) {
	c, err := pulp.New(pulp.Options{Env: env, URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	r := request
	r.Tags = nil
	if _, err := c.Sync(t.Context(), r); failure.KindOf(err) != failure.Internal {
		t.Errorf("a sync without tags: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		rule     faultproxy.Rule
		password string
		kind     failure.Kind
		text     string
	}{
		"wrong password": {faultproxy.Rule{Count: 1, Skip: 1000, Fault: faultproxy.Reset()}, "wrong-horse", failure.Unauthorized, "credentials were not provided"},
		"down":           {faultproxy.Rule{Fault: faultproxy.Status(502)}, pulptest.Password, failure.Unavailable, "after 3 tries"},
		"resets":         {faultproxy.Rule{Fault: faultproxy.Reset()}, pulptest.Password, failure.Unavailable, "cannot be reached"},
		"rubbish":        {faultproxy.Rule{Fault: faultproxy.Answer(200, "text/html", "<html>")}, pulptest.Password, failure.Unavailable, "not Pulp's"},
		"not found":      {faultproxy.Rule{Method: http.MethodGet, Path: "/tasks/", Fault: faultproxy.Status(404)}, pulptest.Password, failure.NotFound, "does not have it"},
		"bad request":    {faultproxy.Rule{Method: http.MethodPost, Path: "/sync/", Fault: faultproxy.Status(400)}, pulptest.Password, failure.InvalidInput, "does not accept"},
		"long error": {faultproxy.Rule{Fault: faultproxy.Answer(418, "text/plain", strings.Repeat("\x1b[2J", 10_000))}, pulptest.Password,
			failure.Unavailable, "..."},
		"redirect": {faultproxy.Rule{Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Location", "http://169.254.169.254/")
			w.WriteHeader(http.StatusFound)
		}}, pulptest.Password, failure.Unavailable, "status 302"},
		"href of another host": {faultproxy.Rule{Method: http.MethodPost, Path: "/sync/",
			Fault: faultproxy.Answer(202, "application/json", `{"task":"http://evil.example.com/pulp/api/v3/tasks/1/"}`)}, pulptest.Password,
			failure.Untrusted, "evil.example.com"},
		"endless tasks": {faultproxy.Rule{Method: http.MethodGet, Path: "/tasks/",
			Fault: faultproxy.Answer(200, "application/json", `{"state":"completed","child_tasks":[`+many()+`]}`)}, pulptest.Password,
			failure.Unavailable, "more than 10000 tasks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, pulptest.Start(t).URL)
			proxy.Add(tc.rule)
			c, err := pulp.New(pulp.Options{Env: env, URL: proxy.URL, SecretDir: secret(t, pulptest.Username, tc.password), Poll: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Sync(t.Context(), request)
			switch {
			case failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text):
				t.Errorf("error %v (%s), want %s with %q", err, failure.KindOf(err), tc.kind, tc.text)
			case len(err.Error()) > 1500 || strings.ContainsRune(err.Error(), '\x1b') || strings.Contains(err.Error(), "horse"):
				t.Errorf("error is not fit for people: %q", err)
			}
		})
	}
}

// many is more tasks than are followed.
func many() string {
	var b strings.Builder
	for i := range 10_001 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"/pulp/api/v3/tasks/` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Unix(int64(i), 0).UTC().Format("150405") + `/"`)
	}
	return b.String()
}

// TestCertificates refuses a server whose CA it does not know.
func TestCertificates(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	c, err := pulp.New(pulp.Options{Env: env, URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sync(t.Context(), request); failure.KindOf(err) != failure.Untrusted || !strings.Contains(err.Error(), "pulp-ca-file") {
		t.Errorf("error %v (%s)", err, failure.KindOf(err))
	}
}

func TestRepositoryName(t *testing.T) {
	if got := pulp.RepositoryName("crane-", "rhel7/a/b"); got != "crane-rhel7-a-b" {
		t.Errorf("RepositoryName = %q", got)
	}
}
