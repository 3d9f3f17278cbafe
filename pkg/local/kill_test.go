package local

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// killed waits for a child process and checks that it was killed, not that it ended.
func killed(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || !isKilled(exit) {
		t.Fatalf("the process was not killed: %v", err)
	}
}

func isKilled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// registryDigest is what a tag of the embedded registry means, empty if it does not exist.
func registryDigest(t *testing.T, i *Instance, image string) string {
	t.Helper()
	client, err := i.client(t.Context(), i.env())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := client.ParseReference(RegistryHost + "/" + image)
	if err != nil {
		t.Fatal(err)
	}
	return head(t, ref, client.Remote(t.Context())...)
}

func head(t *testing.T, ref name.Reference, options ...remote.Option) string {
	t.Helper()
	desc, err := remote.Head(ref, options...)
	if err != nil {
		if strings.Contains(err.Error(), "404") {
			return ""
		}
		t.Fatal(err)
	}
	return desc.Digest.String()
}

// TestKill kills the process at the beginning of each stage, with the lock just taken, and at the end, on one data directory, and then
// builds the same again.
func TestKill(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	base := baseRepo(t, "base", "first")
	before := func() osbs.Build {
		i := open(t, conf)
		defer i.Close()
		return mustBuild(t, i, base.request())
	}()
	for release, c := range []struct {
		stage string
		state osbs.State
	}{
		{"clone", osbs.Running}, {"detect-base", osbs.Running}, {"lock", osbs.Waiting}, {"lock", osbs.Complete}, {"prepare", osbs.Running},
		{"build", osbs.Running}, {"push", osbs.Running}, {"sync", osbs.Running}, {"import", osbs.Running}, {"import", osbs.Complete},
	} {
		t.Run(c.stage+" "+string(c.state), func(t *testing.T) {
			base.t = t
			base.change(release+2, c.stage+string(c.state))
			killed(t, child(t, childOrder{DataDir: conf.DataDir, Requests: []osbs.Request{base.request()}, KillStage: c.stage, KillState: c.state}))
			before = afterKill(t, conf, base, before, c.stage == "import" && c.state == osbs.Complete)
		})
	}
}

// afterKill checks what a killed process has left, then builds again. published says that the process had done all that others see.
func afterKill(t *testing.T, conf Config, base *repo, before osbs.Build, published bool) osbs.Build {
	t.Helper()
	i := open(t, conf)
	last := list(t, i, osbs.Filter{})[0]
	if last.State != osbs.Failed || last.Failure == nil || !strings.Contains(last.Failure.Message, "process ended") {
		t.Errorf("the killed build: %s %+v", last.State, last.Failure)
	}
	want := before.Push.Digest
	if published {
		want = last.Push.Digest
	}
	for _, tag := range []string{"1.0", "latest"} {
		inStream, inRegistry := digestOf(t, i, "base", tag), registryDigest(t, i, "base:"+tag)
		if inStream != want || inRegistry != want {
			t.Errorf("tag %s: stream %s, registry %s, want %s", tag, inStream, inRegistry, want)
		}
	}
	noLocks(t, i)
	next := mustBuild(t, i, base.request())
	if last.Push != nil && next.Push.Digest != last.Push.Digest {
		t.Errorf("the same commit gave %s, then %s", last.Push.Digest, next.Push.Digest)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	return next
}

// TestKillInTheMiddle kills the process while a RUN step runs and while a layer is being sent.
func TestKillInTheMiddle(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	r := newRepo(t, "app", map[string]string{
		"busybox": busybox, "large": strings.Repeat("0123456789abcdef", 1<<20),
		"Dockerfile": dockerfile("app", "scratch", "COPY busybox /bin/busybox\nCOPY large /large\nRUN [\"/bin/busybox\", \"sleep\", \"1000000\"]"),
	})
	order := childOrder{DataDir: conf.DataDir, Requests: []osbs.Request{r.request()}}
	i := open(t, conf)
	t.Run("build", func(t *testing.T) {
		cmd := child(t, order)
		poll(t, "the RUN step", func() bool {
			all := list(t, i, osbs.Filter{Running: true})
			return len(all) == 1 && strings.Contains(logOf(t, i, all[0].Name), "RUN [")
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed(t, cmd)
		noLocks(t, i)
		poll(t, "the engine's end", func() bool { return !processWith(t, "sleep\x001000000") })
	})
	r.commit(map[string]string{"Dockerfile": dockerfile("app", "scratch", "COPY busybox /bin/busybox\nCOPY large /large")})
	t.Run("push", func(t *testing.T) {
		order.KillProgress = "blob"
		killed(t, child(t, order))
		if now := registryDigest(t, i, "app:1.0-1"); now != "" {
			t.Errorf("the primary tag is there: %s", now)
		}
		noLocks(t, i)
	})
	b := mustBuild(t, i, r.request())
	if now := registryDigest(t, i, "app:latest"); now != b.Push.Digest {
		t.Errorf("latest is %s, want %s", now, b.Push.Digest)
	}
}

// processWith says whether a process runs whose arguments, NUL between them, hold text.
func processWith(t *testing.T, text string) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), text) {
			return true
		}
	}
	return false
}

// TestKilledRebuildIsPickedUp kills a process when its build has ended and the rebuild of a dependent has begun.
func TestKilledRebuildIsPickedUp(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	i := open(t, conf)
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	mustBuild(t, i, base.request())
	config := mustBuild(t, i, app.request()).BuildConfig
	base.change(2, "two")
	killed(t, child(t, childOrder{DataDir: conf.DataDir, Requests: []osbs.Request{base.request()}, KillStage: "import", KillState: osbs.Complete}))
	want := registryDigest(t, i, "base:1.0")
	killed(t, child(t, childOrder{DataDir: conf.DataDir, Pending: true, KillStage: "build", KillState: osbs.Running}))
	if _, err := i.RebuildPending(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := autorebuilds(list(t, i, osbs.Filter{}))[config]
	if len(all) != 2 || all[0].State != osbs.Failed || all[1].State != osbs.Complete || all[1].Bases[0].Digest != want {
		t.Errorf("rebuilds: %+v", all)
	}
	if all[0].Name == all[1].Name {
		t.Errorf("both are named %s", all[0].Name)
	}
	noLocks(t, i)
}
