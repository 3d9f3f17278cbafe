package prepare

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/pkg/clone"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

const original = "FROM fedora\nLABEL name=\"test/app\" \\\n      version=1.0 \\\n      release=\"9.el7\" \\\n      com.redhat.component=app-container\nRUN true\n"

// bumped is what an autorebuild makes of it.
var bumped = strings.Replace(original, `"9.el7"`, `"10.el7"`, 1)

// prepared is a workspace after clone and detect-base.
func prepared(t *testing.T, url string, change func(*clone.Options)) Options {
	t.Helper()
	env := step.Env{Retry: retry.Policy{Attempts: 4, First: time.Millisecond, Max: 5 * time.Millisecond}}
	o := clone.Options{Env: env, Workspace: workspace.Dir(t.TempDir()), GitURL: url, GitBranch: "main"}
	if change != nil {
		change(&o)
	}
	if _, err := clone.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	detected := workspace.DetectBase{Dockerfile: "Dockerfile", Platform: "linux/amd64", Bases: []workspace.Base{{Reference: "fedora", Parent: true, Env: []string{"BASE=3"}}}}
	if err := workspace.Write(o.Workspace, detected); err != nil {
		t.Fatal(err)
	}
	return Options{Env: env, Workspace: o.Workspace, GitSecretDir: o.GitSecretDir, CAFile: o.CAFile}
}

func local(t *testing.T, repo *gittest.Repo) Options {
	t.Helper()
	return prepared(t, repo.URL(), nil)
}

func TestUserBuild(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original, ".osbs-repo-config": "[autorebuild]\nenabled=rubbish\n"})
	o := local(t, repo)
	o.GitCommit = repo.Head()[:10]
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	cloned, _ := workspace.Read[workspace.Clone](o.Workspace)
	want := workspace.Prepare{
		State: workspace.StateBuild, Commit: repo.Head(), CommitTime: cloned.CommitTime,
		Labels: map[string]string{"name": "test/app", "version": "1.0", "release": "9.el7", "com.redhat.component": "app-container"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record differs (-want +got):\n%s", diff)
	}
	published, err := Publish(t.Context(), o)
	if diff := cmp.Diff(want, published); diff != "" || err != nil {
		t.Errorf("Publish: %v (-want +got):\n%s", err, diff)
	}
	if repo.Served("main") != repo.Head() {
		t.Error("the branch was changed")
	}
}

func TestUserBuildOfAnotherCommit(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original})
	old := repo.Head()
	o := local(t, repo)
	head := repo.Commit("second", map[string]string{"x": "y"})
	o.GitCommit = old
	_, err := Run(t.Context(), o)
	want := fmt.Sprintf("Not at expected commit: Branch 'main' is at commit %s (expected %s)", head, old)
	if failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	for name, change := range map[string]func(*Options){
		"scratch":   func(o *Options) { o.Scratch = true },
		"isolated":  func(o *Options) { o.Isolated, o.Release = true, "9.1" },
		"no commit": func(o *Options) { o.GitCommit = "" },
	} {
		other := o
		change(&other)
		if _, err := Run(t.Context(), other); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSkipped(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original, ".osbs": "[autorebuild]\nenabled = False\n"})
	o := local(t, repo)
	o.Autorebuild, o.RepoConfig = true, ".osbs"
	got, err := Run(t.Context(), o)
	if err != nil || got.State != workspace.StateSkipped || got.Reason != "autorebuild is disabled in .osbs" {
		t.Errorf("%+v, %v", got, err)
	}
	if read, err := workspace.Read[workspace.Prepare](o.Workspace); err != nil || read.State != workspace.StateSkipped {
		t.Errorf("record %+v, %v", read, err)
	}
	o.Autorebuild = false // it is a user's build's business only
	if got, err := Run(t.Context(), o); err != nil || got.State != workspace.StateBuild {
		t.Errorf("user's build: %+v, %v", got, err)
	}
}

// TestSuperseded: a build that gave way to a newer one while it waited for the lock is skipped, also a user's.
func TestSuperseded(t *testing.T) {
	o := local(t, gittest.New(t, map[string]string{"Dockerfile": original}))
	if err := workspace.Write(o.Workspace, workspace.Lock{State: workspace.StateSkipped, Reason: "superseded by app-2"}); err != nil {
		t.Fatal(err)
	}
	got, err := Run(t.Context(), o)
	if err != nil || got.State != workspace.StateSkipped || got.Reason != "superseded by app-2" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := workspace.Write(o.Workspace, workspace.Lock{BuildConfig: "app"}); err != nil {
		t.Fatal(err)
	}
	if got, err := Run(t.Context(), o); err != nil || got.State != workspace.StateBuild {
		t.Errorf("with the lock: %+v, %v", got, err)
	}
}

