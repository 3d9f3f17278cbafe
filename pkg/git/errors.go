package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// opened makes the errors of go-git that hide their cause show it.
func opened(err error) error {
	for range 8 {
		var unexpected *plumbing.UnexpectedError
		var permanent *plumbing.PermanentError
		switch {
		case errors.As(err, &unexpected):
			err = unexpected.Err
		case errors.As(err, &permanent):
			err = permanent.Err
		default:
			return err
		}
	}
	return err
}

// classify gives err a kind, and marks it as temporary if another try may help. An error that has a kind keeps it.
func (r *Remote) classify(err error) error {
	err = opened(err)
	var done *failure.Error
	if errors.As(err, &done) {
		return keepKind(err, done)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	var answer *githttp.Err
	var exit *exec.ExitError
	switch {
	case errors.As(err, &answer):
		return r.classifyAnswer(answer)
	case errors.Is(err, transport.ErrRepositoryNotFound), r.url.Host == "" && isExit(err, &exit):
		return failure.WithHint(failure.New(failure.NotFound, "git repository %s does not exist: %w", r.url, err),
			"check the URL; a server also says this when the credentials may not read the repository")
	case strings.Contains(err.Error(), "dubious ownership"):
		return failure.WithHint(failure.New(failure.Unauthorized, "%s belongs to another user: %w", r.url, err), "git config --global --add safe.directory %s", r.url.Path)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return failure.New(failure.NotFound, "git repository %s is empty: it has no branch", r.url)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), strings.Contains(err.Error(), "unable to authenticate"):
		return r.unauthorized(err)
	case isTLS(err):
		return failure.WithHint(failure.New(failure.Untrusted, "the certificate of %s is not trusted: %w", r.url.HostPort(), err),
			"give the certificate of the authority that signed it with git-ca-file")
	case errors.Is(err, exec.ErrNotFound):
		return failure.WithHint(failure.New(failure.Usage, "%s: a file URL is served by git, which is not installed here: %w", r.url, err), "install git")
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EDQUOT):
		return failure.New(failure.Storage, "%w", err)
	case isNetwork(err):
		return retry.Temporary(failure.New(failure.Unavailable, "%s: %w", r.server(), err))
	default:
		return failure.New(failure.Unavailable, "%s gave an answer that no git server gives: %w", r.server(), err)
	}
}

// keepKind passes a classified error on, without what go-git and ssh wrote around it.
func keepKind(err error, done *failure.Error) error {
	if done.Kind == failure.Untrusted {
		return done
	}
	return err
}

// server names who is at the other end.
func (r *Remote) server() string {
	if r.url.Scheme == giturl.File {
		return "the local git"
	}
	return "git server " + r.url.HostPort()
}

func isExit(err error, exit **exec.ExitError) bool { return errors.As(err, exit) }

func (r *Remote) unauthorized(err error) error {
	hint := "give a git secret: the repository is not public"
	if r.auth != nil {
		hint = "the server refused the credentials of the git secret"
	}
	return failure.WithHint(failure.New(failure.Unauthorized, "%s refused access to %s: %w", r.server(), r.url, err), "%s", hint)
}

// classifyAnswer reads the status of an HTTP answer.
func (r *Remote) classifyAnswer(answer *githttp.Err) error {
	code := answer.StatusCode()
	err := failure.New(failure.Unavailable, "%s answered %d %s", r.server(), code, http.StatusText(code))
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return r.unauthorized(answer)
	case http.StatusNotFound, http.StatusGone:
		return failure.New(failure.NotFound, "git repository %s does not exist", r.url)
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if pause := retryAfter(answer.Response); pause > 0 {
			return retry.After(err, pause)
		}
		return retry.Temporary(err)
	default:
		return err
	}
}

// retryAfter reads the header of that name, in seconds or as a date.
func retryAfter(answer *http.Response) time.Duration {
	if answer == nil {
		return 0
	}
	value := answer.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return min(time.Duration(seconds)*time.Second, retry.MaxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &name) || errors.As(err, &invalid)
}

// isNetwork says whether err is one that may pass by itself.
func isNetwork(err error) bool {
	var network net.Error
	var operation *net.OpError
	return errors.As(err, &network) || errors.As(err, &operation) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, errStalled) || saysNetwork(err.Error())
}

// saysNetwork reads the text of errors that go-git and HTTP/2 give without their cause.
func saysNetwork(text string) bool {
	for _, sign := range []string{"unexpected EOF", "connection reset", "broken pipe", "stream error", "http2: "} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
