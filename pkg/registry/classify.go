package registry

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Classify gives an error of go-containerregistry, net/http or a file system a kind, and the sentence that helps. ref names what was
// being read or written. nil stays nil, and an error that has a kind keeps it.
func Classify(err error, ref string) error {
	if err == nil {
		return nil
	}
	var classified *failure.Error
	if errors.As(err, &classified) {
		return err
	}
	hideQuery(err)
	err = hideToken(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return failure.New(failure.KindOf(err), "%s: %w", ref, err)
	}
	var answer *transport.Error
	if !isCertificateError(err) && errors.As(err, &answer) {
		return classifyAnswer(err, answer, ref)
	}
	return classifyConnection(err, ref)
}

// hideQuery takes the query out of the address that an error of net/http repeats: where a registry sends its clients on to a store of
// blobs, the query holds a signature that lets everybody in.
func hideQuery(err error) {
	var request *url.Error
	if errors.As(err, &request) {
		request.URL, _, _ = strings.Cut(request.URL, "?")
	}
}

// hideToken leaves out what a token server answered without a token that go-containerregistry knows: it repeats all of it, and there may be
// another credential in it.
func hideToken(err error) error {
	if strings.Contains(err.Error(), "no token in bearer response") {
		return errors.New("the token server answered without a token")
	}
	return err
}

// hostOf is the registry that an error is about: that of the request, or else of the reference, around which there may be words.
func hostOf(err error, ref string) string {
	var request *url.Error
	if errors.As(err, &request) {
		if u, err := url.Parse(request.URL); err == nil && u.Host != "" {
			return u.Host
		}
	}
	before, _, found := strings.Cut(ref, "/")
	host := before[strings.LastIndexByte(before, ' ')+1:]
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return host
}

// classifyAnswer reads what a registry answered.
func classifyAnswer(err error, answer *transport.Error, ref string) error {
	host := hostOf(err, ref)
	if answer.Request != nil && answer.Request.URL != nil && answer.Request.URL.Host != "" {
		host = answer.Request.URL.Host
	}
	switch code := answer.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return failure.WithHint(failure.New(failure.Unauthorized, "%s: registry %s refused access: %w", ref, host, err),
			"check that it exists and that the registry secret for %s holds credentials that may use it", host)
	case code == http.StatusBadRequest && isRefusedClient(err):
		return clientRefused(err, ref, host)
	case code == http.StatusNotFound:
		return failure.WithHint(failure.New(failure.NotFound, "%s does not exist: %w", ref, err),
			"check the name and the tag; a registry may also say this when credentials are missing")
	case isFull(err) || code == http.StatusInsufficientStorage:
		return failure.WithHint(failure.New(failure.Unavailable, "%s: registry %s is full: %w", ref, host, err),
			"free space in the registry's storage, then build again")
	case code == http.StatusTooManyRequests:
		return failure.WithHint(failure.New(failure.Unavailable, "%s: registry %s limits the rate: %w", ref, host, err),
			"credentials often raise the limit")
	case code == http.StatusRequestEntityTooLarge:
		return failure.WithHint(failure.New(failure.Unavailable, "%s: registry %s, or a proxy before it, refuses data of this size: %w", ref, host, err),
			"raise the size limit of the proxy")
	case code == http.StatusBadRequest && strings.Contains(err.Error(), "HTTP request to an HTTPS server"):
		return failure.New(failure.Unavailable, "%s: registry %s speaks TLS, and was spoken to in plain HTTP: %w", ref, host, err)
	case code < http.StatusBadRequest:
		return failure.New(failure.Unavailable, "%s: registry %s gave an answer that no registry gives: %w", ref, host, err)
	default:
		return failure.New(failure.Unavailable, "%s: registry %s failed: %w", ref, host, err)
	}
}

// isFull recognises the words in which registries report a full disk.
func isFull(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "disk quota exceeded") ||
		strings.Contains(text, "quota has been")
}