// TestAutorebuild bumps and pushes over every transport.
func TestAutorebuild(t *testing.T) {
	for _, transport := range []string{"file", "https", "ssh"} {
		for _, mode := range []string{BumpAfterBuild, BumpBeforeBuild} {
			t.Run(transport+" "+mode, func(t *testing.T) {
				repo := gittest.New(t, map[string]string{"Dockerfile": original, "x": "y"})
				repo.Commit("second", map[string]string{"x": "z"})
				base := repo.Head()
				o := overTransport(t, repo, transport)
				o.Autorebuild, o.BumpRelease = true, mode
				got, err := Run(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				checkBump(t, o, got, base)
				if pushed := repo.Served("main") != base; pushed != (mode == BumpBeforeBuild) || got.Bump.Pushed != pushed {
					t.Errorf("after Run: pushed %v, record says %v", pushed, got.Bump.Pushed)
				}
				for range 2 { // the second time there is nothing to do
					if got, err = Publish(t.Context(), o); err != nil || !got.Bump.Pushed {
						t.Fatalf("Publish: %+v, %v", got, err)
					}
				}
				if repo.Served("main") != got.Commit {
					t.Errorf("branch is at %s, want %s", repo.Served("main"), got.Commit)
				}
				repo.Bare("fsck", "--full", "--strict")
				if changed := repo.Bare("diff", "--name-only", base, got.Commit); changed != "Dockerfile" {
					t.Errorf("the commit changes %q", changed)
				}
			})
		}
	}
}

func overTransport(t *testing.T, repo *gittest.Repo, transport string) Options {
	t.Helper()
	root, name := filepath.Split(repo.Dir)
	switch transport {
	case "https":
		web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{PushAuth: true})
		return prepared(t, web.URL(name), func(o *clone.Options) { o.CAFile, o.GitSecretDir = web.CAFile, web.Secret() })
	case "ssh":
		sshd := gittest.ServeSSH(t)
		return prepared(t, sshd.URL(repo.Dir), func(o *clone.Options) { o.GitSecretDir = sshd.Secret() })
	default:
		return local(t, repo)
	}
}

// checkBump looks at the bump commit on top of base as git sees it.
func checkBump(t *testing.T, o Options, got workspace.Prepare, base string) {
	t.Helper()
	source := o.Workspace.Source()
	if got.State != workspace.StateBuild || got.Bump == nil || got.Bump.OldRelease != "9.el7" || got.Bump.NewRelease != "10.el7" || got.Bump.Where != "LABEL release" {
		t.Fatalf("record %+v, bump %+v", got, got.Bump)
	}
	if got.Labels["release"] != "10.el7" {
		t.Errorf("labels %v", got.Labels)
	}
	text, err := os.ReadFile(filepath.Join(source, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bumped, string(text)); diff != "" {
		t.Errorf("Dockerfile differs (-want +got):\n%s", diff)
	}
	if pinned, err := os.ReadFile(o.Workspace.PinnedDockerfile()); err != nil || !strings.Contains(string(pinned), "10.el7") {
		t.Errorf("Dockerfile.pinned: %q, %v", pinned, err)
	}
	git := func(args ...string) string { return gittest.RunIn(t, source, args...) }
	if out := git("status", "--porcelain"); out != "" {
		t.Errorf("git status: %s", out)
	}
	git("fsck", "--full", "--strict")
	if out := git("show", "-s", "--format=%H %P %an <%ae> %s%b", "HEAD"); out != got.Commit+" "+base+" OSBS <osbs@localhost> "+message {
		t.Errorf("commit: %s", out)
	}
	if out := git("show", "HEAD:Dockerfile"); out != strings.TrimSpace(bumped) {
		t.Errorf("committed Dockerfile: %s", out)
	}
	parent := git("show", "-s", "--format=%ct", base)
	if fmt.Sprint(got.CommitTime.Unix()) != parent {
		t.Errorf("commit time %v, parent's %s", got.CommitTime, parent)
	}
}

// TestBumpIsDeterministic runs the stage again, in the same workspace and in another.
func TestBumpIsDeterministic(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original})
	var commits []string
	for range 2 {
		o := local(t, repo)
		o.Autorebuild = true
		for range 2 {
			got, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			checkBump(t, o, got, repo.Head())
			commits = append(commits, got.Commit)
		}
	}
	for _, c := range commits {
		if c != commits[0] {
			t.Errorf("commits differ: %v", commits)
		}
	}
}

