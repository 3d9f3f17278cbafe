package build_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// processesWith lists the processes whose arguments hold mark.
func processesWith(mark string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(args, []byte(mark)) {
			found = append(found, pid)
		}
	}
	return found
}

// eventually polls, because there is nothing to wait on in another process.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// lasting is a Dockerfile whose RUN starts processes that try to survive, each with mark in its arguments.
func lasting(mark string) string {
	return "FROM BASE\nRUN setsid sleep " + mark + " & (setsid setsid sleep " + mark + " &) ; echo running; sleep " + mark + "\n"
}

func mark() string { return strconv.Itoa(1_000_000_000 + rand.IntN(1_000_000_000)) }

func TestCancel(t *testing.T) {
	l := newLab(t)
	name := mark()
	ws := l.workspace(map[string]file{"Dockerfile": {content: lasting(name)}}, l.parent())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := build.Run(ctx, l.options(ws))
		ended <- err
	}()
	eventually(t, "RUN starts three processes", func() bool { return len(processesWith("sleep\x00"+name)) >= 3 })
	cancel()
	if err := <-ended; failure.KindOf(err) != failure.Cancelled {
		t.Errorf("%s: %v", failure.KindOf(err), err)
	}
	if left := processesWith(name); len(left) > 0 {
		t.Errorf("processes survive: %v", left)
	}
	assertTidy(t, l)
	l.mustBuild(simple, hello())
}

// assertTidy fails if a build has left something in the storage's temporary directory, or a mount.
func assertTidy(t *testing.T, l *lab) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(l.storage, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary directories: %v %v", left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), l.storage) {
		t.Errorf("mounts: %v\n%s", err, mounts)
	}
}

func TestTimeout(t *testing.T) {
	l := newLab(t)
	ws := l.workspace(map[string]file{"Dockerfile": {content: lasting(mark())}}, l.parent())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := build.Run(ctx, l.options(ws)); failure.KindOf(err) != failure.TimedOut {
		t.Errorf("%s: %v", failure.KindOf(err), err)
	}
}

// stage starts cmd/build as a stage of its own, in the way of a pod.
func (l *lab) stage(ws workspace.Dir, arg ...string) *exec.Cmd {
	l.t.Helper()
	cmd := exec.Command(engineBinary, append([]string{"--workspace", string(ws), "--storage-dir", l.storage, "--registry-insecure", l.host}, arg...)...)
	cmd.Stderr = l.output
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	return cmd
}

// A killed stage takes the engine and all that it started with it.
func TestParentKilled(t *testing.T) {
	l := newLab(t)
	name := mark()
	cmd := l.stage(l.workspace(map[string]file{"Dockerfile": {content: lasting(name)}}, l.parent()))
	l.do(cmd.Start())
	eventually(t, "RUN starts three processes", func() bool { return len(processesWith("sleep\x00"+name)) >= 3 })
	l.do(cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "everything ends", func() bool { return len(processesWith(name)) == 0 })
	l.mustBuild(simple, hello())
	assertTidy(t, l)
}

// A build that is killed at any moment leaves a storage with which the next one works.
func TestKilledAnywhere(t *testing.T) {
	l := newLab(t)
	dockerfile := "FROM BASE AS one\nCOPY hello /one\nRUN dd if=/dev/zero of=/z bs=1M count=8\nFROM BASE\nCOPY --from=one /z /z\nRUN cat /z /z > /zz\nRUN rm /z\n"
	want := l.mustBuild(dockerfile, hello()).record.Digest
	l.storage = filepath.Join(t.TempDir(), "killed")
	for i := range 12 {
		files := hello()
		files["Dockerfile"] = file{content: dockerfile}
		cmd := l.stage(l.workspace(files, l.parent()))
		l.do(cmd.Start())
		time.Sleep(time.Duration(rand.IntN(60*(i+1))) * time.Millisecond)
		victim := cmd.Process.Pid
		if engines := processesWith("osbs-build-engine"); i%2 == 1 && len(engines) > 0 {
			for _, pid := range engines {
				if parent, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat")); strings.Contains(string(parent), " "+strconv.Itoa(victim)+" ") {
					victim = pid
				}
			}
		}
		if err := unix.Kill(victim, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	if got := l.mustBuild(dockerfile, hello()).record.Digest; got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	assertTidy(t, l)
	containers, err := os.ReadFile(filepath.Join(l.storage, "graph", "overlay-containers", "volatile-containers.json"))
	if err == nil && len(bytes.TrimSpace(containers)) > 2 {
		t.Errorf("containers are left: %s", containers)
	}
}

// Layers that were written before the machine started may be damaged, and are made again.
func TestAfterReboot(t *testing.T) {
	l := newLab(t)
	l.mustBuild(simple, hello())
	l.do(os.WriteFile(filepath.Join(l.storage, "boot"), []byte("another"), 0o600))
	layers := filepath.Join(l.storage, "graph", "overlay-layers", "layers.json")
	l.do(os.WriteFile(layers, nil, 0o600))
	l.mustBuild(simple+"RUN true\n", hello())
	if strings.Contains(l.output.String(), "Using cache") {
		t.Errorf("layers from before were used:\n%s", l.output)
	}
}

// Without CAP_SYS_ADMIN the engine makes a user namespace.
func TestUserNamespace(t *testing.T) {
	l := newLab(t)
	files := hello()
	files["Dockerfile"] = file{content: simple}
	ws := l.workspace(files, l.parent())
	whole := l.stage(ws)
	cmd := exec.Command("setpriv", append([]string{"--bounding-set=-sys_admin", "--inh-caps=-all", "--"}, whole.Args...)...)
	cmd.Env, cmd.Stderr = whole.Env, whole.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, l.output)
	}
	record, err := workspace.Read[workspace.Build](ws)
	l.do(err)
	l.storage = filepath.Join(t.TempDir(), "other")
	if want := l.mustBuild(simple, hello()).record.Digest; record.Digest != want {
		t.Errorf("digest %s, want %s", record.Digest, want)
	}
}

