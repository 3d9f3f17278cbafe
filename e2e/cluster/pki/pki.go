// Package pki makes the cluster's certificates: an own CA, what it signs, and the files in which clients and servers want them.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// validity is far longer than a cluster lives.
const validity = 30 * 24 * time.Hour

// Authority signs certificates and writes them below a directory as NAME.crt and NAME.key.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// PEM is the CA's certificate.
	PEM []byte
}

// NewAuthority makes a CA, and writes its certificate and key to dir as NAME.crt and NAME.key.
func NewAuthority(dir, name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := newTemplate(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign
	a := &Authority{dir: dir, certificate: template, key: key}
	a.PEM, err = a.sign(name, template, key)
	return a, err
}

// Client makes a client's certificate: for Kubernetes, the user's name and groups.
func (a *Authority) Client(file, user string, groups ...string) error {
	return a.issue(file, pkix.Name{CommonName: user, Organization: groups}, nil)
}

// Server makes a server's certificate for names and IP addresses. It is good for a client as well.
func (a *Authority) Server(file, name string, hosts ...string) error {
	return a.issue(file, pkix.Name{CommonName: name}, hosts)
}

// File is the path of a file that the authority wrote.
func (a *Authority) File(name string) string { return filepath.Join(a.dir, name) }

func (a *Authority) issue(file string, subject pkix.Name, hosts []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := newTemplate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	_, err = a.sign(file, template, key)
	return err
}

func (a *Authority) sign(file string, template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate %s: %w", file, err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(a.File(file+".crt"), text, 0o644); err != nil {
		return nil, err
	}
	return text, writeKey(a.File(file+".key"), key)
}

func newTemplate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity)}
}

func writeKey(file string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// TokenKey makes the pair that signs the tokens of service accounts: NAME.key and NAME.pub.
func TokenKey(dir, name string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, name+".pub"), public, 0o644); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, name+".key"), key)
}

// SSHKey makes a key for ssh: NAME, and NAME.pub in the form of authorized_keys.
func SSHKey(dir, name string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, name)
	if err != nil {
		return err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".pub"), ssh.MarshalAuthorizedKey(key), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600)
}

// Kubeconfig writes a kubeconfig for a client's certificate, with everything inside the file.
func (a *Authority) Kubeconfig(file, server, client string) error {
	certificate, err := os.ReadFile(a.File(client + ".crt"))
	if err != nil {
		return err
	}
	key, err := os.ReadFile(a.File(client + ".key"))
	if err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	text := strings.NewReplacer("SERVER", server, "CLIENT", client, "CA_DATA", encode(a.PEM), "CERTIFICATE_DATA", encode(certificate),
		"KEY_DATA", encode(key)).Replace(kubeconfig)
	return os.WriteFile(file, []byte(text), 0o600) //nolint:gosec // where the caller wants it
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
- name: osbs
  cluster:
    server: SERVER
    certificate-authority-data: CA_DATA
users:
- name: CLIENT
  user:
    client-certificate-data: CERTIFICATE_DATA
    client-key-data: KEY_DATA
contexts:
- name: osbs
  context:
    cluster: osbs
    user: CLIENT
current-context: osbs
`
