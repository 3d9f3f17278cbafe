package clone

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// TestLastCommit: what the branch's head says decides which commit an autorebuild is made from.
func TestLastCommit(t *testing.T) {
	const last, head = "last", "head"
	for name, tc := range map[string]struct {
		atLast, atHead map[string]string // files in addition
		want           string
		stamp          bool
	}{
		"no container.yaml":            {nil, nil, head, false},
		"no map":                       {nil, map[string]string{"container.yaml": "platforms: {}\n"}, head, false},
		"from_latest":                  {nil, map[string]string{"container.yaml": "autorebuild: {from_latest: true}\n"}, head, false},
		"empty map":                    {nil, map[string]string{"container.yaml": "autorebuild: {}\n"}, last, false},
		"not from_latest":              {nil, map[string]string{"container.yaml": "autorebuild: {from_latest: false, add_timestamp_to_release: true}\n"}, last, true},
		"disabled at the head":         {nil, map[string]string{"container.yaml": "autorebuild: {}\n", ".osbs": "[autorebuild]\nenabled=0\n"}, head, false},
		"disabled before":              {map[string]string{".osbs": "[autorebuild]\nenabled=0\n"}, map[string]string{"container.yaml": "autorebuild: {}\n", ".osbs": ""}, last, false},
		"the older container.yaml":     {map[string]string{"container.yaml": "autorebuild: {}\n"}, map[string]string{"container.yaml": "autorebuild: {from_latest: true}\n"}, head, false},
		"another name for repo config": {nil, map[string]string{"container.yaml": "autorebuild: {}\n", ".osbs-repo-config": "[autorebuild]\nenabled=0\n"}, last, false},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"Dockerfile": "FROM scratch\n", "n": last}
			for k, v := range tc.atLast {
				files[k] = v
			}
			repo := gittest.New(t, files)
			commits := map[string]string{last: repo.Head()}
			next := map[string]string{"n": head}
			for k, v := range tc.atHead {
				next[k] = v
			}
			commits[head] = repo.Commit("second", next)
			want := repo.Git("show", commits[tc.want]+":n")
			root, name := filepath.Split(repo.Dir)
			web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{})
			o := options(t, web.URL(name))
			o.CAFile, o.GitLastCommit, o.RepoConfig = web.CAFile, commits[last], ".osbs"
			got, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if n := sources(t, o.Workspace.Source())["n"]; n != want || got.Commit != commits[tc.want] || got.AddTimestamp != tc.stamp {
				t.Errorf("n is %q, record %+v", n, got)
			}
			if (got.Head == commits[head]) != (tc.want == last) || got.Head != "" && got.Head != commits[head] {
				t.Errorf("the record's head is %q", got.Head)
			}
			if read, err := workspace.Read[workspace.Clone](o.Workspace); err != nil || cmp.Diff(got, read) != "" {
				t.Errorf("record in the workspace: %+v, %v", read, err)
			}
			if branch := gittest.RunIn(t, o.Workspace.Source(), "rev-parse", "main"); branch != got.Commit {
				t.Errorf("the clone's branch is at %s", branch)
			}
		})
	}
}

// TestLastCommitIsHead: there is nothing to decide, and prepare reads the files.
func TestLastCommitIsHead(t *testing.T) {
	repo := gittest.New(t, map[string]string{"container.yaml": "rubbish"})
	o := options(t, repo.URL())
	o.GitLastCommit = repo.Head()
	if got, err := Run(t.Context(), o); err != nil || got.Commit != repo.Head() || got.Head != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLastCommitFails(t *testing.T) {
	repo := gittest.New(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	gone := repo.Head()
	repo.Git("commit", "-q", "--amend", "-m", "rewritten")
	repo.Git("push", "-q", "--force", "origin", "main")
	head := repo.Commit("second", map[string]string{"container.yaml": "autorebuild:\n  ignore_isolated_builds: false\n"})
	malformed := gittest.New(t, map[string]string{"x": "y"})
	before := malformed.Head()
	malformed.Commit("second", map[string]string{"container.yaml": "autorebuild:\n  from_last: true\n"})
	for name, tc := range map[string]struct {
		change func(*Options)
		kind   failure.Kind
		want   []string
	}{
		"gone":        {func(o *Options) { o.GitLastCommit = gone }, failure.NotFound, []string{"the last build was made from commit " + gone, `no longer on branch "main"`, "osbs build", "from_latest: true"}},
		"no commit":   {func(o *Options) { o.GitLastCommit = "--x" }, failure.Usage, []string{"last commit"}},
		"two commits": {func(o *Options) { o.GitLastCommit, o.GitCommit = gone, head }, failure.Usage, []string{"both"}},
		"malformed":   {func(o *Options) { o.GitURL, o.GitLastCommit = malformed.URL(), before }, failure.InvalidInput, []string{"container.yaml, line 2", "from_last"}},
	} {
		o := options(t, repo.URL())
		tc.change(&o)
		var log bytes.Buffer
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		_, err := Run(t.Context(), o)
		for _, want := range tc.want {
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s with %q", name, err, tc.kind, want)
			}
		}
		if name == "gone" && !strings.Contains(log.String(), "isolated builds never start autorebuilds") {
			t.Errorf("log: %s", &log)
		}
		if _, err := workspace.Read[workspace.Clone](o.Workspace); failure.KindOf(err) != failure.NotFound {
			t.Errorf("%s: a record was left: %v", name, err)
		}
	}
}
