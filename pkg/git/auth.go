package git

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/giturl"
)

// maxSecret bounds one file of a secret, in bytes; Kubernetes allows a secret 1 MiB in all.
const maxSecret = 1 << 20

// readSecret returns a file's content, or ok false if it does not exist.
func readSecret(name string) (content string, ok bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, failure.New(failure.Unauthorized, "reading git secret: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", false, failure.New(failure.Unauthorized, "reading git secret: %w", err)
	}
	if len(data) > maxSecret {
		return "", false, failure.New(failure.Unauthorized, "git secret %s is larger than %d bytes", name, maxSecret)
	}
	return string(data), true, nil
}

// checkSecretDir refuses a secret that is not there: to go on without it would end in a less clear error.
func (o Options) checkSecretDir() error {
	if o.SecretDir == "" {
		return nil
	}
	info, err := os.Stat(o.SecretDir)
	if err != nil {
		return failure.New(failure.Unauthorized, "reading git secret: %w", err)
	}
	if !info.IsDir() {
		return failure.New(failure.Unauthorized, "git secret %s is not a directory: a secret is mounted as one", o.SecretDir)
	}
	return nil
}

// basicAuth finds user and password for an http or https URL: in the URL, in the secret, in .git-credentials. Nil means none.
func (o Options) basicAuth(u giturl.URL) (*githttp.BasicAuth, error) {
	if err := o.checkSecretDir(); err != nil {
		return nil, err
	}
	auth, where := &githttp.BasicAuth{Username: u.User, Password: u.Password}, "the URL"
	if u.Password == "" {
		var err error
		if auth, where, err = o.storedAuth(u); auth == nil || err != nil {
			return nil, err
		}
	}
	o.Redact.Add(auth.Password, auth.Username+":"+auth.Password)
	if u.Scheme == giturl.HTTP {
		return nil, failure.WithHint(failure.New(failure.Unauthorized, "%s: the credentials of %s would be sent in clear", u, where),
			"use https, or give no git secret")
	}
	return auth, nil
}

// storedAuth looks into the secret, then into .git-credentials.
func (o Options) storedAuth(u giturl.URL) (auth *githttp.BasicAuth, where string, err error) {
	if o.SecretDir != "" {
		auth, err := o.basicAuthSecret()
		if auth != nil || err != nil {
			return auth, o.SecretDir, err
		}
	}
	for _, dir := range []string{o.SecretDir, o.Home} {
		if dir == "" {
			continue
		}
		name := filepath.Join(dir, ".git-credentials")
		text, ok, err := readSecret(name)
		if err != nil {
			return nil, name, err
		}
		if !ok {
			continue
		}
		auth, err := fromStore(text, name, u)
		if auth != nil || err != nil {
			return auth, name, err
		}
	}
	return nil, "", nil
}

// basicAuthSecret reads a secret of the type kubernetes.io/basic-auth. Nil means that the secret is of another type.
func (o Options) basicAuthSecret() (*githttp.BasicAuth, error) {
	user, hasUser, err := readSecret(filepath.Join(o.SecretDir, "username"))
	if err != nil {
		return nil, err
	}
	password, hasPassword, err := readSecret(filepath.Join(o.SecretDir, "password"))
	if err != nil {
		return nil, err
	}
	o.Redact.Add(password)
	user, password = strings.TrimRight(user, "\r\n"), strings.TrimRight(password, "\r\n")
	malformed := func(what string) error {
		return failure.WithHint(failure.New(failure.Unauthorized, "git secret %s is malformed: %s", o.SecretDir, what),
			"a secret of the type kubernetes.io/basic-auth has the keys username and password")
	}
	switch {
	case !hasUser && !hasPassword:
		return nil, nil
	case user == "":
		return nil, malformed("it has no username")
	case password == "":
		return nil, malformed("it has no password")
	case strings.ContainsAny(user+password, "\r\n\x00"):
		return nil, malformed("username or password has several lines")
	}
	return &githttp.BasicAuth{Username: user, Password: password}, nil
}

