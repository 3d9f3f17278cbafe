package gittest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/osbs-tekton/osbs/internal/sharedbuffer"
)

// SSH is OpenSSH's sshd, which lets one generated key in, as the user that runs the test.
type SSH struct {
	// Address is HOST:PORT.
	Address string
	// User is the name to log in with.
	User string
	// Key is the private key, HostKey the server's public key in the form of authorized_keys.
	Key, HostKey string

	t testing.TB
}

// ServeSSH serves the whole file system over ssh until the test ends, on a free port.
func ServeSSH(t testing.TB) *SSH {
	t.Helper()
	return ServeSSHOn(t, freeAddress(t))
}

// ServeSSHOn is ServeSSH on an address, HOST:PORT: the scp-like form of a URL has no port, so it needs port 22.
func ServeSSHOn(t testing.TB, address string) *SSH {
	t.Helper()
	need(t, "git")
	sshd := need(t, sshdPath())
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &SSH{Address: address, User: me.Username, t: t}
	var authorized, hostKey string
	s.Key, authorized = newKey(t)
	hostKey, s.HostKey = newKey(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "host_key"), hostKey, 0o600)
	writeFile(t, filepath.Join(dir, "authorized_keys"), authorized, 0o600)
	config := fmt.Sprintf("ListenAddress %s:%s\nHostKey %s/host_key\nAuthorizedKeysFile %s/authorized_keys\nPidFile none\nStrictModes no\n"+
		"UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nLogLevel ERROR\n"+
		"PermitUserEnvironment no\nUseDNS no\nX11Forwarding no\nAllowTcpForwarding no\n", host, port, dir, dir)
	writeFile(t, filepath.Join(dir, "sshd_config"), config, 0o600)
	if os.Getuid() == 0 { // sshd keeps its unprivileged part here
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
	s.start(sshd, filepath.Join(dir, "sshd_config"))
	return s
}

func sshdPath() string {
	if _, err := os.Stat("/usr/sbin/sshd"); err == nil {
		return "/usr/sbin/sshd"
	}
	return "sshd"
}

// start runs sshd and waits until it answers.
func (s *SSH) start(sshd, config string) {
	s.t.Helper()
	var said sharedbuffer.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, sshd, "-D", "-e", "-f", config)
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the sessions too
		cancel()
		if err := <-ended; err == nil {
			s.t.Log("sshd ended by itself")
		}
	})
	deadline := time.After(20 * time.Second)
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			s.t.Fatalf("sshd ended: %v\n%s", err, said.String())
		case <-deadline:
			s.t.Fatalf("sshd does not answer: %v\n%s", err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// URL is the address of a repository's directory.
func (s *SSH) URL(dir string) string { return "ssh://" + s.User + "@" + s.Address + dir }

// SCP is the same in the scp-like form; the server must be on port 22.
func (s *SSH) SCP(dir string) string {
	host, _, _ := strings.Cut(s.Address, ":")
	return s.User + "@" + host + ":" + dir
}

// KnownHosts is the line of known_hosts for the server.
func (s *SSH) KnownHosts() string {
	host, port, _ := strings.Cut(s.Address, ":")
	if port == "22" {
		return host + " " + s.HostKey
	}
	return "[" + host + "]:" + port + " " + s.HostKey
}

// Secret is a mounted secret of the type kubernetes.io/ssh-auth for the server.
func (s *SSH) Secret() string {
	s.t.Helper()
	return Secret(s.t, map[string]string{"ssh-privatekey": s.Key, "known_hosts": s.KnownHosts()})
}

// NewKey makes a private key, and its public key in the form of authorized_keys.
func NewKey(t testing.TB) (private, public string) {
	t.Helper()
	return newKey(t)
}

func newKey(t testing.TB) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	sshPublic, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), string(ssh.MarshalAuthorizedKey(sshPublic))
}

// freeAddress finds a port that nothing listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
