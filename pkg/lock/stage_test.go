package lock

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func base(stream, reference, digest string) workspace.Base {
	return workspace.Base{
		Reference: reference, Resolved: "r.example.com/" + reference, Repository: "r.example.com/" + strings.Split(reference, ":")[0],
		Digest: digest, ManifestDigest: digest, ImageStreamTag: stream,
	}
}

// newOptions is a build of https://git.example.com/team/app.git, branch main, on the bases.
func newOptions(t *testing.T, bases ...workspace.Base) Options {
	t.Helper()
	dir := t.TempDir()
	o := Options{
		Workspace: workspace.Dir(dir), Locker: newFile(t, filepath.Join(dir, "locks")), BuildConfigs: filestore.New(filepath.Join(dir, "configs")),
		Holder: Holder{Build: "app-1", UID: "uid-1", PID: os.Getpid()}, Policy: Fail, Created: epoch,
		Parameters: buildconfig.Parameters{Dockerfile: "Dockerfile", Component: "app-container"},
	}
	setClone(t, o, "https://git.example.com/team/app.git", "main")
	write(t, o, workspace.DetectBase{Bases: bases})
	return o
}

func setClone(t *testing.T, o Options, url, branch string) {
	t.Helper()
	write(t, o, workspace.Clone{URL: url, Branch: branch, Commit: "c0ffee"})
}