// fromStore finds the entry for u in the text of a .git-credentials file: one URL with user and password a line, as git's
// credential-store writes it. A line may have a path; it serves only the repositories below it then.
func fromStore(text, name string, u giturl.URL) (*githttp.BasicAuth, error) {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, maxSecret+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := url.Parse(line)
		if err != nil || entry.Host == "" || entry.User == nil {
			return nil, failure.WithHint(failure.New(failure.Unauthorized, "git secret %s is malformed in line %d", name, n),
				"a line is https://USER:PASSWORD@HOST")
		}
		user := entry.User.Username()
		password, _ := entry.User.Password()
		if !strings.EqualFold(entry.Scheme, u.Scheme) || !strings.EqualFold(entry.Host, u.HostPort()) || u.User != "" && u.User != user {
			continue
		}
		if p := strings.Trim(entry.Path, "/"); p != "" && !strings.HasPrefix(strings.Trim(u.Path, "/")+"/", p+"/") {
			continue
		}
		return &githttp.BasicAuth{Username: user, Password: password}, nil
	}
	return nil, nil
}

// tlsConfig trusts the system's certificates and those of CAFile.
func (o Options) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile == "" {
		return config, nil
	}
	text, ok, err := readSecret(o.CAFile)
	if err != nil || !ok {
		return nil, failure.New(failure.Usage, "reading git CA file %s: %w", o.CAFile, errors.Join(err, missing(ok)))
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM([]byte(text)) {
		return nil, failure.New(failure.Usage, "git CA file %s holds no PEM certificate", o.CAFile)
	}
	return config, nil
}

func missing(ok bool) error {
	if ok {
		return nil
	}
	return fs.ErrNotExist
}

// sshAuth is how an ssh connection is made: user, keys, and the host keys that are known.
type sshAuth struct{ config ssh.ClientConfig }

var _ gitssh.AuthMethod = (*sshAuth)(nil)

func (*sshAuth) Name() string     { return gitssh.PublicKeysName }
func (a *sshAuth) String() string { return "user: " + a.config.User }

// ClientConfig implements go-git's AuthMethod.
func (a *sshAuth) ClientConfig() (*ssh.ClientConfig, error) {
	config := a.config
	return &config, nil
}

var _ transport.AuthMethod = (*sshAuth)(nil)

// sshAuth finds the key and the known hosts for an ssh URL.
func (o Options) sshAuth(u giturl.URL) (*sshAuth, error) {
	if err := o.checkSecretDir(); err != nil {
		return nil, err
	}
	a := &sshAuth{ssh.ClientConfig{User: u.User, Timeout: dialTimeout}}
	if a.config.User == "" {
		a.config.User = "git"
	}
	method, err := o.sshKeys(u)
	if err != nil {
		return nil, err
	}
	a.config.Auth = []ssh.AuthMethod{method}
	return a, o.knownHosts(u, &a.config)
}

// The files that hold a private key: that of kubernetes.io/ssh-auth, then those of ssh.
func keyFiles() []string {
	return []string{"ssh-privatekey", "id_ed25519", "id_ecdsa", "id_rsa"}
}

// sshKeys reads the private keys of the secret, else of the home directory, else asks the agent.
func (o Options) sshKeys(u giturl.URL) (ssh.AuthMethod, error) {
	var dirs []string
	switch {
	case o.SecretDir != "":
		dirs = []string{o.SecretDir}
	case o.AgentSocket != "":
		return ssh.PublicKeysCallback(o.agentKeys), nil
	case o.Home != "":
		dirs = []string{filepath.Join(o.Home, ".ssh")}
	}
	var signers []ssh.Signer
	for _, dir := range dirs {
		names := keyFiles()
		if found, err := filepath.Glob(filepath.Join(dir, "id_*")); err == nil { // Tekton names keys id_SECRET
			for _, name := range found {
				names = append(names, filepath.Base(name))
			}
		}
		seen := map[string]bool{}
		for _, name := range names {
			if seen[name] || strings.HasSuffix(name, ".pub") {
				continue
			}
			seen[name] = true
			signer, err := o.readKey(filepath.Join(dir, name))
			if err != nil {
				return nil, err
			}
			if signer != nil {
				signers = append(signers, signer)
			}
		}
	}
	if len(signers) == 0 {
		where := "there is no git secret"
		if o.SecretDir != "" {
			where = "git secret " + o.SecretDir + " is malformed: it has no ssh-privatekey"
		}
		return nil, failure.WithHint(failure.New(failure.Unauthorized, "%s needs a key, and %s", u, where),
			"give a secret of the type kubernetes.io/ssh-auth with the keys ssh-privatekey and known_hosts")
	}
	return ssh.PublicKeys(signers...), nil
}

