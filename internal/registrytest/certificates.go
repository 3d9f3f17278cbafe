package registrytest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/certtest"
)

// certificateFiles are PEM files.
type certificateFiles struct{ ca, certificate, key string }

// writeCertificates makes a CA and a server certificate signed by it. If the registry wants client certificates, it makes one in the
// secret besides.
func (r *Registry) writeCertificates(t testing.TB, dir string, o Options) certificateFiles {
	t.Helper()
	ca := newAuthority(t, dir)
	issue := ca.Server
	if o.Expired {
		issue = ca.Expired
	}
	server, err := issue("registrytest", "127.0.0.1", "::1", "localhost", "*.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if o.ClientCertificate {
		r.makeSecretDir(t, dir)
		writeClient(t, r.SecretDir, ca, time.Now().Add(24*time.Hour))
	}
	return certificateFiles{ca: ca.File, certificate: server.Certificate, key: server.Key}
}

func newAuthority(t testing.TB, dir string) *certtest.Authority {
	t.Helper()
	ca, err := certtest.New(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// WriteClientCertificate writes tls.crt and tls.key, valid until end, into a directory that is a secret. No registry knows its CA.
func WriteClientCertificate(t testing.TB, dir string, end time.Time) {
	t.Helper()
	writeClient(t, dir, newAuthority(t, t.TempDir()), end)
}

func writeClient(t testing.TB, dir string, ca *certtest.Authority, end time.Time) {
	t.Helper()
	pair, err := ca.Client("client", end)
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"tls.crt": pair.Certificate, "tls.key": pair.Key} {
		if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
