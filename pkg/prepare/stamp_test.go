package prepare

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/pkg/clone"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

var created = time.Date(2019, 10, 7, 15, 18, 25, 0, time.UTC)

// locked is an autorebuild's workspace after the lock stage.
func locked(t *testing.T, o Options) Options {
	t.Helper()
	o.Autorebuild = true
	if err := workspace.Write(o.Workspace, workspace.Lock{BuildConfig: "app", Created: created}); err != nil {
		t.Fatal(err)
	}
	return o
}

// source is a file of the clone.
func source(t *testing.T, o Options, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(o.Workspace.Source(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// checkStamp looks at a release that got the time: it is in no commit, and in nothing but the record and the pinned Dockerfile.
func checkStamp(t *testing.T, o Options, got workspace.Prepare, commit, want string) {
	t.Helper()
	if got.State != workspace.StateBuild || got.Bump != nil || got.Commit != commit || got.Release != want || got.Labels["release"] != want {
		t.Errorf("record %+v, want release %s of %s", got, want, commit)
	}
	if text := source(t, o, "Dockerfile"); text != original {
		t.Errorf("Dockerfile: %s", text)
	}
	if out := gittest.RunIn(t, o.Workspace.Source(), "status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
	if pinned, err := os.ReadFile(o.Workspace.PinnedDockerfile()); err != nil || !strings.Contains(string(pinned), want) {
		t.Errorf("Dockerfile.pinned: %q, %v", pinned, err)
	}
	if published, err := Publish(t.Context(), o); err != nil || published.Release != want {
		t.Errorf("Publish: %+v, %v", published, err)
	}
}

func TestTimestamp(t *testing.T) {
	const stamp = ".20191007151825"
	for name, tc := range map[string]struct {
		container string
		change    func(*Options)
		want      string // empty means the bump
	}{
		"no map":                      {"platforms: {}\n", nil, ""},
		"add_timestamp_to_release":    {"autorebuild: {add_timestamp_to_release: true}\n", nil, "9.el7" + stamp},
		"and from_latest":             {"autorebuild: {add_timestamp_to_release: true, from_latest: true}\n", nil, "9.el7" + stamp},
		"where bumps are not wanted":  {"autorebuild: {add_timestamp_to_release: true}\n", func(o *Options) { o.BumpRelease = BumpNever }, "9.el7" + stamp},
		"before the build":            {"autorebuild: {add_timestamp_to_release: true}\n", func(o *Options) { o.BumpRelease = BumpBeforeBuild }, "9.el7" + stamp},
		"not add_timestamp":           {"autorebuild: {from_latest: true}\n", nil, ""},
		"the last commit is the head": {"autorebuild: {from_latest: false}\n", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t, map[string]string{"Dockerfile": original, "container.yaml": tc.container})
			head := repo.Head()
			o := locked(t, prepared(t, repo.URL(), func(c *clone.Options) { c.GitLastCommit = head }))
			if tc.change != nil {
				tc.change(&o)
			}
			for range 2 { // a stage that is tried again gives the same
				got, err := Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if tc.want == "" {
					checkBump(t, o, got, head)
				} else {
					checkStamp(t, o, got, head, tc.want)
				}
			}
			if repo.Served("main") != head {
				t.Error("the branch was changed")
			}
		})
	}
}

// TestOlderCommit: what is not the branch's head cannot be bumped.
func TestOlderCommit(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"timestamp in place of the bump": {nil, "9.el7.20191007151825"},
		"bumps are not wanted":           {func(o *Options) { o.BumpRelease = BumpNever }, ""},
		"the release is given":           {func(o *Options) { o.Release = "77" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t, map[string]string{"Dockerfile": original, ".osbs-repo-config": "[autorebuild]\nenabled=0\n"})
			last := repo.Head()
			head := repo.Commit("second", map[string]string{
				"container.yaml": "autorebuild: {}\n", ".osbs-repo-config": "", "Dockerfile": strings.Replace(original, "9.el7", "20", 1),
			})
			o := locked(t, prepared(t, repo.URL(), func(c *clone.Options) { c.GitLastCommit = last }))
			if tc.change != nil {
				tc.change(&o)
			}
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			got, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if tc.want != "" {
				checkStamp(t, o, got, last, tc.want)
				if !strings.Contains(log.String(), "not the branch's head") || !strings.Contains(log.String(), head) {
					t.Errorf("log: %s", &log)
				}
			} else if got.Release != "" || got.Bump != nil || got.Commit != last {
				t.Errorf("record %+v", got)
			}
			if repo.Served("main") != head {
				t.Error("the branch was changed")
			}
		})
	}
}

// TestBranchMovesBeforeThePush: a bump before the build, which cannot be pushed any more, is taken back if only what was cloned may be built.
func TestBranchMovesBeforeThePush(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original, "container.yaml": "autorebuild: {}\n"})
	last := repo.Head()
	o := locked(t, prepared(t, repo.URL(), func(c *clone.Options) { c.GitLastCommit = last }))
	o.BumpRelease = BumpBeforeBuild
	head := repo.Commit("second", map[string]string{"x": "y"})
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkStamp(t, o, got, last, "9.el7.20191007151825")
	if repo.Served("main") != head {
		t.Error("the branch was changed")
	}
	if branch := gittest.RunIn(t, o.Workspace.Source(), "rev-parse", "HEAD"); branch != last {
		t.Errorf("the clone is at %s", branch)
	}
}

func TestTimestampOfGivenRelease(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original, "container.yaml": "autorebuild: {add_timestamp_to_release: true}\n"})
	o := locked(t, local(t, repo))
	o.Release = "77"
	if got, err := Run(t.Context(), o); err != nil || got.Release != "77.20191007151825" || got.Labels["release"] != got.Release {
		t.Errorf("%+v, %v", got, err)
	}
	o.Release = "x"
	if _, err := Run(t.Context(), o); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("release x: %v", err)
	}
}

func TestContainerIsForAutorebuilds(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original, "container.yaml": "autorebuild: {rubbish: true}\n"})
	o := local(t, repo)
	if got, err := Run(t.Context(), o); err != nil || got.Labels["release"] != "9.el7" {
		t.Errorf("user's build: %+v, %v", got, err)
	}
	if _, err := Run(t.Context(), locked(t, o)); failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), "rubbish") {
		t.Errorf("autorebuild: %v", err)
	}
}
