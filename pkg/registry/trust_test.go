package registry_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// TestCertificatesOfOneRegistry: what a registry secret has for TLS counts for the registry that it is paired with and for the hosts that
// it names, and for no others.
func TestCertificatesOfOneRegistry(t *testing.T) {
	for name, start := range map[string]func(testing.TB, registrytest.Options) *registrytest.Registry{"v3": registrytest.Start, "Debian": registrytest.StartDebian} {
		t.Run(name, func(t *testing.T) {
			r := start(t, registrytest.Options{TLS: true, ClientCertificate: true})
			withAccount := start(t, registrytest.Options{TLS: true, ClientCertificate: true, BasicAuth: true})
			uri := func(r *registrytest.Registry) []registry.URI { return []registry.URI{{Host: r.Host}} }
			wrong := t.TempDir()
			registrytest.WriteClientCertificate(t, wrong, time.Now().Add(time.Hour))
			for name, tc := range map[string]struct {
				options registry.Options
				r       *registrytest.Registry
				kind    failure.Kind
				want    string
			}{
				"paired":              {registry.Options{Registries: uri(r), SecretDirs: []string{r.SecretDir}, CAFile: r.CAFile}, r, failure.NotFound, "does not exist"},
				"CA in the secret":    {registry.Options{Registries: uri(r), SecretDirs: []string{with(t, r.SecretDir, "ca.crt", read(t, r.CAFile))}}, r, failure.NotFound, "does not exist"},
				"CA beside insecure":  {registry.Options{Registries: uri(r), SecretDirs: []string{r.SecretDir}, Insecure: []string{r.Host}}, r, failure.NotFound, "does not exist"},
				"not paired":          {registry.Options{SecretDirs: []string{r.SecretDir}, CAFile: r.CAFile}, r, failure.Unauthorized, "wants a client certificate"},
				"named by dockercfg":  {registry.Options{SecretDirs: []string{withAccount.SecretDir}, CAFile: withAccount.CAFile}, withAccount, failure.NotFound, "does not exist"},
				"without":             {registry.Options{CAFile: r.CAFile}, r, failure.Unauthorized, "as tls.crt and tls.key, into the registry secret"},
				"of an unknown CA":    {registry.Options{Registries: uri(r), SecretDirs: []string{wrong}, CAFile: r.CAFile}, r, failure.Unauthorized, "wants a client certificate, or does not accept"},
				"CA of other secrets": {registry.Options{Registries: uri(r), SecretDirs: []string{r.SecretDir, with(t, "", "ca.crt", read(t, r.CAFile))}}, r, failure.Untrusted, "as ca.crt in the registry secret"},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					err := head(t, client(t, tc.options), tc.r.Host, "none/such:1")
					if failure.KindOf(err) != tc.kind || !strings.Contains(text(err), tc.want) {
						t.Errorf("%s: %v\nwant %s: ...%s...", failure.KindOf(err), text(err), tc.kind, tc.want)
					}
				})
			}
		})
	}
}

