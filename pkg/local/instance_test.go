package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

func TestBuildBaseThenApplication(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	first := mustBuild(t, i, base.request())
	second := mustBuild(t, i, app.request())
	if len(second.Bases) != 1 || second.Bases[0].Digest != first.Push.Digest {
		t.Errorf("bases %+v, want digest %s", second.Bases, first.Push.Digest)
	}
	if second.Commit != app.head() || second.Digest == "" || second.Size == 0 || second.Import.ImageStream != "app" {
		t.Errorf("build: %+v", second)
	}
	var stages []string
	for _, s := range second.Stages {
		stages = append(stages, s.Name+" "+string(s.State))
		if s.Started == nil || s.Finished == nil {
			t.Errorf("stage %s has no times", s.Name)
		}
	}
	if got, want := strings.Join(stages, ", "), "clone complete, detect-base complete, lock complete, prepare complete, build complete, push complete, sync skipped, import complete"; got != want {
		t.Errorf("stages: %s", got)
	}
	if _, err := os.Stat(string(i.records.workspace(second.Name))); !os.IsNotExist(err) {
		t.Errorf("the workspace of a build that succeeded: %v", err)
	}
	configs, err := i.BuildConfigs(t.Context())
	if err != nil || len(configs) != 2 {
		t.Fatalf("build configs: %+v, %v", configs, err)
	}
	if bc := configs[0]; bc.Name != second.BuildConfig || bc.ImageStream != "app" || bc.LastBuild == nil || bc.LastBuild.Name != second.Name {
		t.Errorf("build config: %+v", bc)
	}
	if got := list(t, i, osbs.Filter{BuildConfig: first.BuildConfig}); len(got) != 1 || got[0].Name != first.Name {
		t.Errorf("builds of %s: %+v", first.BuildConfig, got)
	}
	if got := list(t, i, osbs.Filter{Limit: 1}); len(got) != 1 || got[0].Name != second.Name {
		t.Errorf("the last build: %+v", got)
	}
}

func TestFailedBuildSaysWhy(t *testing.T) {
	i := open(t, Config{})
	r := newRepo(t, "app", map[string]string{
		"busybox":    busybox,
		"Dockerfile": dockerfile("app", "scratch", "COPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo what is wrong; exit 3\"]"),
	})
	b := buildAll(t, i, r.request())
	if b.State != osbs.Failed || b.Failure == nil || b.Failure.Kind != failure.BuildFailed || b.Failure.Stage != "build" {
		t.Fatalf("build: %s %+v", b.State, b.Failure)
	}
	if log := logOf(t, i, b.Name); !strings.Contains(log, "what is wrong") || !strings.Contains(log, "\nerror: ") {
		t.Errorf("log:\n%s", log)
	}
	if _, err := os.Stat(i.records.workspace(b.Name).Source()); err != nil {
		t.Errorf("the workspace of a build that failed: %v", err)
	}
	configs, err := i.BuildConfigs(t.Context())
	if err != nil || len(configs) != 1 || configs[0].LastBuild == nil || configs[0].LastBuild.Outcome != "failed" || configs[0].LastBuild.Message == "" {
		t.Errorf("build configs: %+v, %v", configs, err)
	}
	if now := registryDigest(t, i, "app:latest"); now != "" {
		t.Errorf("a tag was set: %s", now)
	}
	noLocks(t, i)
}

func TestOtherRegistryMirrorAndArchive(t *testing.T) {
	pushed, mirror := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	uri, err := registry.ParseURI("http://" + pushed.Host)
	if err != nil {
		t.Fatal(err)
	}
	second, err := registry.ParseURI("http://" + mirror.Host)
	if err != nil {
		t.Fatal(err)
	}
	archive := t.TempDir()
	i := open(t, Config{RegistryURI: []registry.URI{uri}, MirrorRegistryURI: []registry.URI{second}, ArchiveDir: archive, ArchiveFormat: "docker-archive"})
	b := mustBuild(t, i, baseRepo(t, "base", "one").request())
	if got := b.Push.Images[0].Repository; got != pushed.Host+"/base" {
		t.Errorf("pushed to %s", got)
	}
	if b.Sync == nil || len(b.Sync.Targets) != 2 || b.Sync.Targets[0].Kind != "registry" || b.Sync.Targets[1].Kind != "directory" {
		t.Fatalf("synced: %+v", b.Sync)
	}
	if _, err := os.Stat(filepath.Join(archive, "base-1.0-1.tar")); err != nil {
		t.Error(err)
	}
	if i.registry != nil {
		t.Error("the embedded registry was started")
	}
	if err := i.Serve(t.Context(), "127.0.0.1:0", nil); failure.KindOf(err) != failure.Usage {
		t.Errorf("Serve: %v", err)
	}
	app := mustBuild(t, i, childRepo(t, "app", "base:1.0").request())
	if app.Bases[0].Digest != b.Push.Digest {
		t.Errorf("base: %+v", app.Bases)
	}
}

