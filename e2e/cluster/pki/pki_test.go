package pki_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/osbs-tekton/osbs/e2e/cluster/pki"
)

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, err := pki.NewAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Server("server", "server", "registry.example.com", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(ca.File("server.crt"), ca.File("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	for host, good := range map[string]bool{"registry.example.com": true, "10.0.0.1": true, "git.example.com": false} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
		if (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := ca.Client("user", "jane", "developers"); err != nil {
		t.Fatal(err)
	}
	if pair, err = tls.LoadX509KeyPair(ca.File("user.crt"), ca.File("user.key")); err != nil {
		t.Fatal(err)
	}
	if s := pair.Leaf.Subject; s.CommonName != "jane" || len(s.Organization) != 1 || s.Organization[0] != "developers" {
		t.Errorf("the client is %v", s)
	}
}

func TestSSHKey(t *testing.T) {
	dir := t.TempDir()
	if err := pki.SSHKey(dir, "key"); err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(filepath.Join(dir, "key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if string(ssh.MarshalAuthorizedKey(signer.PublicKey())) != string(public) {
		t.Error("the public key is another one's")
	}
}
