package gitserver_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/e2e/cluster/gitserver"
	"github.com/osbs-tekton/osbs/e2e/cluster/pki"
)

func TestServer(t *testing.T) {
	c, env := serve(t)
	work := t.TempDir()
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		cmd.Dir, cmd.Env = work, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := git(args...); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	login := "https://" + c.User + ":" + c.Password + "@" + c.HTTPS
	overSSH := "ssh://anybody@" + c.SSH
	must("init", "--quiet", "--initial-branch=main", ".")
	must("commit", "--quiet", "--allow-empty", "-m", "first")
	for _, repository := range []string{"/public/a.git", "/private/a.git"} {
		must("push", "--quiet", login+repository, "main")
		must("clone", "--quiet", overSSH+repository, t.TempDir())
		must("clone", "--quiet", login+repository, t.TempDir())
	}
	must("push", "--quiet", overSSH+"/private/group/b.git", "main")
	must("ls-remote", "--exit-code", "https://"+c.HTTPS+"/public/a.git", "main")
	for what, args := range map[string][]string{
		"reading what is private":          {"ls-remote", "https://" + c.HTTPS + "/private/a.git"},
		"pushing without credentials":      {"push", "https://" + c.HTTPS + "/public/a.git", "main"},
		"leaving the root":                 {"ls-remote", overSSH + "/../../etc"},
		"a repository that does not exist": {"ls-remote", login + "/private/none.git"},
	} {
		if out, err := git(args...); err == nil {
			t.Errorf("%s works:\n%s", what, out)
		}
	}
}

// serve runs a server until the test ends, and returns the environment with which git trusts it.
func serve(t *testing.T) (gitserver.Config, []string) {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.NewAuthority(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Server("git", "git", "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"host", "user"} {
		if err := pki.SSHKey(dir, key); err != nil {
			t.Fatal(err)
		}
	}
	c := gitserver.Config{Root: t.TempDir(), HTTPS: free(t), SSH: free(t), Certificate: ca.File("git.crt"), Key: ca.File("git.key"),
		HostKey: filepath.Join(dir, "host"), UserKey: filepath.Join(dir, "user.pub"), User: "builder", Password: "secret"}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gitserver.Serve(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, address := range []string{c.HTTPS, c.SSH} {
		answers(t, address)
	}
	ssh := fmt.Sprintf("ssh -F /dev/null -i %s -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR", filepath.Join(dir, "user"))
	return c, []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_SSL_CAINFO=" + ca.File("ca.crt"), "GIT_SSH_COMMAND=" + ssh}
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(t *testing.T, address string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nothing answers at %s", address)
}