func TestBumpFollowsLinks(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": "->sub/dir/Dockerfile.main", "sub/dir/Dockerfile.main": original, "sub/x": "y"})
	o := local(t, repo)
	o.Autorebuild = true
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkSource := gittest.RunIn(t, o.Workspace.Source(), "show", "HEAD:sub/dir/Dockerfile.main")
	if checkSource != strings.TrimSpace(bumped) || gittest.RunIn(t, o.Workspace.Source(), "status", "--porcelain") != "" {
		t.Errorf("committed: %s", checkSource)
	}
	if _, err := Publish(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if repo.Served("main") != got.Commit {
		t.Error("not pushed")
	}
	repo.Bare("fsck", "--full", "--strict")
}

func TestLinksOutsideAreRefused(t *testing.T) {
	for _, target := range []string{"/etc/passwd", "../../etc/passwd", "Dockerfile", "sub"} {
		repo := gittest.New(t, map[string]string{"Dockerfile": "->" + target, "sub/x": "y"})
		if _, err := Run(t.Context(), local(t, repo)); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// TestBranchMoved pushes to a branch that others have pushed to since it was cloned.
func TestBranchMoved(t *testing.T) {
	for _, transport := range []string{"file", "https", "ssh"} {
		t.Run(transport, func(t *testing.T) {
			repo := gittest.New(t, map[string]string{"Dockerfile": original})
			o := overTransport(t, repo, transport)
			o.Autorebuild = true
			got, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			repo.Commit("other", map[string]string{"other": "1"})
			head := repo.Commit("other 2", map[string]string{"Dockerfile": strings.Replace(original, "RUN true", "RUN echo", 1)})
			if _, err := Publish(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			repo.Bare("fsck", "--full", "--strict")
			if parents := repo.Bare("show", "-s", "--format=%P %s", "main"); parents != head+" "+got.Commit+" "+message {
				t.Errorf("the head of the branch: %s", parents)
			}
			if text := repo.Bare("show", "main:Dockerfile"); text != strings.TrimSpace(strings.Replace(bumped, "RUN true", "RUN echo", 1)) {
				t.Errorf("Dockerfile: %s", text)
			}
			if text := repo.Bare("show", "main:other"); text != "1" {
				t.Errorf("other: %s", text)
			}
		})
	}
}

func TestBranchMovedAndReleaseChanged(t *testing.T) {
	for name, change := range map[string]string{"bumped": bumped, "gone": "FROM fedora\n"} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t, map[string]string{"Dockerfile": original})
			o := local(t, repo)
			o.Autorebuild = true
			if _, err := Run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			head := repo.Commit("release", map[string]string{"Dockerfile": change})
			_, err := Publish(t.Context(), o)
			if failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), head) {
				t.Errorf("error %v", err)
			}
			if repo.Served("main") != head {
				t.Error("something was pushed")
			}
		})
	}
}

// TestPublishAfterCrash publishes a commit that is on the branch already, below others.
func TestPublishAfterCrash(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original})
	o := local(t, repo)
	o.Autorebuild = true
	before, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Publish(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	repo.Git("pull", "-q", "--ff-only", "origin", "main")
	head := repo.Commit("later", map[string]string{"x": "y"})
	if err := workspace.Write(o.Workspace, before); err != nil { // the crash came before the record was written
		t.Fatal(err)
	}
	if got, err := Publish(t.Context(), o); err != nil || !got.Bump.Pushed {
		t.Errorf("%+v, %v", got, err)
	}
	if repo.Served("main") != head {
		t.Error("something was pushed again")
	}
}

func TestBeforeBuildFollowsTheBranch(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original})
	o := local(t, repo)
	o.Autorebuild, o.BumpRelease = true, BumpBeforeBuild
	head := repo.Commit("other", map[string]string{"other": "1"})
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	checkBump(t, o, got, head)
	if repo.Served("main") != got.Commit || !got.Bump.Pushed {
		t.Error("not pushed")
	}
	if _, err := os.Stat(filepath.Join(o.Workspace.Source(), "other")); err != nil {
		t.Error(err)
	}
	o = local(t, repo)
	o.Autorebuild, o.BumpRelease = true, BumpBeforeBuild
	repo.Git("pull", "-q", "--ff-only", "origin", "main")
	repo.Commit("base", map[string]string{"Dockerfile": strings.Replace(bumped, "fedora", "debian", 1)})
	if _, err := Run(t.Context(), o); failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), "bases") {
		t.Errorf("another base: %v", err)
	}
}