func TestImportImage(t *testing.T) {
	i := open(t, Config{})
	base := baseRepo(t, "base", "one")
	b := mustBuild(t, i, base.request())
	got, err := i.ImportImage(t.Context(), "base", "")
	if err != nil || got.ImageStream != "base" || len(got.Tags) != 0 {
		t.Errorf("nothing new: %+v, %v", got, err)
	}
	if _, err := i.ImportImage(t.Context(), "none", ""); failure.KindOf(err) != failure.NotFound {
		t.Errorf("no stream: %v", err)
	}
	if now := digestOf(t, i, "base", "latest"); now != b.Push.Digest {
		t.Errorf("latest is %s", now)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"no data directory": {},
		"lock policy":       {DataDir: t.TempDir(), LockPolicy: "maybe"},
		"archive format":    {DataDir: t.TempDir(), ArchiveFormat: "zip"},
		"pulp alone":        {DataDir: t.TempDir(), Pulp: Pulp{URL: "https://pulp.example.com"}},
	} {
		if _, err := Open(t.Context(), c); failure.KindOf(err) != failure.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadingStartsNoRegistry: commands that only read are quick, and leave nothing running.
func TestReadingStartsNoRegistry(t *testing.T) {
	i := open(t, Config{})
	list(t, i, osbs.Filter{})
	if _, err := i.BuildConfigs(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Get(t.Context(), "none"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("Get: %v", err)
	}
	if i.registry != nil {
		t.Error("the embedded registry was started")
	}
}

// TestSameCommitAfterFailure: what failed after the primary tag was set can be built again without raising the release.
func TestSameCommitAfterFailure(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "not-mounted")
	i := open(t, Config{ArchiveDir: archive})
	r := baseRepo(t, "base", "one")
	first := buildAll(t, i, r.request())
	if first.State != osbs.Failed || first.Failure.Stage != "sync" || first.Failure.Kind != failure.Storage || first.Push == nil {
		t.Fatalf("build: %s %+v", first.State, first.Failure)
	}
	if now := registryDigest(t, i, "base:latest"); now != "" {
		t.Errorf("a floating tag was moved: %s", now)
	}
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	second := mustBuild(t, i, r.request())
	if second.Push.Digest != first.Push.Digest || second.Push.Images[0].Unique != first.Push.Images[0].Unique {
		t.Errorf("pushed %+v, then %+v", first.Push, second.Push)
	}
	if third := buildAll(t, i, r.request()); third.State != osbs.Failed || third.Failure.Kind != failure.Conflict || third.Failure.Stage != "push" {
		t.Errorf("after a success: %s %+v", third.State, third.Failure)
	}
}

// TestCredentialsStayOutOfRecords: what a git URL carries is used, and is in no file.
func TestCredentialsStayOutOfRecords(t *testing.T) {
	i := open(t, Config{Retry: retry.Policy{Attempts: 1}})
	const password = "correct-horse"
	b := buildAll(t, i, osbs.Request{GitURL: "https://me:" + password + "@127.0.0.1:1/app.git", GitBranch: "main", User: "tester"})
	if b.State != osbs.Failed || b.Failure.Stage != "clone" || b.Failure.Kind != failure.Unavailable {
		t.Errorf("build: %s %+v", b.State, b.Failure)
	}
	for _, file := range files(t, i.conf.DataDir) {
		if data, err := os.ReadFile(file); err == nil && strings.Contains(string(data), password) {
			t.Errorf("%s holds the password", file)
		}
	}
	if strings.Contains(b.Failure.Message+b.Request.GitURL, password) {
		t.Errorf("the build holds the password: %+v", b)
	}
}
