package registry

import (
	"log/slog"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/osbs-tekton/osbs/pkg/step"
)

// keychain finds credentials in the registry secrets.
type keychain struct {
	log     *slog.Logger
	paired  map[string]secret
	secrets []secret

	mu     sync.Mutex
	warned map[string]bool
}

var _ authn.Keychain = (*keychain)(nil)

// newKeychain reads every secret and makes the redaction of env know what must not be told. Secrets beyond the registries are paired
// with none: they are for the hosts that they name, such as the one that bases come from.
func newKeychain(env step.Env, dirs []string, registries []URI) (*keychain, error) {
	k := &keychain{log: env.Log, paired: map[string]secret{}, warned: map[string]bool{}}
	for i, dir := range dirs {
		if dir == "" { // a registry without a secret between others with one
			continue
		}
		s, err := readSecret(dir)
		if err != nil {
			return nil, err
		}
		for _, c := range s.credentials {
			env.Redact.Add(c.auth.Password, c.auth.IdentityToken, c.auth.RegistryToken)
			if c.auth.Password != "" {
				env.Redact.Add(c.auth.Username + ":" + c.auth.Password)
			}
		}
		k.secrets = append(k.secrets, s)
		if i < len(registries) {
			k.paired[canonicalHost(registries[i].Host)] = s
		}
	}
	return k, nil
}

// Resolve implements authn.Keychain. The secret that is paired with the registry is asked first, then the others in order. A secret
// without an entry for its registry is a warning, as in OSBS: the registry may allow anonymous access.
func (k *keychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	host := canonicalHost(target.RegistryStr())
	path := strings.TrimPrefix(strings.TrimPrefix(target.String(), target.RegistryStr()), "/")
	own, isPaired := k.paired[host]
	if isPaired {
		if auth, ok := own.find(host, path); ok {
			return authn.FromConfig(auth), nil
		}
	}
	for _, s := range k.secrets {
		if auth, ok := s.find(host, path); ok {
			return authn.FromConfig(auth), nil
		}
	}
	if isPaired {
		k.warnOnce(host, own.file)
	}
	return authn.Anonymous, nil
}

func (k *keychain) warnOnce(host, file string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.warned[host] {
		return
	}
	k.warned[host] = true
	k.log.Warn("no credentials for the registry in its secret: going on without", "registry", host, "secret", file)
}