func TestPushRefused(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": original})
	hook := filepath.Join(repo.Dir, "hooks", "pre-receive")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho the branch is protected >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, transport := range []string{"file", "https", "ssh"} {
		o := overTransport(t, repo, transport)
		o.Autorebuild = true
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		_, err := Publish(t.Context(), o)
		if failure.KindOf(err) != failure.Unauthorized || !strings.Contains(err.Error(), "declined") {
			t.Errorf("%s: %v", transport, err)
		}
	}
}

func TestErrors(t *testing.T) {
	all := "LABEL name=a version=1 com.redhat.component=c\n"
	for name, tc := range map[string]struct {
		files  map[string]string
		change func(*Options)
		kind   failure.Kind
		want   string
	}{
		"repo config":       {map[string]string{".osbs-repo-config": "[autorebuild]\nenabled=maybe\n"}, nil, failure.InvalidInput, `"maybe"`},
		"labels":            {map[string]string{"Dockerfile": "FROM fedora\n"}, nil, failure.InvalidInput, "name, version, com.redhat.component"},
		"release":           {map[string]string{"Dockerfile": "FROM fedora\n" + all + "LABEL release=el7\n"}, nil, failure.InvalidInput, "does not begin with a number"},
		"release, not auto": {map[string]string{"Dockerfile": "FROM fedora\n" + all + "LABEL release=1-2\n"}, func(o *Options) { o.Autorebuild = false }, failure.InvalidInput, `invalid release "1-2"`},
		"release option":    {nil, func(o *Options) { o.Release = "x" }, failure.InvalidInput, `invalid release "x"`},
		"isolated":          {nil, func(o *Options) { o.Release, o.Isolated = "1", true }, failure.InvalidInput, "isolated"},
		"bump-release":      {nil, func(o *Options) { o.BumpRelease = "x" }, failure.Usage, "after-build, before-build and never"},
		"no Dockerfile":     {map[string]string{"Dockerfile": "", "x": "y"}, nil, failure.NotFound, "Dockerfile does not exist"},
		"ARG as release":    {map[string]string{"Dockerfile": "FROM fedora\nARG R=1\n" + all + "LABEL release=$R\n"}, nil, failure.InvalidInput, "no ENV"},
		"no clone":          {nil, func(o *Options) { o.Workspace = workspace.Dir(t.TempDir()) }, failure.NotFound, "clone.json"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"Dockerfile": original}
			for k, v := range tc.files {
				files[k] = v
			}
			o := local(t, gittest.New(t, files))
			o.Autorebuild = true
			if tc.change != nil {
				tc.change(&o)
			}
			_, err := Run(t.Context(), o)
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s with %q", err, tc.kind, tc.want)
			}
			if _, err := workspace.Read[workspace.Prepare](o.Workspace); failure.KindOf(err) != failure.NotFound {
				t.Errorf("a record was left: %v", err)
			}
		})
	}
}

func TestNoBump(t *testing.T) {
	for name, tc := range map[string]struct {
		text   string
		change func(*Options)
		want   string
	}{
		"never":         {original, func(o *Options) { o.BumpRelease = BumpNever }, "9.el7"},
		"no release":    {strings.Replace(original, "release=\"9.el7\" ", "", 1), func(*Options) {}, ""},
		"release given": {original, func(o *Options) { o.Release = "77" }, "77"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t, map[string]string{"Dockerfile": tc.text})
			o := local(t, repo)
			o.Autorebuild = true
			tc.change(&o)
			got, err := Run(t.Context(), o)
			if err != nil || got.Bump != nil || got.Commit != repo.Head() || got.Labels["release"] != tc.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestExpansion(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": "FROM fedora\nARG V=0\nENV R=4\nLABEL name=a version=$V.$BASE release=${R}.x BZComponent=x\n"})
	o := local(t, repo)
	o.Autorebuild, o.BuildArgs, o.Component = true, []string{"V=2"}, "given"
	got, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"name": "a", "version": "2.3", "release": "5.x", "BZComponent": "x", "com.redhat.component": "given"}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels differ (-want +got):\n%s", diff)
	}
	if got.Bump.Where != "ENV R" {
		t.Errorf("bump %+v", got.Bump)
	}
}
