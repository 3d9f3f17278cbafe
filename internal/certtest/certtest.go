// Package certtest makes certificates for tests: authorities, servers, clients, and such as have expired.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates.
type Authority struct {
	// File holds its own certificate, in PEM.
	File string

	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Pair are the files of a certificate and its key, in PEM.
type Pair struct{ Certificate, Key string }

// New makes an authority, whose files and those of what it signs are in dir.
func New(dir, name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate(name)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{File: filepath.Join(dir, name+".crt"), dir: dir, certificate: parsed, key: key}
	return a, writePEM(a.File, "CERTIFICATE", der)
}

func newTemplate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(fmt.Sprintf("certtest: the machine has no randomness: %v", err))
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(24 * time.Hour)}
}

// Server signs a certificate for hosts, which are names and addresses.
func (a *Authority) Server(name string, hosts ...string) (Pair, error) {
	return a.issue(serverTemplate(name, hosts))
}

// Expired is Server with a certificate whose time is over.
func (a *Authority) Expired(name string, hosts ...string) (Pair, error) {
	template := serverTemplate(name, hosts)
	template.NotAfter = time.Now().Add(-time.Hour)
	return a.issue(template)
}

func serverTemplate(name string, hosts []string) *x509.Certificate {
	template := newTemplate(name)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	return template
}

// Client signs a certificate in the name of a user, which is valid for two days until end.
func (a *Authority) Client(user string, end time.Time) (Pair, error) {
	template := newTemplate(user)
	template.NotBefore, template.NotAfter = end.Add(-48*time.Hour), end
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(template)
}

func (a *Authority) issue(template *x509.Certificate) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	base := filepath.Join(a.dir, template.Subject.CommonName+"-"+template.SerialNumber.Text(36))
	p := Pair{Certificate: base + ".crt", Key: base + ".key"}
	if err := writePEM(p.Certificate, "CERTIFICATE", der); err != nil {
		return Pair{}, err
	}
	return p, writePEM(p.Key, "PRIVATE KEY", private)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