func write(t *testing.T, o Options, r workspace.Record) {
	t.Helper()
	if err := workspace.Write(o.Workspace, r); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, o Options) workspace.Lock {
	t.Helper()
	record, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func stored(t *testing.T, o Options, name string) *buildconfig.BuildConfig {
	t.Helper()
	bc, err := o.BuildConfigs.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return bc
}

func wantFree(t *testing.T, o Options, name string) {
	t.Helper()
	if h, err := o.Locker.Holder(t.Context(), name); err != nil || h != nil {
		t.Errorf("lock %s: holder %v, %v; want it free", name, h, err)
	}
}

func TestRunWritesTheBuildConfig(t *testing.T) {
	t.Parallel()
	index := base("base:latest", "base:latest", digestA)
	index.ManifestDigest = digestB
	o := newOptions(t, index, base("base:latest", "base", digestA), base("tools:1", "tools:1", digestB),
		base("pinned:1", "pinned:1@"+digestA, digestA), base("", "by-digest@"+digestA, digestA))
	record := run(t, o)
	name := buildconfig.Name("https://git.example.com/team/app.git", "main")
	if record.BuildConfig != name || record.Holder != "app-1" {
		t.Errorf("record %+v", record)
	}
	if got, err := workspace.Read[workspace.Lock](o.Workspace); err != nil || got != record {
		t.Errorf("the workspace has %+v, %v", got, err)
	}
	want := &buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/team/app.git", GitBranch: "main", GitCommit: "c0ffee", Parameters: o.Parameters,
		Triggers: []buildconfig.Trigger{
			{ImageStreamTag: "base:latest", LastTriggeredImage: "r.example.com/base@" + digestA, LastTriggeredManifest: digestB, LastTriggerTime: epoch},
			{ImageStreamTag: "tools:1", LastTriggeredImage: "r.example.com/tools@" + digestB, LastTriggerTime: epoch},
		},
	}
	ignore := cmpopts.IgnoreFields(buildconfig.BuildConfig{}, "Stored", "ResourceVersion", "CreationTime")
	if diff := cmp.Diff(want, stored(t, o, name), ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if h, err := o.Locker.Holder(t.Context(), name); err != nil || h == nil || h.Build != "app-1" {
		t.Errorf("holder %v, %v", h, err)
	}
}

func TestRunUpdatesTheBuildConfig(t *testing.T) {
	t.Parallel()
	o := newOptions(t, base("base:latest", "base:latest", digestB))
	o.BuildConfig = "chosen"
	_, err := o.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{
		Name: "chosen", GitURL: "ssh://git@git.example.com:2222/team/app.git", GitBranch: "main", ImageStream: "app", Tags: []string{"latest"}, Paused: true,
		Triggers: []buildconfig.Trigger{
			{ImageStreamTag: "base:latest", Paused: true, LastTriggeredImage: "x@" + digestA, LastTriggeredManifest: "m", LastBuiltImage: "x@" + digestA},
			{ImageStreamTag: "gone:latest"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Autorebuild = true
	run(t, o)
	got := stored(t, o, "chosen")
	want := []buildconfig.Trigger{{
		ImageStreamTag: "base:latest", Paused: true, LastTriggeredImage: "r.example.com/base@" + digestB, LastBuiltImage: "x@" + digestA,
	}}
	if diff := cmp.Diff(want, got.Triggers); diff != "" {
		t.Errorf("triggers: -want +got:\n%s", diff)
	}
	if got.GitURL != "https://git.example.com/team/app.git" || !got.Paused || got.ImageStream != "app" {
		t.Errorf("got %+v", got)
	}
}

// An event says what the base was when it was sent, not what the registry had when the build was created.
func TestRunKnowsWhatAnEventNamed(t *testing.T) {
	t.Parallel()
	o := newOptions(t, base("base:latest", "base:latest", digestB), base("tools:1", "r/tools:1", digestB))
	for key, event := range map[string]int{"base:latest": 0, "tools:1": 1, "r/tools:1": 1, "r.example.com/r/tools:1": 1} {
		o.Autorebuild, o.BaseDigests = true, map[string]string{key: digestB}
		triggers := stored(t, o, run(t, o).BuildConfig).Triggers
		if !triggers[event].LastTriggerTime.IsZero() || !triggers[1-event].LastTriggerTime.Equal(epoch) {
			t.Errorf("%s: got %+v", key, triggers)
		}
	}
}

func TestRunWithoutTriggers(t *testing.T) {
	t.Parallel()
	t.Run("FROM scratch", func(t *testing.T) {
		t.Parallel()
		o := newOptions(t)
		if got := stored(t, o, run(t, o).BuildConfig); got.Triggers != nil {
			t.Errorf("got %+v", got.Triggers)
		}
	})
	t.Run("no branch", func(t *testing.T) {
		t.Parallel()
		o := newOptions(t, base("base:latest", "base:latest", digestA))
		setClone(t, o, "https://git.example.com/team/app.git", "")
		if got := stored(t, o, run(t, o).BuildConfig); got.Triggers != nil {
			t.Errorf("got %+v", got.Triggers)
		}
	})
}

func TestScratchAndIsolatedLeaveTheBuildConfigAlone(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*Options){
		"scratch":  func(o *Options) { o.Scratch = true },
		"isolated": func(o *Options) { o.Isolated = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOptions(t, base("base:latest", "base:latest", digestA))
			set(&o)
			record := run(t, o)
			_, err := o.BuildConfigs.Get(t.Context(), record.BuildConfig)
			wantKind(t, err, failure.NotFound)
			before, err := o.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{
				Name: record.BuildConfig, GitURL: "https://git.example.com/team/app.git", GitBranch: "main", Triggers: []buildconfig.Trigger{{ImageStreamTag: "x:1"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			run(t, o)
			if after := stored(t, o, record.BuildConfig); after.ResourceVersion != before.ResourceVersion {
				t.Errorf("it was changed: %+v", after)
			}
		})
	}
}

func TestRunRefusesACollision(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, branch string
		collides    bool
	}{
		"another host":         {"https://other.example.com/team/app.git", "main", true},
		"another branch":       {"https://git.example.com/team/app.git", "ma.in", true},
		"another port":         {"https://git.example.com:8443/team/app.git", "main", true},
		"another path":         {"https://git.example.com/team/app", "main", true},
		"scp-like":             {"git@git.example.com:team/app.git", "main", true},
		"another protocol":     {"ssh://git@git.example.com:2222/team/app.git", "main", false},
		"case of the host":     {"https://GIT.example.com/team/app.git", "main", false},
		"the same":             {"https://git.example.com/team/app.git", "main", false},
		"slash before the end": {"https://git.example.com//team/app.git", "main", false},
	} {
		for _, scratch := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := newOptions(t)
				o.BuildConfig, o.Scratch = "app", scratch
				if _, err := o.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{Name: "app", GitURL: c.url, GitBranch: c.branch}); err != nil {
					t.Fatal(err)
				}
				_, err := Run(t.Context(), o)
				if !c.collides {
					if err != nil {
						t.Error(err)
					}
					return
				}
				wantKind(t, err, failure.Conflict)
				for _, part := range []string{`Git labels collide with existing build config "app"`, c.url, "https://git.example.com/team/app.git"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
				wantFree(t, o, "app")
			})
		}
	}
}

// superseding is a locker that puts a newer autorebuild in the place of every build.
type superseding struct{ Locker }

func (superseding) Acquire(_ context.Context, name string, r Request) error {
	return superseded(name, r.Build, "app-9")
}

func TestRunOfASupersededBuild(t *testing.T) {
	t.Parallel()
	o := newOptions(t, base("base:latest", "base:latest", digestA))
	o.Locker = superseding{}
	record := run(t, o)
	want := workspace.Lock{
		BuildConfig: record.BuildConfig, Holder: "app-1", HolderUID: o.Holder.UID, Created: o.Created, State: workspace.StateSkipped,
		Reason: "build app-1 of " + record.BuildConfig + " is superseded by app-9, a newer autorebuild",
	}
	got, err := workspace.Read[workspace.Lock](o.Workspace)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(workspace.Lock{}, "Waited")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, err = o.BuildConfigs.Get(t.Context(), record.BuildConfig)
	wantKind(t, err, failure.NotFound)
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		o := newOptions(t)
		o.BuildConfig = "app"
		if err := o.Locker.Acquire(t.Context(), "app", request("other", 0)); err != nil {
			t.Fatal(err)
		}
		_, err := Run(t.Context(), o)
		wantKind(t, err, failure.Conflict)
		o.Policy, o.Timeout = Wait, 10*time.Millisecond
		_, err = Run(t.Context(), o)
		wantKind(t, err, failure.TimedOut)
		_, err = o.BuildConfigs.Get(t.Context(), "app")
		wantKind(t, err, failure.NotFound)
	})
	t.Run("no records", func(t *testing.T) {
		t.Parallel()
		o := newOptions(t)
		o.Workspace = workspace.Dir(t.TempDir())
		_, err := Run(t.Context(), o)
		wantKind(t, err, failure.NotFound)
	})
	t.Run("build config cannot be stored", func(t *testing.T) {
		t.Parallel()
		o := newOptions(t)
		o.BuildConfig = "app"
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		o.BuildConfigs = filestore.New(file)
		_, err := Run(t.Context(), o)
		wantKind(t, err, failure.Storage)
		wantFree(t, o, "app")
	})
}