// with copies a secret, and adds a file to it.
func with(t *testing.T, dir, file, content string) string {
	t.Helper()
	out := t.TempDir()
	if dir != "" {
		if err := os.CopyFS(out, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(out, file), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestBadClientCertificates(t *testing.T) {
	good, other, old := t.TempDir(), t.TempDir(), t.TempDir()
	registrytest.WriteClientCertificate(t, good, time.Now().Add(time.Hour))
	registrytest.WriteClientCertificate(t, other, time.Now().Add(time.Hour))
	registrytest.WriteClientCertificate(t, old, time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC))
	future := t.TempDir()
	registrytest.WriteClientCertificate(t, future, time.Now().Add(1000*time.Hour))
	without := func(file string) string {
		dir := with(t, good, "x", "")
		if err := os.Remove(filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, tc := range map[string]struct {
		dir  string
		want string
	}{
		"no key":           {without("tls.key"), "client certificate DIR/tls.crt has no key tls.key beside it"},
		"no certificate":   {without("tls.crt"), "key DIR/tls.key has no client certificate tls.crt beside it"},
		"not PEM":          {with(t, good, "tls.crt", "hunter2"), "client certificate DIR/tls.crt is malformed: it holds no certificate in PEM"},
		"not a key":        {with(t, good, "tls.key", "hunter2"), "the key DIR/tls.key is malformed"},
		"key of another":   {with(t, good, "tls.key", read(t, filepath.Join(other, "tls.key"))), "the key DIR/tls.key does not belong to the client certificate DIR/tls.crt"},
		"expired":          {old, "client certificate DIR/tls.crt expired at 2020-02-03T04:05:06Z"},
		"of the future":    {future, "client certificate DIR/tls.crt is not valid before "},
		"CA is no PEM":     {with(t, good, "ca.crt", "hunter2"), "CA file DIR/ca.crt holds no PEM certificate"},
		"only an empty CA": {with(t, "", "ca.crt", ""), "holds none of"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := registry.New(registry.Options{SecretDirs: []string{tc.dir}})
			want := strings.ReplaceAll(tc.want, "DIR", tc.dir)
			if failure.KindOf(err) != failure.Unauthorized || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want ...%s...", err, want)
			}
		})
	}
}

func TestExpiredServer(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, Expired: true})
	err := head(t, client(t, r.Options()), r.Host, "a/b:1")
	if failure.KindOf(err) != failure.Untrusted || !strings.Contains(err.Error(), "expired at 2") || strings.Contains(err.Error(), "registry-ca-file") {
		t.Errorf("%s: %v", failure.KindOf(err), err)
	}
}

// TestOrderOfSources: the registry secrets go first, then docker's configurations, then the pull secrets; and the log tells once which
// one has served a registry, and never what it holds.
func TestOrderOfSources(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{TLS: true, BasicAuth: true})
	good := filepath.Join(r.SecretDir, ".dockerconfigjson")
	bad := func(host string) string {
		return registrytest.WriteSecret(t, registrytest.Dockercfg(t, host, "planted-user", "planted-password"))
	}
	absent := filepath.Join(t.TempDir(), "config.json")
	helper := with(t, "", "config.json", `{"auths":{"`+r.Host+`":{}},"credsStore":"x"}`)
	for name, tc := range map[string]struct {
		options registry.Options
		from    string
	}{
		"secret":                {registry.Options{SecretDirs: []string{r.SecretDir}, DockerConfigs: []string{filepath.Join(bad(r.Host), ".dockerconfigjson")}, PullSecretDirs: []string{bad(r.Host)}}, `from="registry secret"`},
		"docker configuration":  {registry.Options{SecretDirs: []string{bad("other:1")}, DockerConfigs: []string{absent, filepath.Join(helper, "config.json"), good}, PullSecretDirs: []string{bad(r.Host)}}, `from="docker configuration"`},
		"pull secret":           {registry.Options{SecretDirs: []string{bad("other:1")}, DockerConfigs: []string{absent}, PullSecretDirs: []string{bad("other:2"), r.SecretDir}}, `from="pull secret"`},
		"a secret that is only": {registry.Options{Registries: []registry.URI{{Host: "other:1"}}, SecretDirs: []string{"", bad("other:3")}, PullSecretDirs: []string{r.SecretDir}}, `from="pull secret"`},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			tc.options.Env = step.Env{Log: slog.New(slog.NewTextHandler(&log, nil)), Retry: quick}
			tc.options.CAFile = r.CAFile
			c, err := registry.New(tc.options)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := head(t, c, r.Host, "none/such:1"); failure.KindOf(err) != failure.NotFound {
					t.Fatal(err)
				}
			}
			if n := strings.Count(log.String(), tc.from); n != 1 || !strings.Contains(log.String(), "registry="+r.Host) {
				t.Errorf("%s is in the log %d times:\n%s", tc.from, n, log.String())
			}
			for _, planted := range []string{"planted", r.Username, r.Password} {
				if strings.Contains(log.String(), planted) {
					t.Errorf("%s is in the log:\n%s", planted, log.String())
				}
			}
		})
	}
}

func TestBadDockerConfig(t *testing.T) {
	_, err := registry.New(registry.Options{DockerConfigs: []string{filepath.Join(with(t, "", "config.json", "hunter2"), "config.json")}})
	if failure.KindOf(err) != failure.Unauthorized || !strings.Contains(err.Error(), "docker configuration") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v", err)
	}
}

// text is all that a person reads of an error.
func text(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}
