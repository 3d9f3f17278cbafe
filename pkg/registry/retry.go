package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// maxErrorBody bounds what is kept of the body of a response that is an error, in bytes.
const maxErrorBody = 64 << 10

// retryTransport tries requests again that can be sent twice without harm.
type retryTransport struct {
	env   step.Env
	inner http.RoundTripper
	// stall is how long a body may send nothing.
	stall time.Duration
}

// RoundTrip implements http.RoundTripper. After the last try a response that is an error is returned as a response, so that the
// caller sees what the registry says.
func (t *retryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !canRepeat(req) {
		return t.once(req)
	}
	var last *http.Response
	err := retry.Do(req.Context(), t.env.Log, t.env.Retry, requestName(req), func(context.Context) error {
		last = nil
		again, err := repeat(req)
		if err != nil {
			return err
		}
		resp, err := t.send(again)
		if err != nil {
			return markTemporary(err)
		}
		last = resp
		if !isTemporaryStatus(resp.StatusCode) {
			return nil
		}
		keepBody(resp)
		return retry.After(fmt.Errorf("status %s", resp.Status), RetryAfter(resp.Header, time.Now()))
	})
	if req.Body != nil {
		_ = req.Body.Close() // a RoundTripper must; what was sent were copies
	}
	if last != nil && req.Context().Err() == nil {
		return t.resumable(req, last), nil
	}
	if last != nil {
		_ = last.Body.Close()
	}
	return nil, err
}

// canRepeat says whether sending req twice is the same as sending it once. A POST is only if it opens an upload, of which a second, unused
// one expires by itself, or if it asks a token server for a token, which sends a form.
func canRepeat(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
		return true
	case http.MethodPost:
		return strings.HasSuffix(req.URL.Path, "/blobs/uploads/") || req.Header.Get("Content-Type") == "application/x-www-form-urlencoded"
	default:
		return false
	}
}

// repeat is a copy of req with a body of its own. The original's stays unread, so that a transport above can send it again after it
// has refreshed a token.
func repeat(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("repeating the body of a request: %w", err)
	}
	again.Body = body
	return again, nil
}

// requestName tells a request without its query, which may hold a signature.
func requestName(req *http.Request) string {
	return req.Method + " " + req.URL.Scheme + "://" + req.URL.Host + req.URL.Path
}

// isTemporaryStatus is the list of OSBS.
func isTemporaryStatus(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// keepBody reads the body into memory, so that its connection is free during the pause.
func keepBody(resp *http.Response) {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	_ = resp.Body.Close() // what could be read is all that is wanted
	if err != nil {
		data = nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
}

// RetryAfter reads how long a server asks to be left alone, in seconds or as a date; 0 if it is absent, malformed or in the past.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// markTemporary marks the errors of a connection that another try may not meet.
func markTemporary(err error) error {
	if isTemporaryError(err) {
		return retry.Temporary(err)
	}
	return err
}

// isTemporaryError recognises resets, time-outs, refused connections and connections closed too early.
func isTemporaryError(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, context.Canceled), errors.Is(err, errPlainHTTP), isCertificateError(err):
		return false
	}
	var proxy *proxyError
	if errors.As(err, &proxy) {
		return isTemporaryStatus(proxy.code)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	return isBroken(err)
}

// isCertificateError recognises what crypto/tls and crypto/x509 say about a peer that is not trusted.
func isCertificateError(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
		roots        x509.SystemRootsError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &roots)
}
