package registry

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/osbs-tekton/osbs/pkg/step"
)

// keychain finds credentials in the registry secrets, then in docker's configurations, then in the pull secrets.
type keychain struct {
	log    *slog.Logger
	paired map[string]secret
	// sources are asked in their order after the secret that is paired with a registry.
	sources []secret

	mu   sync.Mutex
	told map[string]bool
}

var _ authn.Keychain = (*keychain)(nil)

// newKeychain reads every source and makes the redaction of env know what must not be told. Registry secrets beyond the registries are
// paired with none: they are for the hosts that they name, such as the one that bases come from.
func newKeychain(env step.Env, o Options) (*keychain, error) {
	k := &keychain{log: env.Log, paired: map[string]secret{}, told: map[string]bool{}}
	for i, dir := range o.SecretDirs {
		if dir == "" { // a registry without a secret between others with one
			continue
		}
		s, err := readSecret(dir)
		if err != nil {
			return nil, err
		}
		k.add(env, s)
		if i < len(o.Registries) {
			k.paired[canonicalHost(o.Registries[i].Host)] = s
		} else if len(s.credentials) == 0 {
			k.log.Warn("a registry secret serves nothing: it names no host, and is paired with no registry", "secret", s.file)
		}
	}
	for _, file := range o.DockerConfigs {
		if !isReadable(file) {
			continue
		}
		s, err := readDockercfg(dockerConfig, file)
		if err != nil {
			return nil, err
		}
		k.add(env, s)
	}
	for _, dir := range o.PullSecretDirs {
		s, err := readPullSecret(dir)
		if err != nil {
			return nil, err
		}
		k.add(env, s)
	}
	return k, nil
}

// isReadable says whether a file is there that nobody had to promise.
func isReadable(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
	}
	return f.Close() == nil
}

func (k *keychain) add(env step.Env, s secret) {
	for _, c := range s.credentials {
		env.Redact.Add(c.auth.Password, c.auth.IdentityToken, c.auth.RegistryToken)
		if c.auth.Password != "" {
			env.Redact.Add(c.auth.Username + ":" + c.auth.Password)
		}
	}
	k.sources = append(k.sources, s)
}

// Resolve implements authn.Keychain. The secret that is paired with the registry is asked first, then the other sources in order. A
// secret without an entry for its registry is a warning, as in OSBS: the registry may allow anonymous access.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	host := canonicalHost(target.RegistryStr())
	path := strings.TrimPrefix(strings.TrimPrefix(target.String(), target.RegistryStr()), "/")
	own, isPaired := k.paired[host]
	if isPaired {
		if auth, ok := own.find(host, path); ok {
			k.tell(host, own)
			return authn.FromConfig(auth), nil
		}
	}
	for _, s := range k.sources {
		if auth, ok := s.find(host, path); ok {
			k.tell(host, s)
			return authn.FromConfig(auth), nil
		}
	}
	switch {
	case k.hasCertificate(host):
		k.tellOnce(host, slog.LevelInfo, "the client certificate is all that the registry is shown")
	case isPaired:
		k.tellOnce(host, slog.LevelWarn, "no credentials for the registry in its secret: going on without", "secret", own.file)
	default:
		k.tellOnce(host, slog.LevelInfo, "no credentials for the registry: going on without")
	}
	return authn.Anonymous, nil
}

func (k *keychain) hasCertificate(host string) bool {
	t, ok := k.trust()[host]
	return ok && t.certificate != nil
}

// tell says which source serves a registry: its kind and its file, nothing of what it holds.
func (k *keychain) tell(host string, s secret) {
	k.tellOnce(host+" "+s.file, slog.LevelInfo, "credentials for the registry", "from", string(s.kind), "file", s.file)
}

// tellOnce logs a message about a registry, once for each key, which is the registry's host and perhaps more.
func (k *keychain) tellOnce(key string, level slog.Level, message string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.told[key] {
		return
	}
	k.told[key] = true
	host, _, _ := strings.Cut(key, " ")
	k.log.Log(context.Background(), level, message, append([]any{"registry", host}, args...)...)
}

// trust is what the TLS with each host needs for which a registry secret has something: the secret that is paired with the host goes
// before those that name it, and of these the first counts.
func (k *keychain) trust() map[string]trust {
	out := map[string]trust{}
	for host, s := range k.paired {
		if !s.trust.isEmpty() {
			out[host] = s.trust
		}
	}
	for _, s := range k.sources {
		for _, c := range s.credentials {
			if _, ok := out[c.host]; !ok && !s.trust.isEmpty() {
				out[c.host] = s.trust
			}
		}
	}
	return out
}
