package local

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// files lists a directory with all below it.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPlan(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	app.commit(map[string]string{"additional-tags": "stable\n"})
	last := newRepo(t, "last", map[string]string{"Dockerfile": dockerfile("last", "app:stable", "")})
	built := mustBuild(t, i, base.request())
	appConfig := mustBuild(t, i, app.request()).BuildConfig
	lastConfig := mustBuild(t, i, last.request()).BuildConfig
	if _, err := i.Plan(t.Context(), base.request()); err != nil { // once, for what starting the registry makes
		t.Fatal(err)
	}
	before := files(t, i.conf.DataDir)
	plan, err := i.Plan(t.Context(), app.request())
	if err != nil {
		t.Fatal(err)
	}
	if plan.BuildConfig != appConfig || len(plan.Bases) != 1 || plan.Bases[0].Digest != built.Push.Digest || plan.Bases[0].ImageStreamTag != "base:1.0" {
		t.Errorf("plan: %+v", plan)
	}
	if !regexp.MustCompile(`^none-[a-z0-9]{5}-\d{14}$`).MatchString(plan.Tags.Unique) {
		t.Errorf("unique tag %q", plan.Tags.Unique)
	}
	plan.Tags.Unique = ""
	if diff := cmp.Diff(osbs.Tags{Primary: "1.0-1", Floating: []string{"1.0", "latest", "stable"}}, plan.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]osbs.Dependent{{BuildConfig: lastConfig, Wave: 1, On: []string{"app:stable"}}}, plan.Dependents); diff != "" {
		t.Errorf("dependents (-want +got):\n%s", diff)
	}
	if plan, err = i.Plan(t.Context(), base.request()); err != nil {
		t.Fatal(err)
	}
	want := []osbs.Dependent{{BuildConfig: appConfig, Wave: 1, On: []string{"base:1.0"}}, {BuildConfig: lastConfig, Wave: 2, On: []string{"app:stable"}}}
	if diff := cmp.Diff(want, plan.Dependents); diff != "" {
		t.Errorf("dependents of the base (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, files(t, i.conf.DataDir)); diff != "" {
		t.Errorf("a plan left a trace (-before +after):\n%s", diff)
	}
	noLocks(t, i)
}

func TestRequestsThatAreRefused(t *testing.T) {
	i := open(t, Config{})
	good := osbs.Request{GitURL: "https://git.example.com/x", GitBranch: "main", User: "me"}
	for name, change := range map[string]func(*osbs.Request){
		"no URL":               func(r *osbs.Request) { r.GitURL = "" },
		"option as URL":        func(r *osbs.Request) { r.GitURL = "--upload-pack=x" },
		"no branch":            func(r *osbs.Request) { r.GitBranch = "" },
		"option as branch":     func(r *osbs.Request) { r.GitBranch = "-x" },
		"no user":              func(r *osbs.Request) { r.User = "" },
		"scratch and isolated": func(r *osbs.Request) { r.Scratch, r.Isolated = true, true },
		"lock policy":          func(r *osbs.Request) { r.LockPolicy = "maybe" },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			change(&r)
			if _, err := i.Create(t.Context(), r); failure.KindOf(err) != failure.Usage {
				t.Errorf("Create: %v", err)
			}
			if _, err := i.Plan(t.Context(), r); failure.KindOf(err) != failure.Usage {
				t.Errorf("Plan: %v", err)
			}
		})
	}
	if all := list(t, i, osbs.Filter{}); len(all) != 0 {
		t.Errorf("recorded: %+v", all)
	}
}
