package local

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// rebuilds are the autorebuilds of an image whose sources a git server has, and whose base moves whenever a test says so.
type rebuilds struct {
	t        *testing.T
	instance *Instance
	base     *repo
	app      *gittest.Repo
	request  osbs.Request
	config   string
	release  int // of the base
	second   int64
	tags     map[string]bool
}

// newRebuilds builds the base and the image once, from an image's repository with the given container.yaml.
func newRebuilds(t *testing.T, container string) *rebuilds {
	t.Helper()
	r := &rebuilds{t: t, base: baseRepo(t, "base", "1"), release: 1, tags: map[string]bool{}}
	r.app = gittest.New(t, map[string]string{"Dockerfile": dockerfile("app", "base:1.0", "COPY n /n"), "n": "0", "container.yaml": container})
	root, name := filepath.Split(r.app.Dir)
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{PushAuth: true})
	uri, err := registry.ParseURI("http://" + registrytest.Start(t, registrytest.Options{}).Host)
	if err != nil {
		t.Fatal(err)
	}
	r.instance = open(t, Config{RegistryURI: []registry.URI{uri}, GitSecretDir: web.Secret(), GitCAFile: web.CAFile})
	r.request = osbs.Request{GitURL: web.URL(name), GitBranch: "main", User: "tester"}
	mustBuild(t, r.instance, r.base.request())
	r.userBuild("1")
	return r
}

// userBuild builds the branch's head, which has the release.
func (r *rebuilds) userBuild(release string) {
	r.t.Helper()
	b := mustBuild(r.t, r.instance, r.request)
	r.config = b.BuildConfig
	r.check(b, r.app.Served("main"), regexp.QuoteMeta(release))
}

// moveBase builds the base again, and returns the rebuild that this causes.
func (r *rebuilds) moveBase() osbs.Build {
	r.t.Helper()
	before := len(autorebuilds(list(r.t, r.instance, osbs.Filter{}))[r.config])
	r.release++
	poll(r.t, "another second than that of the rebuild before", func() bool { return time.Now().Unix() != r.second })
	r.base.change(r.release, strings.Repeat("x", r.release))
	mustBuild(r.t, r.instance, r.base.request())
	all := autorebuilds(list(r.t, r.instance, osbs.Filter{}))[r.config]
	if len(all) != before+1 {
		r.t.Fatalf("%d rebuilds of a base that moved once", len(all)-before)
	}
	last := all[len(all)-1]
	r.second = last.Created.Unix()
	return last
}

// rebuild is a move of the base after which the image has been built from the commit, with a release like that.
func (r *rebuilds) rebuild(commit, release string) {
	r.t.Helper()
	r.check(r.moveBase(), commit, release)
}

// check compares a build with the commit that it should be of, and its primary tag with the release; no other build has that.
func (r *rebuilds) check(b osbs.Build, commit, release string) {
	r.t.Helper()
	if b.State != osbs.Complete {
		r.t.Fatalf("build %s is %s: %+v\n%s", b.Name, b.State, b.Failure, logOf(r.t, r.instance, b.Name))
	}
	tag := b.Push.Images[0].Primary
	if !regexp.MustCompile("^1\\.0-"+release+"$").MatchString(tag) || b.Commit != commit {
		r.t.Errorf("%s is of %s with the tag %s, want %s with release %s", b.Name, b.Commit, tag, commit, release)
	}
	if r.tags[tag] {
		r.t.Errorf("two builds have the tag %s", tag)
	}
	r.tags[tag] = true
}

// push commits to the image's branch as a person does.
func (r *rebuilds) push(files map[string]string) string {
	r.t.Helper()
	r.app.Git("pull", "-q", "--ff-only", "origin", "main")
	return r.app.Commit("by a person", files)
}

const timestamp = `\.[0-9]{14}`

