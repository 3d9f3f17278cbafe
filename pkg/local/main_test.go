package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/build/engine"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/progress"
)

// This test binary is also the build engine, and with childEnv an osbs process of its own, which can be killed.
const childEnv = "OSBS_LOCAL_TEST_CHILD"

func TestMain(m *testing.M) {
	engine.Main()
	if text := os.Getenv(childEnv); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // with the race detector every process else sleeps at its end
	os.Exit(m.Run())
}

// childOrder is what a child process does: build all requests, wait, say how they ended.
type childOrder struct {
	DataDir  string
	Requests []osbs.Request
	// Pending starts what is pending instead of building.
	Pending bool
	// KillStage and KillState, if not empty, are what the process kills itself at.
	KillStage string
	KillState osbs.State
	// KillProgress, if not empty, begins the name of the work in whose middle the process kills itself.
	KillProgress string
}

// suicide ends the process as kill -9 and a power failure do.
func suicide() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// killer kills the process when the work that it waits for has begun.
type killer string

func (k killer) Start(name string, _ int64) progress.Task {
	return killerTask(k != "" && strings.HasPrefix(name, string(k)))
}

type killerTask bool

func (k killerTask) Add(int64) {
	if k {
		suicide()
	}
}

func (k killerTask) Done(string, error) {}

func runChild(text string) error {
	var order childOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		return err
	}
	ctx := context.Background()
	i, err := Open(ctx, Config{DataDir: order.DataDir, Progress: killer(order.KillProgress), Observe: func(e osbs.Event) {
		for _, s := range e.Build.Stages {
			if e.Stage == order.KillStage && s.Name == order.KillStage && s.State == order.KillState {
				suicide()
			}
		}
	}})
	if err != nil {
		return err
	}
	defer i.Close()
	for _, r := range order.Requests {
		if _, err := i.Create(ctx, r); err != nil {
			return err
		}
	}
	if order.Pending {
		if _, err := i.RebuildPending(ctx); err != nil {
			return err
		}
	}
	if err := i.Wait(ctx); err != nil {
		return err
	}
	return i.Close()
}

// child starts a child process. It is killed when the test ends, if it has not ended itself.
func child(t *testing.T, order childOrder) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

// open opens an instance that is closed when the test ends.
func open(t *testing.T, conf Config) *Instance {
	t.Helper()
	if conf.DataDir == "" {
		conf.DataDir = t.TempDir()
	}
	i, err := Open(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return i
}

// repo is a git repository of a test, with a branch main.
type repo struct {
	t    *testing.T
	dir  string
	name string
}

func newRepo(t *testing.T, name string, files map[string]string) *repo {
	t.Helper()
	r := &repo{t: t, dir: filepath.Join(t.TempDir(), name), name: name}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	r.git("config", "receive.denyCurrentBranch", "ignore")
	r.commit(files)
	return r
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes the files, the special content busybox being that program, and commits.
func (r *repo) commit(files map[string]string) {
	r.t.Helper()
	if head, err := exec.Command("git", "-C", r.dir, "rev-parse", "-q", "--verify", "HEAD").Output(); err == nil && len(head) > 0 {
		r.git("reset", "-q", "--hard", "HEAD")
	}
	for name, content := range files {
		data, mode := []byte(content), os.FileMode(0o644)
		if content == busybox {
			var err error
			if data, err = os.ReadFile("/bin/busybox"); err != nil {
				r.t.Fatalf("the Debian package busybox-static is needed: %v", err)
			}
			mode = 0o755
		}
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, data, mode); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
}

// head is the commit of main.
func (r *repo) head() string { return r.git("rev-parse", "main") }

const busybox = "\x00busybox"

// request is one for the repository.
func (r *repo) request() osbs.Request {
	return osbs.Request{GitURL: "file://" + r.dir, GitBranch: "main", User: "tester"}
}

// dockerfile of an image with the labels that every image needs.
func dockerfile(name, from, rest string) string {
	return "FROM " + from + "\nLABEL name=" + name + " version=1.0 release=1 com.redhat.component=" + name + "-container\n" + rest + "\n"
}

// baseRepo has a base image with a shell; content tells one from another.
func baseRepo(t *testing.T, name, content string) *repo {
	return newRepo(t, name, map[string]string{
		"busybox": busybox, "content": content,
		"Dockerfile": dockerfile(name, "scratch", "COPY busybox /bin/busybox\nCOPY content /content\nENV PATH=/bin"),
	})
}

// childRepo has an image on the given base.
func childRepo(t *testing.T, name, base string) *repo {
	return newRepo(t, name, map[string]string{"Dockerfile": dockerfile(name, base, "COPY Dockerfile /Dockerfile."+name)})
}

// change raises the release and the content of a base.
func (r *repo) change(release int, content string) {
	data, err := os.ReadFile(filepath.Join(r.dir, "Dockerfile"))
	if err != nil {
		r.t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for n, line := range lines {
		if at := strings.Index(line, "release="); at >= 0 {
			rest := line[at+len("release="):]
			lines[n] = line[:at] + fmt.Sprintf("release=%d", release) + rest[strings.IndexByte(rest, ' '):]
		}
	}
	r.commit(map[string]string{"Dockerfile": strings.Join(lines, "\n"), "content": content})
}

// buildAll builds and waits until that build and all rebuilds have ended.
func buildAll(t *testing.T, i *Instance, r osbs.Request) osbs.Build {
	t.Helper()
	b, err := i.Create(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return get(t, i, b.Name)
}

// mustBuild is buildAll for one that succeeds.
func mustBuild(t *testing.T, i *Instance, r osbs.Request) osbs.Build {
	t.Helper()
	b := buildAll(t, i, r)
	if b.State != osbs.Complete {
		t.Fatalf("build %s is %s: %+v\n%s", b.Name, b.State, b.Failure, logOf(t, i, b.Name))
	}
	return b
}

func get(t *testing.T, i *Instance, name string) osbs.Build {
	t.Helper()
	b, err := i.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return *b
}

func list(t *testing.T, i *Instance, f osbs.Filter) []osbs.Build {
	t.Helper()
	all, err := i.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func logOf(t *testing.T, i *Instance, name string) string {
	t.Helper()
	var b strings.Builder
	if err := i.Logs(t.Context(), name, false, &b); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b.String()
}

// poll waits until done says so; the test's own time limit is the only one.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatalf("waiting for %s: %v", what, t.Context().Err())
		case <-tick.C:
		}
	}
}

// autorebuilds of a list, by build config.
func autorebuilds(all []osbs.Build) map[string][]osbs.Build {
	out := map[string][]osbs.Build{}
	for _, b := range slices.Backward(all) {
		if b.Autorebuild {
			out[b.BuildConfig] = append(out[b.BuildConfig], b)
		}
	}
	return out
}
