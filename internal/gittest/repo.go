// Package gittest serves git repositories to tests as real servers do: git's own http-backend behind TLS and basic auth, and
// OpenSSH's sshd with generated keys, both on loopback. The programs git and sshd must be installed.
package gittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// SkipVariable is the environment variable that lets tests be skipped, when it is 1, where a server is not installed.
const SkipVariable = "OSBS_TEST_SKIP_SERVERS"

// Repo is a bare repository, and a clone of it in which its commits are made.
type Repo struct {
	// Dir is the bare repository: what a server serves.
	Dir string
	// Work is the clone.
	Work string

	t     testing.TB
	clock int
}

// New makes a repository with the branch main and one commit, in a directory that goes away with the test. files are names and
// contents; a name that ends with * is executable, and a content that begins with -> a link.
func New(t testing.TB, files map[string]string) *Repo {
	t.Helper()
	return NewIn(t, filepath.Join(t.TempDir(), "repo.git"), files)
}

// NewIn is New for a given bare repository's directory, which must not exist.
func NewIn(t testing.TB, dir string, files map[string]string) *Repo {
	t.Helper()
	need(t, "git")
	r := &Repo{Dir: dir, Work: filepath.Join(t.TempDir(), "work"), t: t, clock: 1_700_000_000}
	run(t, "", nil, "init", "-q", "--bare", "-b", "main", r.Dir)
	run(t, "", nil, "-C", r.Dir, "config", "http.receivepack", "true")
	run(t, "", nil, "init", "-q", "-b", "main", r.Work)
	r.Git("remote", "add", "origin", r.Dir)
	r.Commit("first", files)
	return r
}

// need fails the test when a program is not installed, or skips it where that is allowed.
func need(t testing.TB, program string) string {
	t.Helper()
	name, err := exec.LookPath(program)
	if err == nil {
		return name
	}
	if os.Getenv(SkipVariable) == "1" {
		t.Skipf("%s is not installed", program)
	}
	t.Fatalf("%s is not installed; set %s=1 to skip this test: %v", program, SkipVariable, err)
	return ""
}

// environ keeps the machine's configuration out of git.
func environ(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C",
		"GIT_AUTHOR_NAME=A U Thor", "GIT_AUTHOR_EMAIL=author@example.com", "GIT_COMMITTER_NAME=C O Mitter", "GIT_COMMITTER_EMAIL=committer@example.com",
		"GIT_ALLOW_PROTOCOL=file:https:ssh",
	}, extra...)
}

func run(t testing.TB, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, environ(env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Git runs git in the clone and returns what it prints.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	date := "GIT_AUTHOR_DATE=@" + strconv.Itoa(r.clock) + " +0000"
	return run(r.t, r.Work, []string{date, strings.Replace(date, "AUTHOR", "COMMITTER", 1)}, args...)
}

// Commit writes files (see New; an empty content removes the file), commits them on the current branch, pushes it, and returns the
// commit. Each commit is a minute later than the one before.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	r.clock += 60
	for name, content := range files {
		r.write(name, content)
	}
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "-m", message)
	r.Git("push", "-q", "-f", "origin", "HEAD")
	return r.Head()
}

func (r *Repo) write(name, content string) {
	r.t.Helper()
	mode := os.FileMode(0o644)
	if trimmed, ok := strings.CutSuffix(name, "*"); ok {
		name, mode = trimmed, 0o755
	}
	name = filepath.Join(r.Work, name)
	target, link := strings.CutPrefix(content, "->")
	err := os.RemoveAll(name)
	if err == nil && content != "" {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	switch {
	case err != nil || content == "":
	case link:
		err = os.Symlink(target, name)
	default:
		err = os.WriteFile(name, []byte(content), mode)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// Head is the current commit of the clone.
func (r *Repo) Head() string {
	r.t.Helper()
	return r.Git("rev-parse", "HEAD")
}

// Served is the commit of a branch in the bare repository.
func (r *Repo) Served(branch string) string {
	r.t.Helper()
	return run(r.t, "", nil, "-C", r.Dir, "rev-parse", "refs/heads/"+branch)
}

// Bare runs git in the bare repository.
func (r *Repo) Bare(args ...string) string {
	r.t.Helper()
	return run(r.t, "", nil, append([]string{"-C", r.Dir}, args...)...)
}

// URL is the file URL of the bare repository.
func (r *Repo) URL() string { return "file://" + r.Dir }

// RunIn runs git in any directory.
func RunIn(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return run(t, dir, nil, args...)
}