// readKey returns nil if the file does not exist.
func (o Options) readKey(name string) (ssh.Signer, error) {
	text, ok, err := readSecret(name)
	if err != nil || !ok {
		return nil, err
	}
	o.Redact.Add(text)
	signer, err := ssh.ParsePrivateKey([]byte(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n") + "\n"))
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, failure.WithHint(failure.New(failure.Unauthorized, "git secret %s is a key with a passphrase", name),
			"use a key without one, such as a deploy key")
	}
	if err != nil {
		return nil, failure.WithHint(failure.New(failure.Unauthorized, "git secret %s is malformed: it is no private key", name),
			"ssh-privatekey holds the text that begins with -----BEGIN OPENSSH PRIVATE KEY-----")
	}
	return signer, nil
}

// agentKeys asks the ssh agent for its keys.
func (o Options) agentKeys() ([]ssh.Signer, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.Dial("unix", o.AgentSocket)
	if err != nil {
		return nil, failure.New(failure.Unauthorized, "asking the ssh agent: %w", err)
	}
	return agent.NewClient(conn).Signers()
}

// knownHosts makes config accept the host keys of known_hosts and no other.
func (o Options) knownHosts(u giturl.URL, config *ssh.ClientConfig) error {
	files := []string{filepath.Join(o.SecretDir, "known_hosts")}
	if o.SecretDir == "" {
		files = []string{filepath.Join(o.Home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	hint := "add the key known_hosts to the git secret: the output of ssh-keyscan " + u.Host + ", compared with what the server's owner publishes"
	var present []string
	for _, name := range files {
		text, ok, err := readSecret(name)
		if err != nil {
			return err
		}
		if ok && strings.TrimSpace(text) != "" {
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return failure.WithHint(failure.New(failure.Untrusted, "%s cannot be trusted: %s does not exist or is empty", u, strings.Join(files, " and ")), "%s", hint)
	}
	db, err := gitssh.NewKnownHostsDb(present...)
	if err != nil {
		return failure.New(failure.Unauthorized, "git secret %s is malformed: %w", strings.Join(present, ", "), err)
	}
	port := "22"
	if u.Port != 0 {
		_, port, _ = net.SplitHostPort(u.HostPort())
	}
	config.HostKeyAlgorithms = db.HostKeyAlgorithms(net.JoinHostPort(u.Host, port))
	check := db.HostKeyCallback()
	config.HostKeyCallback = func(host string, addr net.Addr, key ssh.PublicKey) error {
		err := check(host, addr, key)
		var unknown *knownhosts.KeyError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &unknown) && len(unknown.Want) == 0:
			return failure.WithHint(failure.New(failure.Untrusted, "the host key of %s is unknown (%s %s)", host, key.Type(), ssh.FingerprintSHA256(key)), "%s", hint)
		case errors.As(err, &unknown):
			return failure.WithHint(failure.New(failure.Untrusted, "the host key of %s is not the one in known_hosts (%s %s)", host, key.Type(), ssh.FingerprintSHA256(key)),
				"either the server has a new key, or someone is between")
		default:
			return failure.New(failure.Untrusted, "the host key of %s: %w", host, err)
		}
	}
	return nil
}