// TestNotFromLatest: what nobody has built yet is not built by autorebuilds, and every one of them has a release of its own.
func TestNotFromLatest(t *testing.T) {
	r := newRebuilds(t, "autorebuild: {from_latest: false}\n")
	for _, release := range []string{"2", "3"} { // the head is what was built last, so it is bumped
		before := r.app.Served("main")
		b := r.moveBase()
		r.check(b, r.app.Served("main"), release)
		if parent := r.app.Bare("rev-parse", "main^"); parent != before {
			t.Errorf("the bump is on %s, want %s", parent, before)
		}
	}
	last := r.app.Served("main")
	head := r.push(map[string]string{"n": "1", "Dockerfile": strings.Replace(dockerfile("app", "base:1.0", "COPY n /n"), "release=1", "release=10", 1)})
	r.rebuild(last, "3"+timestamp)
	r.rebuild(last, "3"+timestamp)
	if served := r.app.Served("main"); served != head {
		t.Errorf("the branch is at %s", served)
	}
	r.userBuild("10")
	b := r.moveBase()
	r.check(b, r.app.Served("main"), "11")
}

func TestFromLatest(t *testing.T) {
	for name, container := range map[string]string{"from_latest": "autorebuild: {from_latest: true, ignore_isolated_builds: true}\n", "no map": "platforms: {}\n"} {
		t.Run(name, func(t *testing.T) {
			r := newRebuilds(t, container)
			head := r.push(map[string]string{"n": "1"})
			b := r.moveBase()
			r.check(b, r.app.Served("main"), "2")
			if parent := r.app.Bare("rev-parse", "main^"); parent != head {
				t.Errorf("the bump is on %s, want %s", parent, head)
			}
		})
	}
}

func TestAddTimestampToRelease(t *testing.T) {
	r := newRebuilds(t, "autorebuild:\n  from_latest: true\n  add_timestamp_to_release: true\n  ignore_isolated_builds: false\n")
	head := r.app.Served("main")
	r.rebuild(head, "1"+timestamp)
	head = r.push(map[string]string{"n": "1"})
	b := r.moveBase()
	r.check(b, head, "1"+timestamp)
	if served := r.app.Served("main"); served != head {
		t.Errorf("the branch is at %s", served)
	}
	at := b.Created.UTC().Format("20060102150405")
	if got := b.Push.Images[0].Primary; got != "1.0-1."+at {
		t.Errorf("the tag is %s, the build was created at %s", got, at)
	}
	if log := logOf(t, r.instance, b.Name); !strings.Contains(log, "isolated builds never start autorebuilds") {
		t.Errorf("log:\n%s", log)
	}
}

// TestLastCommitIsGone: the commit that was built is no longer on the branch, until a person builds the branch.
func TestLastCommitIsGone(t *testing.T) {
	r := newRebuilds(t, "autorebuild: {}\n")
	r.app.Git("commit", "-q", "--amend", "-m", "rewritten")
	r.app.Git("push", "-q", "--force", "origin", "main")
	b := r.moveBase()
	if b.State != osbs.Failed || b.Failure.Stage != "clone" || b.Failure.Kind != failure.NotFound || !strings.Contains(b.Failure.Message, "no longer on branch") {
		t.Fatalf("%s %+v", b.State, b.Failure)
	}
	r.push(map[string]string{"Dockerfile": strings.Replace(dockerfile("app", "base:1.0", "COPY n /n"), "release=1", "release=5", 1)})
	r.userBuild("5")
	b = r.moveBase()
	r.check(b, r.app.Served("main"), "6")
}

func TestMalformedContainer(t *testing.T) {
	r := newRebuilds(t, "autorebuild: {from_latest: maybe}\n")
	b := r.moveBase()
	if b.State != osbs.Failed || b.Failure.Kind != failure.InvalidInput || !strings.Contains(b.Failure.Message, "container.yaml, line 1: autorebuild.from_latest is neither true nor false") {
		t.Errorf("%s %+v", b.State, b.Failure)
	}
}
