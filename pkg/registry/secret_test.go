package registry

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/redact"
	"github.com/osbs-tekton/osbs/pkg/step"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// secretDir is a mounted secret with one file.
func secretDir(t *testing.T, file, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSecretMatching(t *testing.T) {
	for name, tc := range map[string]struct {
		file, content, repository, want string
	}{
		"auths":                {".dockerconfigjson", `{"auths":{"r.example.com":{"auth":"` + b64("u:p1") + `"}}}`, "r.example.com/x", "u:p1"},
		"old form":             {".dockercfg", `{"r.example.com":{"auth":"` + b64("u:p1") + `","email":"x"}}`, "r.example.com/x", "u:p1"},
		"auths in .dockercfg":  {".dockercfg", `{"auths":{"r.example.com":{"auth":"` + b64("u:p1") + `"}}}`, "r.example.com/x", "u:p1"},
		"config.json":          {"config.json", `{"auths":{"r.example.com":{"auth":"` + b64("u:p1") + `"}}}`, "r.example.com/x", "u:p1"},
		"username, password":   {".dockercfg", `{"r.example.com":{"username":"u","password":"p1"}}`, "r.example.com/x", "u:p1"},
		"auth wins":            {".dockercfg", `{"r.example.com":{"username":"x","password":"y","auth":"` + b64("u:p1") + `"}}`, "r.example.com/x", "u:p1"},
		"colon in password":    {".dockercfg", `{"r.example.com":{"auth":"` + b64("u:a:b") + `"}}`, "r.example.com/x", "u:a:b"},
		"unpadded base64":      {".dockercfg", `{"r.example.com":{"auth":"` + strings.TrimRight(b64("u:pw"), "=") + `"}}`, "r.example.com/x", "u:pw"},
		"with scheme":          {".dockercfg", `{"https://r.example.com":{"auth":"` + b64("u:p1") + `"}}`, "r.example.com/x", "u:p1"},
		"with scheme and path": {".dockercfg", `{"https://r.example.com:5000/v2/":{"auth":"` + b64("u:p1") + `"}}`, "r.example.com:5000/x", "u:p1"},
		"upper case":           {".dockercfg", `{"R.Example.com":{"auth":"` + b64("u:p1") + `"}}`, "r.example.com/x", "u:p1"},
		"port differs":         {".dockercfg", `{"r.example.com:5000":{"auth":"` + b64("u:p1") + `"}}`, "r.example.com/x", ":"},
		"port 443":             {".dockercfg", `{"r.example.com:443":{"auth":"` + b64("u:p1") + `"}}`, "r.example.com/x", "u:p1"},
		"docker hub":           {".dockercfg", `{"https://index.docker.io/v1/":{"auth":"` + b64("u:p1") + `"}}`, "docker.io/library/x", "u:p1"},
		"by path":              {".dockercfg", `{"r.example.com":{"auth":"` + b64("u:p1") + `"},"r.example.com/team":{"auth":"` + b64("u:p2") + `"}}`, "r.example.com/team/x", "u:p2"},
		"beside the path":      {".dockercfg", `{"r.example.com":{"auth":"` + b64("u:p1") + `"},"r.example.com/team":{"auth":"` + b64("u:p2") + `"}}`, "r.example.com/teams/x", "u:p1"},
		"other host":           {".dockercfg", `{"other":{"auth":"` + b64("u:p1") + `"}}`, "r.example.com/x", ":"},
		"no credentials":       {".dockercfg", `{}`, "r.example.com/x", ":"},
		"only a helper":        {"config.json", `{"credsStore":"x"}`, "r.example.com/x", ":"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Options{SecretDirs: []string{secretDir(t, tc.file, tc.content)}, Registries: []URI{{Host: "r.example.com"}}})
			if err != nil {
				t.Fatal(err)
			}
			if got := resolve(t, c, tc.repository); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func resolve(t *testing.T, c *Client, repository string) string {
	t.Helper()
	repo, err := c.ParseRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := c.Keychain().Resolve(repo)
	if err != nil {
		t.Fatal(err)
	}
	config, err := authn.Authorization(t.Context(), auth)
	if err != nil {
		t.Fatal(err)
	}
	return config.Username + ":" + config.Password
}

// TestSecretsArePairedByPosition: two secrets that name the same host differ by the registry that they are for.
func TestSecretsArePairedByPosition(t *testing.T) {
	both := func(pw string) string {
		return secretDir(t, ".dockercfg", `{"a:1":{"auth":"`+b64("u:"+pw)+`"},"b:1":{"auth":"`+b64("u:"+pw)+`"},"c-`+pw+`:1":{"auth":"`+b64("u:"+pw)+`"}}`)
	}
	c, err := New(Options{Registries: []URI{{Host: "a:1"}, {Host: "b:1"}}, SecretDirs: []string{both("first"), both("second")}})
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]string{"a:1/x": "u:first", "b:1/x": "u:second", "c-first:1/x": "u:first", "c-second:1/x": "u:second", "d:1/x": ":"} {
		if got := resolve(t, c, repository); got != want {
			t.Errorf("%s: %q, want %q", repository, got, want)
		}
	}
}

// TestFurtherSecrets: a secret beyond the registries, such as one for the registry that bases come from, serves the hosts that it names.
func TestFurtherSecrets(t *testing.T) {
	own, further := secretDir(t, ".dockercfg", `{"a:1":{"auth":"`+b64("u:own")+`"}}`), secretDir(t, ".dockercfg", `{"b:1":{"auth":"`+b64("u:further")+`"}}`)
	c, err := New(Options{Registries: []URI{{Host: "a:1"}}, SecretDirs: []string{own, further}})
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]string{"a:1/x": "u:own", "b:1/x": "u:further", "c:1/x": ":"} {
		if got := resolve(t, c, repository); got != want {
			t.Errorf("%s: %q, want %q", repository, got, want)
		}
	}
}

func TestBadSecrets(t *testing.T) {
	for name, tc := range map[string]struct {
		dir  func(t *testing.T) string
		want string
	}{
		"missing":       {func(t *testing.T) string { t.Helper(); return filepath.Join(t.TempDir(), "none") }, "registry secret is unreadable: stat DIR: no such file or directory"},
		"empty dir":     {func(t *testing.T) string { t.Helper(); return t.TempDir() }, "registry secret DIR holds none of .dockerconfigjson, .dockercfg, config.json"},
		"not JSON":      {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", "hunter2") }, "registry secret DIR/.dockercfg is malformed: not JSON (at byte 1)"},
		"cut off":       {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", `{"a":{"auth":"hunter2`) }, "registry secret DIR/.dockercfg is malformed: not JSON"},
		"a list":        {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", `["hunter2"]`) }, "registry secret DIR/.dockercfg is malformed: a value at byte 1 has the wrong type"},
		"auths a text":  {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockerconfigjson", `{"auths":"hunter2"}`) }, `registry secret DIR/.dockerconfigjson is malformed: "auths" is not an object`},
		"entry a text":  {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", `{"a":"hunter2"}`) }, `registry secret DIR/.dockercfg is malformed: entry "a": a value at byte`},
		"auth a number": {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", `{"a":{"auth":77777777}}`) }, `registry secret DIR/.dockercfg is malformed: entry "a": a value at byte`},
		"not base64":    {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", `{"a":{"auth":"hunter2!"}}`) }, `registry secret DIR/.dockercfg is malformed: entry "a": "auth" is not base64`},
		"no colon": {func(t *testing.T) string {
			t.Helper()
			return secretDir(t, ".dockercfg", `{"a":{"auth":"`+b64("hunter2")+`"}}`)
		}, `registry secret DIR/.dockercfg is malformed: entry "a": "auth" is not base64 of user:password`},
		"no host": {func(t *testing.T) string { t.Helper(); return secretDir(t, ".dockercfg", `{"https://":{}}`) }, `registry secret DIR/.dockercfg is malformed: entry "https://": it names no host`},
		"too large": {func(t *testing.T) string {
			t.Helper()
			return secretDir(t, ".dockercfg", strings.Repeat(" ", maxSecret+1))
		}, "registry secret DIR/.dockercfg is larger than 1048576 bytes"},
		"file is a dir": {func(t *testing.T) string {
			t.Helper()
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, ".dockercfg"), 0o700); err != nil {
				t.Fatal(err)
			}
			return dir
		}, "registry secret DIR/.dockercfg is unreadable: read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tc.dir(t)
			_, err := New(Options{SecretDirs: []string{dir}})
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); !strings.HasPrefix(got, tc.want) {
				t.Errorf("error %q\nwant  %q", got, tc.want)
			}
			if failure.KindOf(err) != failure.Unauthorized {
				t.Errorf("kind %s", failure.KindOf(err))
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "77777777") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestSecretsAreRedacted(t *testing.T) {
	var set redact.Set
	dir := secretDir(t, ".dockercfg", `{"a":{"auth":"`+b64("user:hunter2")+`","identitytoken":"identity-1"}}`)
	if _, err := New(Options{Env: step.Env{Redact: &set}, SecretDirs: []string{dir}}); err != nil {
		t.Fatal(err)
	}
	if got := set.String("hunter2 identity-1 " + b64("user:hunter2")); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("redacted: %q", got)
	}
}

func TestBadCAFile(t *testing.T) {
	for name, file := range map[string]string{
		"missing": filepath.Join(t.TempDir(), "ca.crt"),
		"not PEM": filepath.Join(secretDir(t, "ca.crt", "x"), "ca.crt"),
	} {
		if _, err := New(Options{CAFile: file}); failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDockercfg holds that no content makes the reader fail badly, or tell what it holds.
func FuzzDockercfg(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"auths":{"r":{"auth":"dTpw"}}}`, `{"https://index.docker.io/v1/":{"username":"u","password":"p"}}`, `{"a":1}`, `[]`, `{"auths":[]}`,
		`{"":{}}`, `{"a/b/c":{"auth":"Og=="}}`, strings.Repeat(`{"auths":`, 50),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		credentials, err := parseDockercfg(data)
		if err != nil {
			return
		}
		for _, c := range credentials {
			if c.host == "" {
				t.Errorf("a credential without a host: %+v", c)
			}
			if auth, ok := (secret{credentials: credentials}).find(c.host, c.path); !ok {
				t.Errorf("%s/%s is not found: %+v", c.host, c.path, auth)
			}
		}
	})
}
