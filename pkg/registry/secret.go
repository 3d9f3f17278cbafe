package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// secretFiles are the keys that a registry secret may hold, in the order in which they are looked for: those of the two Kubernetes
// secret types, then the name that docker and podman give the same file.
var secretFiles = []string{".dockerconfigjson", ".dockercfg", "config.json"}

// maxSecret bounds a secret's file, in bytes; Kubernetes allows a secret 1 MiB.
const maxSecret = 1 << 20

// credential is one entry of a dockercfg.
type credential struct {
	// host is host or host:port; path, if not empty, limits the entry to repositories at or below it.
	host, path string
	auth       authn.AuthConfig
}

// secret is one source of credentials.
type secret struct {
	// kind says what it is, file which one, both for messages.
	kind sourceKind
	file string
	// credentials are those of its dockercfg, the most specific first.
	credentials []credential
	// trust is what it has for TLS; only registry secrets have any.
	trust trust
}

// sourceKind says what a source of credentials is.
type sourceKind string

// The kinds of sources, in the order in which they are asked.
const (
	registrySecret sourceKind = "registry secret"
	dockerConfig   sourceKind = "docker configuration"
	pullSecret     sourceKind = "pull secret"
)

// readSecret reads the registry secret mounted at dir. dir may also be the file of its dockercfg itself.
func readSecret(dir string) (secret, error) {
	trust, err := readTrust(dir)
	if err != nil {
		return secret{}, err
	}
	file, err := findDockercfg(dir)
	switch {
	case errors.Is(err, errNoDockercfg) && !trust.isEmpty():
		return secret{kind: registrySecret, file: dir, trust: trust}, nil
	case errors.Is(err, errNoDockercfg):
		return secret{}, noDockercfg(registrySecret, dir)
	case err != nil:
		return secret{}, err
	}
	s, err := readDockercfg(registrySecret, file)
	s.trust = trust
	return s, err
}

// readPullSecret reads the Secret mounted at dir, with which a service account pulls images.
func readPullSecret(dir string) (secret, error) {
	file, err := findDockercfg(dir)
	if errors.Is(err, errNoDockercfg) {
		return secret{}, noDockercfg(pullSecret, dir)
	}
	if err != nil {
		return secret{}, err
	}
	return readDockercfg(pullSecret, file)
}

func noDockercfg(kind sourceKind, dir string) error {
	return failure.WithHint(failure.New(failure.Unauthorized, "%s %s holds none of %s", kind, dir, strings.Join(secretFiles, ", ")),
		"create it with `kubectl create secret docker-registry`")
}

// readDockercfg reads one file of credentials.
func readDockercfg(kind sourceKind, file string) (secret, error) {
	data, err := readBounded(kind, file)
	if err != nil {
		return secret{}, err
	}
	credentials, err := parseDockercfg(data)
	if err != nil {
		return secret{}, failure.WithHint(failure.New(failure.Unauthorized, "%s %s is malformed: %w", kind, file, err),
			`expected a dockercfg: {"auths": {"HOST": {"auth": "base64 of user:password"}}}`)
	}
	return secret{kind: kind, file: file, credentials: credentials}, nil
}

// readBounded reads a file of a source.
func readBounded(kind sourceKind, file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, failure.New(failure.Unauthorized, "%s is unreadable: %w", kind, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, failure.New(failure.Unauthorized, "%s %s is unreadable: %w", kind, file, err)
	}
	if len(data) > maxSecret {
		return nil, failure.New(failure.Unauthorized, "%s %s is larger than %d bytes", kind, file, maxSecret)
	}
	return data, nil
}

// errNoDockercfg says that a Secret has credentials of no form that is known.
var errNoDockercfg = errors.New("no dockercfg")

// findDockercfg names the file of the Secret mounted at dir that holds its credentials.
func findDockercfg(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", failure.New(failure.Unauthorized, "registry secret is unreadable: %w", err)
	}
	if !info.IsDir() {
		return dir, nil
	}
	for _, key := range secretFiles {
		file := filepath.Join(dir, key)
		_, err := os.Stat(file)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", failure.New(failure.Unauthorized, "registry secret is unreadable: %w", err)
		}
	}
	return "", errNoDockercfg
}