// classifyConnection reads errors without an answer.
func classifyConnection(err error, ref string) error {
	host := hostOf(err, ref)
	var dns *net.DNSError
	var proxy *proxyError
	switch {
	case errors.As(err, &proxy):
		return failure.WithHint(failure.New(failure.Unavailable, "%s: registry %s cannot be reached: %w", ref, host, err),
			"if the registry is to be reached without the proxy, name its host in no_proxy (the environment variable NO_PROXY)")
	case isProxyGone(err):
		return failure.WithHint(failure.New(failure.Unavailable, "%s: registry %s cannot be reached: %w", ref, host, err),
			"the proxy of the environment variable HTTPS_PROXY or HTTP_PROXY does not answer")
	case isRefusedClient(err):
		return clientRefused(err, ref, host)
	case isOutdated(err):
		return outdated(err, ref, host)
	case isCertificateError(err):
		return failure.WithHint(failure.New(failure.Untrusted, "%s: the certificate of registry %s is not trusted: %w", ref, host, err),
			"give the CA that signed it with registry-ca-file, or as ca.crt in the registry secret for %s", host)
	case isNoTLS(err):
		return plainRefused(err, ref, host)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EROFS), isPathError(err):
		return failure.New(failure.Storage, "%s: %w", ref, err)
	case errors.As(err, &dns):
		return failure.WithHint(failure.New(failure.Unavailable, "%s: registry %s has no address: %w", ref, host, err), "check the host's name")
	case isDigestMismatch(err):
		return failure.New(failure.Untrusted, "%s: registry %s sent content that differs from its digest: %w", ref, host, err)
	case isBroken(err):
		return failure.New(failure.Unavailable, "%s: registry %s cannot be reached: %w", ref, host, err)
	case errors.Is(err, errPlainHTTP):
		return plainRefused(err, ref, host)
	default:
		return classifyRubbish(err, ref, host)
	}
}

// clientRefused is for servers that want a client certificate.
func clientRefused(err error, ref, host string) error {
	return failure.WithHint(failure.New(failure.Unauthorized, "%s: registry %s wants a client certificate, or does not accept the one it was shown: %w", ref, host, err),
		"put a certificate that it accepts, as tls.crt and tls.key, into the registry secret that is paired with %s or names it", host)
}

// isOutdated recognises certificates that are not valid now.
func isOutdated(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil
}

// outdated says when the certificate of a server was, or will be, valid.
func outdated(err error, ref, host string) error {
	var invalid x509.CertificateInvalidError
	errors.As(err, &invalid)
	if begin := invalid.Cert.NotBefore; time.Now().Before(begin) {
		return failure.WithHint(failure.New(failure.Untrusted, "%s: the certificate of registry %s is not valid before %s: %w", ref, host, begin.UTC().Format(time.RFC3339), err),
			"check the clocks of this machine and of the registry")
	}
	return failure.WithHint(failure.New(failure.Untrusted, "%s: the certificate of registry %s expired at %s: %w", ref, host, invalid.Cert.NotAfter.UTC().Format(time.RFC3339), err),
		"whoever runs the registry must renew its certificate")
}

// isProxyGone recognises a connection that broke before there was one to the registry.
func isProxyGone(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "proxyconnect"
}

// plainRefused is for servers that want an unencrypted connection.
func plainRefused(err error, ref, host string) error {
	return failure.WithHint(failure.New(failure.Untrusted, "%s: registry %s does not speak TLS: %w", ref, host, err),
		"if plain HTTP is meant, list the host in registry-insecure, or begin its registry_uri with http://")
}

// isBroken recognises connections that could not be made, or that broke. An attempt in plain HTTP, which go-containerregistry makes
// for addresses on this machine, may have been refused besides.
func isBroken(err error) bool {
	for _, errno := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.EHOSTUNREACH,
		syscall.ENETUNREACH, syscall.ETIMEDOUT, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, errStalled} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return isTimeout(err) || strings.Contains(err.Error(), "server closed idle connection")
}

// isTimeout looks at all errors of the chain: one of net/http knows only of the error that it holds itself, and not of what that has wrapped.
func isTimeout(err error) bool {
	var network net.Error
	for errors.As(err, &network) {
		if network.Timeout() {
			return true
		}
		err = errors.Unwrap(network)
	}
	return false
}

// classifyRubbish is for what is left: go-containerregistry has no types for most of what it says about strange answers.
func classifyRubbish(err error, ref, host string) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &kind) {
		return failure.New(failure.Unavailable, "%s: registry %s answered something that is not a manifest: %w", ref, host, err)
	}
	return failure.New(failure.Unavailable, "%s: registry %s gave an answer that no registry gives: %w", ref, host, err)
}

func isPathError(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}

// isDigestMismatch recognises the texts of go-containerregistry, which has no type for them.
func isDigestMismatch(err error) bool {
	text := err.Error()
	return strings.Contains(text, "error verifying sha256 checksum") || strings.Contains(text, "does not match requested digest") ||
		strings.Contains(text, "manifest digest")
}