// The vfs driver is the last resort. Its layers list more directories than overlay's, so the digest is another one.
func TestDrivers(t *testing.T) {
	l := newLab(t)
	vfs := func(o *build.Options) { o.StorageDriver = "vfs" }
	b := l.mustBuild(simple, hello(), vfs)
	if b.text["/both"] != "hello\nbase\n" {
		t.Errorf("files: %v", b.text)
	}
	l.storage = filepath.Join(t.TempDir(), "again")
	if got := l.mustBuild(simple, hello(), vfs).record.Digest; got != b.record.Digest {
		t.Errorf("digest %s, then %s", b.record.Digest, got)
	}
}

func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("OSBS_TEST_SKIP_SERVERS") == "1" {
			t.Skip("needs root")
		}
		t.Fatal("needs root, to mount a small file system")
	}
	l := newLab(t)
	small := t.TempDir()
	l.do(unix.Mount("tmpfs", small, "tmpfs", 0, "size=12m"))
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	l.storage = small
	for name, dockerfile := range map[string]string{
		"COPY": "FROM BASE\nCOPY big /big\n",
		"RUN":  "FROM BASE\nRUN dd if=/dev/zero of=/z bs=1M count=20\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := *l
			l.t = t
			_, _, err := l.build(dockerfile, map[string]file{"big": {content: strings.Repeat("0123456789abcdef", 1<<20)}})
			if failure.KindOf(err) != failure.Storage {
				t.Errorf("%s: %v", failure.KindOf(err), err)
			}
			l.mustBuild(simple, hello())
		})
	}
}

func TestRegistryFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		kind   failure.Kind
	}{
		"denied": {http.StatusUnauthorized, failure.Unauthorized}, "gone": {http.StatusNotFound, failure.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			files := hello()
			files["Dockerfile"] = file{content: simple}
			ws := l.workspace(files, l.parent())
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tc.status) }))
			defer server.Close()
			u, err := url.Parse(server.URL)
			l.do(err)
			client, err := registry.New(registry.Options{Env: l.env, Insecure: []string{l.host}, Addresses: map[string]string{l.host: u.Host}})
			l.do(err)
			o := l.options(ws)
			o.Registry = client
			if _, err := build.Run(t.Context(), o); failure.KindOf(err) != tc.kind {
				t.Errorf("%s: %v", failure.KindOf(err), err)
			}
		})
	}
}

// A layer whose content is not what the manifest says is refused.
func TestWrongLayer(t *testing.T) {
	l := newLab(t)
	files := hello()
	files["Dockerfile"] = file{content: simple}
	ws := l.workspace(files, l.parent())
	upstream, err := url.Parse("http://" + l.host)
	l.do(err)
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.Write([]byte("\x1f\x8b rubbish")) //nolint:errcheck // a test's server
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	l.do(err)
	o := l.options(ws)
	o.Registry, err = registry.New(registry.Options{Env: l.env, Insecure: []string{l.host}, Addresses: map[string]string{l.host: u.Host}})
	l.do(err)
	if _, err := build.Run(t.Context(), o); failure.KindOf(err) != failure.Untrusted {
		t.Errorf("%s: %v", failure.KindOf(err), err)
	}
}

// The exit code of the step binary is that of the failure's kind.
func TestExitCodes(t *testing.T) {
	l := newLab(t)
	for dockerfile, want := range map[string]failure.Kind{
		"FROM BASE\nRUN exit 3\n": failure.BuildFailed, "FROM BASE\nADD http://x/y /z\n": failure.InvalidInput, "FROM BASE\nRUN true\n": "",
	} {
		err := l.stage(l.workspace(map[string]file{"Dockerfile": {content: dockerfile}}, l.parent())).Run()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		}
		if wantCode := want.ExitCode(); want != "" && code != wantCode || want == "" && code != 0 {
			t.Errorf("%q: exit code %d (%v)", dockerfile, code, err)
		}
	}
}
