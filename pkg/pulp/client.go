// Package pulp makes a Pulp 3 server with the pulp_container plugin take over an image from a registry: it creates or corrects the
// repository, the remote and the distribution, starts a sync and follows every task of it to its end.
package pulp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// DefaultTimeout is how long a whole sync may take if nobody says otherwise; the original gave it three minutes, which large images
// exceeded.
const DefaultTimeout = 30 * time.Minute

// Options say how a Pulp server is reached.
type Options struct {
	step.Env
	// URL is the server's, such as https://pulp.example.com.
	URL string
	// APIPrefix is what Pulp's administrator has set API_ROOT to, such as /pulp/; empty means DefaultAPIPrefix. Where domains are
	// enabled, a domain's name follows, as in /pulp/team/.
	APIPrefix string
	// SecretDir is a mounted secret with username and password, or tls.crt and tls.key, or both; empty means anonymous.
	SecretDir string
	// CAFile holds PEM certificates to trust besides the system's.
	CAFile string
	// Timeout bounds each Sync; 0 means DefaultTimeout.
	Timeout time.Duration
	// Poll is the pause between two looks at a task; 0 means a second.
	Poll time.Duration
}

// Client talks to one Pulp server.
type Client struct {
	env     step.Env
	base    *url.URL
	http    *http.Client
	account *url.Userinfo
	timeout time.Duration
	poll    time.Duration
}

// DefaultAPIPrefix is where Pulp serves its API unless its administrator says otherwise (the setting API_ROOT).
const DefaultAPIPrefix = "/pulp/"

// apiVersion follows the prefix in every path of the API.
const apiVersion = "api/v3/"

// New reads the secret and the certificates. A bad URL, prefix or CA file is failure.Usage, an unreadable secret failure.Unauthorized.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.URL, o.APIPrefix)
	if err != nil {
		return nil, err
	}
	c := &Client{env: o.WithDefaults(), base: base, timeout: o.Timeout, poll: o.Poll}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.poll <= 0 {
		c.poll = time.Second
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if config.RootCAs, err = readRoots(o.CAFile); err != nil {
		return nil, err
	}
	if o.SecretDir != "" {
		if err := c.readSecret(o.SecretDir, config); err != nil {
			return nil, err
		}
	}
	c.http = &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: time.Minute, TLSHandshakeTimeout: 20 * time.Second,
			DialContext: (&net.Dialer{Timeout: 20 * time.Second}).DialContext, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // credentials go nowhere else
	}
	return c, nil
}

// Host is the server's host[:port].
func (c *Client) Host() string { return c.base.Host }

// parseBase is the address below which the API is.
func parseBase(server, prefix string) (*url.URL, error) {
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, failure.WithHint(failure.New(failure.Usage, "the URL of Pulp is malformed"), "the form is https://host[:port]; credentials belong in the secret")
	}
	if strings.Trim(base.Path, "/") != "" {
		return nil, failure.WithHint(failure.New(failure.Usage, "the URL of Pulp has the path %q", shorten(base.Path)),
			"the form is https://host[:port]; what Pulp's administrator has set as API_ROOT belongs in api_prefix")
	}
	prefix = cmp.Or(prefix, DefaultAPIPrefix)
	if !validPrefix.MatchString(prefix) {
		return nil, failure.WithHint(failure.New(failure.Usage, "the API prefix of Pulp %q is malformed", shorten(prefix)), "the form is /pulp/")
	}
	base.Path = "/" + strings.Trim(prefix, "/") + "/" + apiVersion
	if strings.Trim(prefix, "/") == "" {
		base.Path = "/" + apiVersion
	}
	return base, nil
}

// validPrefix is a path of plain names.
var validPrefix = regexp.MustCompile(`^/(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-]*$`)

// maxFile bounds a secret's or certificate's file, in bytes.
const maxFile = 4 << 20

func readFile(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // nil is how crypto/tls spells the system's certificates
	}
	pem, err := readFile(file)
	if err != nil {
		return nil, failure.New(failure.Usage, "Pulp's CA file is unreadable: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, failure.New(failure.Usage, "Pulp's CA file %s holds no PEM certificate", file)
	}
	return pool, nil
}

// certificatePairs are the names under which a secret may hold a client certificate and its key: Kubernetes', and OSBS's.
var certificatePairs = [][2]string{{"tls.crt", "tls.key"}, {"pulp.cer", "pulp.key"}}

