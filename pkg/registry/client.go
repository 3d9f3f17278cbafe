// Package registry is the one way in which this project talks to container registries: how they are named, which credentials they
// get, which certificates are trusted, what is tried again, and what an error of theirs means to a person.
//
// It configures go-containerregistry and leaves images and layers to it:
//
//	client, err := registry.New(registry.Options{Env: env, Registries: uris, SecretDirs: dirs})
//	ref, err := client.ParseReference("registry.example.com/ubi8")
//	desc, err := remote.Get(ref, client.Remote(ctx)...)
//	if err != nil {
//		return registry.Classify(err, ref.String())
//	}
package registry

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// Options say how registries are reached. The zero value reaches public ones.
type Options struct {
	step.Env
	// Registries of registry_uri. Those that begin with http:// are insecure.
	Registries []URI
	// SecretDirs are the mounted registry secrets, paired with Registries by position; there may be more of either. A secret also
	// serves every other host that it names. What it has for TLS (tls.crt and tls.key, ca.crt) is for the same hosts.
	SecretDirs []string
	// DockerConfigs are files that docker login writes, or Tekton for the Secrets of a service account. They are asked after the registry
	// secrets. One that does not exist, or that may not be read, is passed over.
	DockerConfigs []string
	// PullSecretDirs are mounted Secrets with which a service account pulls images. They are asked last.
	PullSecretDirs []string
	// CAFile holds PEM certificates that are trusted besides the system's; empty means none.
	CAFile string
	// Insecure hosts (host or host:port) may be spoken to in plain HTTP, and their certificates are not verified.
	Insecure []string
	// Addresses are dialled instead of what the name of a registry (host or host:port) resolves to, such as
	// "osbs.localhost": "127.0.0.1:40123".
	Addresses map[string]string
}

// Client talks to registries. It is safe for concurrent use.
type Client struct {
	env       step.Env
	hosts     hostSet
	keychain  *keychain
	transport http.RoundTripper
}

// New reads the secrets and certificates that o names. An unreadable or malformed one is an error that names its file:
// failure.Unauthorized for a secret, failure.Usage for the certificates.
func New(o Options) (*Client, error) {
	env := o.WithDefaults()
	hosts, plain := hostSet{}, hostSet{}
	for _, host := range o.Insecure {
		hosts.add(host)
	}
	for _, u := range o.Registries {
		if u.Insecure {
			hosts.add(u.Host)
			plain.add(u.Host)
		}
	}
	keys, err := newKeychain(env, o)
	if err != nil {
		return nil, err
	}
	roots, err := readRoots(o.CAFile)
	if err != nil {
		return nil, err
	}
	inner := newNetwork(hosts, roots, o.Addresses)
	inner.plainHosts = plain
	for host, t := range keys.trust() {
		inner.trustFor(host, t, roots)
	}
	return &Client{
		env: env, hosts: hosts, keychain: keys,
		transport: &retryTransport{env: env, inner: inner, stall: stallLimit},
	}, nil
}

// maxCAFile bounds the file of trusted certificates, in bytes.
const maxCAFile = 4 << 20

// readRoots returns the certificates to trust; nil means the system's.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // nil is how crypto/tls spells the system's certificates
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, failure.New(failure.Usage, "CA file is unreadable: %w", err)
	}
	defer f.Close()
	pem, err := io.ReadAll(io.LimitReader(f, maxCAFile))
	if err != nil {
		return nil, failure.New(failure.Usage, "CA file %s is unreadable: %w", file, err)
	}
	pool := systemRoots()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, failure.New(failure.Usage, "CA file %s holds no PEM certificate", file)
	}
	return pool, nil
}

// systemRoots are the certificates that the machine trusts, if it has any.
func systemRoots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return pool
}

// ParseReference reads an image reference by the rules of `docker pull`: no registry means docker.io, no tag means latest, and a
// digest wins over a tag. A malformed one is failure.InvalidInput.
func (c *Client) ParseReference(ref string) (name.Reference, error) {
	parsed, err := name.ParseReference(ref, c.nameOptions(ref)...)
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "image reference %q is malformed: %w", printable(ref), err)
	}
	return parsed, nil
}

// ParseRepository reads a repository's name, such as registry.example.com/ubi8, by the rules of ParseReference.
func (c *Client) ParseRepository(repo string) (name.Repository, error) {
	parsed, err := name.NewRepository(repo, c.nameOptions(repo)...)
	if err != nil {
		return name.Repository{}, failure.New(failure.InvalidInput, "repository name %q is malformed: %w", printable(repo), err)
	}
	return parsed, nil
}

// nameOptions make references to insecure hosts try plain HTTP as well.
func (c *Client) nameOptions(ref string) []name.Option {
	if host, _, found := strings.Cut(ref, "/"); found && c.hosts.has(host) {
		return []name.Option{name.Insecure}
	}
	return nil
}

// userAgent is how registries see this project in their logs.
const userAgent = "osbs"

// Remote are the options for go-containerregistry's remote package: credentials, transport and retries are ours, its own are off.
// Requests end with ctx.
func (c *Client) Remote(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(c.keychain),
		remote.WithTransport(c.transport),
		remote.WithUserAgent(userAgent),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	}
}

// Transport sends requests without credentials, with retries: requests with a streaming body, which cannot be sent twice, are
// tried once.
func (c *Client) Transport() http.RoundTripper { return c.transport }

// Keychain finds the credentials for a registry or repository; Anonymous if there are none.
func (c *Client) Keychain() authn.Keychain { return c.keychain }

// Certificates are what a registry secret has for the TLS with a host, in PEM, for a server that speaks to the registry in our place: the
// authorities to trust there, and what to show it. What there is none of is empty.
func (c *Client) Certificates(host string) (authorities, certificate, key string) {
	t := c.keychain.trust()[canonicalHost(host)]
	return string(t.authorities), string(t.certificatePEM), string(t.keyPEM)
}

// Insecure says whether host may be spoken to in plain HTTP.
func (c *Client) Insecure(host string) bool { return c.hosts.has(host) }

// hostSet holds hosts as host (any port) or host:port.
type hostSet map[string]bool

func (s hostSet) add(host string) {
	if host = canonicalHost(strings.TrimSpace(host)); host != "" {
		s[host] = true
	}
}

func (s hostSet) has(host string) bool {
	host = canonicalHost(host)
	if s[host] {
		return true
	}
	bare, _, err := net.SplitHostPort(host)
	return err == nil && s[bare]
}