// dockerAuth is an entry of a dockercfg as it is written.
type dockerAuth struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// parseDockercfg reads both forms: the old one, a map of hosts, and the new one, which has that map under "auths". Its errors never
// quote the content.
func parseDockercfg(data []byte) ([]credential, error) {
	top := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &top); err != nil {
		return nil, jsonError(err)
	}
	entries := top
	if wrapped, ok := top["auths"]; ok {
		entries = map[string]json.RawMessage{}
		if err := json.Unmarshal(wrapped, &entries); err != nil {
			return nil, errors.New(`"auths" is not an object`)
		}
	} else if isConfigWithoutAuths(top) {
		return nil, nil
	}
	credentials := make([]credential, 0, len(entries))
	for key, raw := range entries {
		c, err := parseEntry(key, raw)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", printable(key), err)
		}
		if c.auth == (authn.AuthConfig{}) { // docker leaves such an entry where a helper has the credentials
			continue
		}
		credentials = append(credentials, c)
	}
	// Most specific first, and stable, because map order is neither.
	sort.Slice(credentials, func(i, j int) bool {
		a, b := credentials[i], credentials[j]
		if len(a.path) != len(b.path) {
			return len(a.path) > len(b.path)
		}
		return a.host+a.path < b.host+b.path
	})
	return credentials, nil
}

// isConfigWithoutAuths recognises a client configuration that holds settings but no credentials.
func isConfigWithoutAuths(top map[string]json.RawMessage) bool {
	for _, key := range []string{"credsStore", "credHelpers", "HttpHeaders", "currentContext", "detachKeys"} {
		if _, ok := top[key]; ok {
			return true
		}
	}
	return false
}

// jsonError says where JSON is wrong without quoting it.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON (at byte %d)", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("a value at byte %d has the wrong type", kind.Offset)
	default:
		return errors.New("not JSON")
	}
}

func parseEntry(key string, raw json.RawMessage) (credential, error) {
	var entry dockerAuth
	if err := json.Unmarshal(raw, &entry); err != nil {
		return credential{}, jsonError(err)
	}
	host, path := splitKey(key)
	if host == "" {
		return credential{}, errors.New("it names no host")
	}
	c := credential{host: host, path: path, auth: authn.AuthConfig{
		Username: entry.Username, Password: entry.Password, IdentityToken: entry.IdentityToken, RegistryToken: entry.RegistryToken,
	}}
	if entry.Auth == "" {
		return c, nil
	}
	user, password, err := decodeAuth(entry.Auth)
	if err != nil {
		return credential{}, err
	}
	c.auth.Username, c.auth.Password = user, password
	return c, nil
}

// decodeAuth splits base64("user:password").
func decodeAuth(auth string) (user, password string, err error) {
	auth = strings.TrimSpace(auth)
	decoded, err := base64.StdEncoding.DecodeString(auth)
	if err != nil {
		decoded, err = base64.RawStdEncoding.DecodeString(auth)
	}
	if err != nil {
		return "", "", errors.New(`"auth" is not base64`)
	}
	user, password, found := strings.Cut(string(decoded), ":")
	if !found || user == "" {
		return "", "", errors.New(`"auth" is not base64 of user:password`)
	}
	// docker once padded the password with NULs.
	return user, strings.TrimRight(password, "\x00"), nil
}

// splitKey reads the key of an entry: a host with or without scheme, port, API version and a path.
func splitKey(key string) (host, path string) {
	if _, rest, found := strings.Cut(key, "://"); found {
		key = rest
	}
	host, path, _ = strings.Cut(key, "/")
	path = strings.Trim(path, "/")
	if path == "v1" || path == "v2" {
		path = ""
	}
	return canonicalHost(host), path
}

// canonicalHost gives the spellings of one registry one form.
func canonicalHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "docker.io", "registry-1.docker.io":
		return name.DefaultRegistry
	default:
		return host
	}
}

// find is the most specific credential for a repository, given as host and path.
func (s secret) find(host, path string) (authn.AuthConfig, bool) {
	for _, c := range s.credentials {
		if c.host == host && (c.path == "" || c.path == path || strings.HasPrefix(path, c.path+"/")) {
			return c.auth, true
		}
	}
	return authn.AuthConfig{}, false
}
