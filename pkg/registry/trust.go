package registry

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The keys that a registry secret may hold for TLS: those of Kubernetes' type kubernetes.io/tls, and the name that its certificates of
// authorities have everywhere.
const (
	certificateFile = "tls.crt"
	keyFile         = "tls.key"
	authoritiesFile = "ca.crt"
)

// trust is what the TLS with single registries needs beyond that with all.
type trust struct {
	// certificate is what the client shows; nil if it shows none.
	certificate *tls.Certificate
	// certificatePEM and keyPEM are the same as they were read, for those who pass them on.
	certificatePEM, keyPEM []byte
	// authorities are trusted besides all others, in PEM; empty if there are none.
	authorities []byte
}

func (t trust) isEmpty() bool { return t.certificate == nil && len(t.authorities) == 0 }

// readTrust reads what the registry secret mounted at dir has for TLS: nothing, if dir is a file.
func readTrust(dir string) (trust, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return trust{}, nil //nolint:nilerr // whoever reads the credentials says what is wrong
	}
	t, err := readClientCertificate(filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
	if err != nil {
		return trust{}, err
	}
	file := filepath.Join(dir, authoritiesFile)
	authorities, err := readBounded(registrySecret, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t, nil
	case err != nil:
		return trust{}, err
	case len(bytes.TrimSpace(authorities)) == 0: // cert-manager leaves it empty where it knows none
		return t, nil
	case !x509.NewCertPool().AppendCertsFromPEM(authorities):
		return trust{}, failure.New(failure.Unauthorized, "registry secret: CA file %s holds no PEM certificate", file)
	}
	t.authorities = authorities
	return t, nil
}

// readClientCertificate reads a certificate and its key, if there are such.
func readClientCertificate(file, key string) (trust, error) {
	certificatePEM, err := readBounded(registrySecret, file)
	hasCertificate := !errors.Is(err, fs.ErrNotExist)
	if err != nil && hasCertificate {
		return trust{}, err
	}
	keyPEM, err := readBounded(registrySecret, key)
	hasKey := !errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && hasKey:
		return trust{}, err
	case !hasCertificate && !hasKey:
		return trust{}, nil
	case !hasKey:
		return trust{}, failure.New(failure.Unauthorized, "registry secret: client certificate %s has no key %s beside it", file, keyFile)
	case !hasCertificate:
		return trust{}, failure.New(failure.Unauthorized, "registry secret: key %s has no client certificate %s beside it", key, certificateFile)
	}
	if err := checkCertificate(file, certificatePEM, time.Now()); err != nil {
		return trust{}, err
	}
	pair, err := tls.X509KeyPair(certificatePEM, keyPEM)
	if err != nil && strings.Contains(err.Error(), "does not match") {
		return trust{}, failure.WithHint(failure.New(failure.Unauthorized, "registry secret: the key %s does not belong to the client certificate %s: %w", key, file, err),
			"put both files of one pair into the secret")
	}
	if err != nil {
		return trust{}, failure.WithHint(failure.New(failure.Unauthorized, "registry secret: the key %s is malformed: %w", key, err), "expected is an unencrypted private key in PEM")
	}
	return trust{certificate: &pair, certificatePEM: certificatePEM, keyPEM: keyPEM}, nil
}

// checkCertificate finds what is wrong with the first certificate of a file, which is the client's own.
func checkCertificate(file string, data []byte, now time.Time) error {
	block, _ := pem.Decode(data)
	for rest := data; block != nil && block.Type != "CERTIFICATE"; {
		_, rest = pem.Decode(rest)
		block, _ = pem.Decode(rest)
	}
	malformed := errors.New("it holds no certificate in PEM")
	var certificate *x509.Certificate
	if block != nil {
		certificate, malformed = x509.ParseCertificate(block.Bytes)
	}
	switch {
	case malformed != nil:
		return failure.WithHint(failure.New(failure.Unauthorized, "registry secret: client certificate %s is malformed: %w", file, malformed),
			"expected are certificates in PEM, that of the client first")
	case now.After(certificate.NotAfter):
		return failure.WithHint(failure.New(failure.Unauthorized, "registry secret: client certificate %s expired at %s", file, certificate.NotAfter.UTC().Format(time.RFC3339)),
			"renew it in the secret")
	case now.Before(certificate.NotBefore):
		return failure.WithHint(failure.New(failure.Unauthorized, "registry secret: client certificate %s is not valid before %s", file, certificate.NotBefore.UTC().Format(time.RFC3339)),
			"check the clock of this machine, or take a certificate that is valid now")
	}
	return nil
}

// isRefusedClient recognises what servers say that want a client certificate, and got none or one that they do not accept.
func isRefusedClient(err error) bool {
	text := err.Error()
	for _, alert := range []string{"certificate required", "bad certificate", "unknown certificate authority", "expired certificate", "unknown certificate", "revoked certificate"} {
		if strings.Contains(text, "remote error: tls: "+alert) {
			return true
		}
	}
	return strings.Contains(text, "No required SSL certificate was sent") || strings.Contains(text, "The SSL certificate error") // nginx
}
