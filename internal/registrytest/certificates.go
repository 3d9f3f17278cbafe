package registrytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// certificateFiles are PEM files.
type certificateFiles struct{ ca, certificate, key string }

// writeCertificates makes a CA and a server certificate signed by it. If the registry wants client certificates, it makes one in the
// secret besides.
func (r *Registry) writeCertificates(t testing.TB, dir string, o Options) certificateFiles {
	t.Helper()
	caKey, key := newKey(t), newKey(t)
	now := time.Now()
	end := now.Add(24 * time.Hour)
	if o.Expired {
		end = now.Add(-time.Minute)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registrytest CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registrytest"},
		NotBefore: now.Add(-time.Hour), NotAfter: end, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost", "*.example.com"},
	}
	if o.ClientCertificate {
		r.makeSecretDir(t, dir)
		WriteClientCertificate(t, r.SecretDir, ca, caKey, now.Add(24*time.Hour))
	}
	return certificateFiles{
		ca:          writePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", sign(t, ca, ca, &caKey.PublicKey, caKey)),
		certificate: writePEM(t, filepath.Join(dir, "tls.crt"), "CERTIFICATE", sign(t, server, ca, &key.PublicKey, caKey)),
		key:         writeKey(t, filepath.Join(dir, "tls.key"), key),
	}
}

// WriteClientCertificate writes tls.crt and tls.key, valid until end, into a directory that is a secret. With no CA it signs itself.
func WriteClientCertificate(t testing.TB, dir string, ca *x509.Certificate, caKey *ecdsa.PrivateKey, end time.Time) {
	t.Helper()
	key := newKey(t)
	client := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "client"}, NotBefore: end.Add(-48 * time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if ca == nil {
		ca, caKey = client, key
	}
	writePEM(t, filepath.Join(dir, "tls.crt"), "CERTIFICATE", sign(t, client, ca, &key.PublicKey, caKey))
	writeKey(t, filepath.Join(dir, "tls.key"), key)
}

func writeKey(t testing.TB, file string, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, file, "PRIVATE KEY", der)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, certificate, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t testing.TB, file, kind string, der []byte) string {
	t.Helper()
	return writeFile(t, file, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
