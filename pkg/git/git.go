// Package git talks to git servers: what branches there are, the objects of a branch, and a new commit for it. Credentials come from
// secrets as Tekton mounts them, host keys and certificates are always checked, and what a network or a server fails to do is tried
// again.
package git

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/file"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// Options say how servers are reached. The zero value reaches public ones over https.
type Options struct {
	step.Env
	// SecretDir is a mounted secret: kubernetes.io/basic-auth (username, password), kubernetes.io/ssh-auth (ssh-privatekey,
	// known_hosts), or one with the files that Tekton's own tasks read (.git-credentials; id_*, known_hosts). Empty means none.
	SecretDir string
	// CAFile holds PEM certificates that are trusted besides the system's; empty means none.
	CAFile string
	// Home is the home directory whose .git-credentials and .ssh serve where SecretDir has nothing; empty means none.
	Home string
	// AgentSocket is the address of an ssh agent that serves where there is no key file; empty means none.
	AgentSocket string
}

// Remote is one repository on a server.
type Remote struct {
	url    giturl.URL
	env    step.Env
	client transport.Transport
	ep     *transport.Endpoint
	auth   transport.AuthMethod
}

// Open reads the credentials for u, without talking to the server yet. Those of Options.SecretDir are used only if useSecret is
// true: a submodule on another server must not be given them.
func Open(o Options, u giturl.URL, useSecret bool) (*Remote, error) {
	o.Env = o.WithDefaults()
	if !useSecret {
		o.SecretDir = ""
	}
	r := &Remote{url: u, env: o.Env, ep: &transport.Endpoint{Protocol: u.Scheme, User: u.User, Host: u.Host, Port: u.Port, Path: u.Path}}
	if strings.Contains(u.Host, ":") {
		r.ep.Host = "[" + u.Host + "]"
	}
	var err error
	switch u.Scheme {
	case giturl.SSH:
		r.client = gitssh.NewClient(nil)
		r.ep.Host = u.Host
		r.auth, err = o.sshAuth(u)
	case giturl.File:
		r.client = file.DefaultClient
	default:
		err = r.overHTTP(o)
	}
	return r, err
}

// The limits on a silent server. A server that counts a large repository says nothing for a while.
const (
	dialTimeout   = 30 * time.Second
	answerTimeout = 5 * time.Minute
	stallTimeout  = 2 * time.Minute
)

// overHTTP makes the remote speak http or https.
func (r *Remote) overHTTP(o Options) error {
	// The path is sent as it is: go-git does not escape it.
	r.ep.Path = (&url.URL{Path: r.url.Path}).EscapedPath()
	r.ep.User = ""
	tls, err := o.tlsConfig()
	if err != nil {
		return err
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}
	r.client = githttp.NewClient(&http.Client{Transport: bounded{&http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       tls,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout,
		ForceAttemptHTTP2:     true,
		IdleConnTimeout:       dialTimeout,
	}}})
	auth, err := o.basicAuth(r.url)
	if auth != nil {
		r.auth = auth
	}
	return err
}

// URL is the repository's address.
func (r *Remote) URL() giturl.URL { return r.url }

// do tries op, and again while it fails for a reason that passes by itself. Errors are classified.
func (r *Remote) do(ctx context.Context, what string, op func(context.Context) error) error {
	err := retry.Do(ctx, r.env.Log, r.env.Retry, what+" "+r.url.String(), func(ctx context.Context) error {
		err := op(ctx)
		if err == nil {
			return nil
		}
		return r.classify(err)
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", what, r.url, context.Cause(ctx))
	}
	return err
}

// connect starts a session. Neither dialling ssh nor starting a program listens to ctx, so they are left behind when it ends.
func connect[S transport.Session](ctx context.Context, open func(*transport.Endpoint, transport.AuthMethod) (S, error), r *Remote) (S, error) {
	type result struct {
		session S
		err     error
	}
	done := make(chan result, 1)
	ep := *r.ep // a redirect changes it
	go func() {
		s, err := open(&ep, r.auth)
		done <- result{s, err}
	}()
	select {
	case got := <-done:
		return got.session, got.err
	case <-ctx.Done():
		go func() {
			if got := <-done; got.err == nil {
				_ = got.session.Close()
			}
		}()
		var none S
		return none, failure.New(failure.KindOf(ctx.Err()), "connecting: %w", context.Cause(ctx))
	}
}