// readSecret takes what the secret has.
func (c *Client) readSecret(dir string, config *tls.Config) error {
	user, userErr := readFile(filepath.Join(dir, "username"))
	password, passwordErr := readFile(filepath.Join(dir, "password"))
	switch {
	case userErr == nil && passwordErr == nil:
		name, secret := strings.TrimSpace(string(user)), strings.TrimRight(string(password), "\r\n")
		c.env.Redact.Add(secret, name+":"+secret)
		c.account = url.UserPassword(name, secret)
	case !errors.Is(userErr, os.ErrNotExist) || !errors.Is(passwordErr, os.ErrNotExist):
		return failure.New(failure.Unauthorized, "Pulp's secret %s needs both username and password: %w", dir, errors.Join(userErr, passwordErr))
	}
	for _, pair := range certificatePairs {
		certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, pair[0]), filepath.Join(dir, pair[1]))
		switch {
		case err == nil:
			config.Certificates = append(config.Certificates, certificate)
			return nil
		case !errors.Is(err, os.ErrNotExist):
			return failure.New(failure.Unauthorized, "Pulp's client certificate %s in %s is unusable: %w", pair[0], dir, err)
		}
	}
	if c.account == nil {
		return failure.WithHint(failure.New(failure.Unauthorized, "Pulp's secret %s holds no credentials", dir),
			"it needs username and password, or tls.crt and tls.key")
	}
	return nil
}

// maxBody bounds what is read of an answer, maxErrorText what an error repeats of it, in bytes.
const (
	maxBody      = 8 << 20
	maxErrorText = 500
)

// answerError is an answer of Pulp that is an error.
type answerError struct {
	status int
	text   string
}

func (e *answerError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

// call sends a request and decodes the answer into out, which may be nil. It is tried again while the server is overloaded or out of
// reach: what the package asks for is the same when it is asked twice (see create for the one exception).
func (c *Client) call(ctx context.Context, method, ref string, in, out any) error {
	target, err := c.resolve(ref)
	if err != nil {
		return err
	}
	var body []byte
	if in != nil {
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encoding a request to Pulp: %w", err)
		}
	}
	what := "asking Pulp: " + method + " " + target.Path
	err = retry.Do(ctx, c.env.Log, c.env.Retry, what, func(ctx context.Context) error { return c.once(ctx, method, target, body, out) })
	return c.classify(err)
}

// resolve makes an address of a path below the API or of an href of Pulp's. One that leads to another host is refused: it would get
// the credentials.
func (c *Client) resolve(ref string) (*url.URL, error) {
	target, err := c.base.Parse(ref)
	if err != nil || target.Host != c.base.Host || target.Scheme != c.base.Scheme {
		return nil, failure.New(failure.Untrusted, "Pulp refers to %q, which is not on %s", shorten(ref), c.base.Host)
	}
	return target, nil
}

func (c *Client) once(ctx context.Context, method string, target *url.URL, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("building a request to Pulp: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.account != nil {
		password, _ := c.account.Password()
		req.SetBasicAuth(c.account.Username(), password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if isTrust(err) || ctx.Err() != nil {
			return err
		}
		return retry.Temporary(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return retry.Temporary(fmt.Errorf("reading the answer: %w", err))
	}
	return decode(resp, data, out)
}

func decode(resp *http.Response, data []byte, out any) error {
	if resp.StatusCode >= http.StatusMultipleChoices {
		err := &answerError{resp.StatusCode, shorten(string(data))}
		switch resp.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
			http.StatusGatewayTimeout:
			seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 16) // absent or a date: the policy's pause
			return retry.After(err, time.Duration(seconds)*time.Second)
		}
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return failure.New(failure.Unavailable, "the answer is not Pulp's: %w", err)
	}
	return nil
}

func isTrust(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

func isExpired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// classify gives an error its kind.
func (c *Client) classify(err error) error {
	var known *failure.Error
	var answer *answerError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err
	case isExpired(err):
		return failure.WithHint(failure.New(failure.Untrusted, "Pulp's certificate is not valid now: %w", err), "renew it; the clocks of both machines must be right, too")
	case isTrust(err):
		return failure.WithHint(failure.New(failure.Untrusted, "%w", err), "give the CA that signed Pulp's certificate with pulp-ca-file")
	case !errors.As(err, &answer):
		return failure.New(failure.Unavailable, "Pulp at %s cannot be reached: %w", c.base.Host, err)
	case answer.status == http.StatusUnauthorized || answer.status == http.StatusForbidden:
		return failure.WithHint(failure.New(failure.Unauthorized, "Pulp refused access: %w", err), "check the secret in pulp-secret-dir, and what its account may do")
	case answer.status == http.StatusNotFound:
		return failure.New(failure.NotFound, "Pulp does not have it: %w", err)
	case answer.status == http.StatusBadRequest:
		return failure.New(failure.InvalidInput, "Pulp does not accept the request: %w", err)
	default:
		return failure.New(failure.Unavailable, "Pulp failed: %w", err)
	}
}

// shorten makes text of the server fit for a message.
func shorten(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > maxErrorText {
		return string(runes[:maxErrorText]) + "..."
	}
	return text
}
