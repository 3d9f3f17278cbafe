package clone

import (
	"encoding/hex"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// tree writes a tree object into a bare repository without the checks that git makes: entries are mode, name, object.
func tree(t *testing.T, repo *gittest.Repo, entries ...string) string {
	t.Helper()
	var data []byte
	for i := 0; i < len(entries); i += 3 {
		hash, err := hex.DecodeString(entries[i+2])
		if err != nil {
			t.Fatal(err)
		}
		data = append(append(data, entries[i]+" "+entries[i+1]+"\x00"...), hash...)
	}
	return object(t, repo, "tree", string(data))
}

func object(t *testing.T, repo *gittest.Repo, typ, data string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "-C", repo.Dir, "hash-object", "-t", typ, "-w", "--stdin", "--literally")
	cmd.Stdin = strings.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestHostileTrees serves trees that no honest git makes.
func TestHostileTrees(t *testing.T) {
	for name, make := range map[string]func(*testing.T, *gittest.Repo, string) string{
		"parent":   func(t *testing.T, r *gittest.Repo, b string) string { return tree(t, r, "100644", "..", b) },
		"self":     func(t *testing.T, r *gittest.Repo, b string) string { return tree(t, r, "100644", ".", b) },
		"slash":    func(t *testing.T, r *gittest.Repo, b string) string { return tree(t, r, "100644", "../../evil", b) },
		"absolute": func(t *testing.T, r *gittest.Repo, b string) string { return tree(t, r, "100644", "/tmp/evil", b) },
		"git directory": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "40000", ".git", tree(t, r, "100755", "config", b))
		},
		"git, folded": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "40000", ".GiT", tree(t, r, "100755", "config", b))
		},
		"git, HFS+": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "40000", ".g\u200cit", tree(t, r, "100755", "config", b))
		},
		"git, NTFS": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "40000", "GIT~1", tree(t, r, "100755", "config", b))
		},
		"git, dots": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "40000", ".git. .", tree(t, r, "100755", "config", b))
		},
		"nested git": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "40000", "a", tree(t, r, "40000", ".git", tree(t, r, "100755", "config", b)))
		},
		"link, then directory": func(t *testing.T, r *gittest.Repo, _ string) string {
			link := object(t, r, "blob", "/tmp")
			return tree(t, r, "120000", "a", link, "40000", "a", tree(t, r, "100644", "evil", link))
		},
		"twice": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "100644", "a", b, "100644", "a", b)
		},
		"device": func(t *testing.T, r *gittest.Repo, b string) string { return tree(t, r, "60000", "a", b) },
		"long name": func(t *testing.T, r *gittest.Repo, b string) string {
			return tree(t, r, "100644", strings.Repeat("a", 300), b)
		},
		"nested deeply": func(t *testing.T, r *gittest.Repo, b string) string {
			h := tree(t, r, "100644", "a", b)
			for range 600 {
				h = tree(t, r, "40000", "d", h)
			}
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t, map[string]string{"x": "y"})
			blob := object(t, repo, "blob", "evil\n")
			commit := repo.Bare("-c", "user.name=x", "-c", "user.email=x@y", "commit-tree", "-m", "x", make(t, repo, blob))
			repo.Bare("update-ref", "refs/heads/main", commit)
			o := options(t, repo.URL())
			_, err := Run(t.Context(), o)
			if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), "refused") {
				t.Errorf("error %v", err)
			}
			left, _ := os.ReadDir(o.Workspace.Source())
			for _, e := range left {
				if e.Name() != ".git" {
					t.Errorf("%s was written", e.Name())
				}
			}
			if config, err := os.ReadFile(filepath.Join(o.Workspace.Source(), ".git", "config")); err == nil && strings.Contains(string(config), "evil") {
				t.Error("the repository's configuration was written")
			}
		})
	}
}

// TestLinksAreNotFollowed clones files that could be written through links of the same tree.
func TestLinksAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	want := map[string]string{"a": "->" + outside, "b/link": "->../../..", "c": "->c", "d/file": "x"}
	repo := gittest.New(t, want)
	o := options(t, repo.URL())
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, sources(t, o.Workspace.Source())); diff != "" {
		t.Errorf("sources differ (-want +got):\n%s", diff)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("%v was written outside", left)
	}
}

func TestSubmodules(t *testing.T) {
	root := t.TempDir()
	deep := gittest.NewIn(t, filepath.Join(root, "deep.git"), map[string]string{"deep": "1"})
	lib := gittest.NewIn(t, filepath.Join(root, "lib.git"), map[string]string{"lib": "1"})
	addSubmodule(lib, "nested", "../deep.git", deep.Head())
	pinned := lib.Head()
	lib.Commit("later", map[string]string{"lib": "2"})
	main := gittest.NewIn(t, filepath.Join(root, "main.git"), map[string]string{"Dockerfile": "FROM scratch\n"})
	addSubmodule(main, "vendor/lib", "../lib.git", pinned)
	modules := "[submodule \"vendor/lib\"]\n\tpath = vendor/lib\n\turl = ../lib.git\n"
	want := map[string]string{
		"Dockerfile": "FROM scratch\n", ".gitmodules": modules, "vendor/lib/lib": "1",
		"vendor/lib/.gitmodules": "[submodule \"nested\"]\n\tpath = nested\n\turl = ../deep.git\n", "vendor/lib/nested/deep": "1",
	}
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{Auth: true})
	for _, url := range []string{main.URL(), web.URL("main.git")} {
		o := options(t, url)
		o.Submodules = true
		if strings.HasPrefix(url, "https") {
			o.CAFile, o.GitSecretDir = web.CAFile, web.Secret()
		}
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sources(t, o.Workspace.Source())); diff != "" {
			t.Errorf("%s: sources differ (-want +got):\n%s", url, diff)
		}
		gittest.RunIn(t, filepath.Join(o.Workspace.Source(), "vendor", "lib"), "fsck", "--full")
		if out := gittest.RunIn(t, o.Workspace.Source(), "status", "--porcelain"); out != "" {
			t.Errorf("%s: git status: %s", url, out)
		}
		o.Submodules = false
		if _, err := Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(filepath.Join(o.Workspace.Source(), "vendor", "lib")); err != nil || len(left) > 0 {
			t.Errorf("%s: without submodules: %v, %v", url, left, err)
		}
	}
}

// addSubmodule commits a submodule without cloning it.
func addSubmodule(r *gittest.Repo, path, url, commit string) {
	r.Git("update-index", "--add", "--cacheinfo", "160000,"+commit+","+path)
	text := "[submodule \"" + path + "\"]\n\tpath = " + path + "\n\turl = " + url + "\n"
	if err := os.WriteFile(filepath.Join(r.Work, ".gitmodules"), []byte(text), 0o600); err != nil {
		panic(err)
	}
	r.Git("add", ".gitmodules")
	r.Git("commit", "-q", "-m", "submodule")
	r.Git("push", "-q", "origin", "HEAD")
	r.Git("update-index", "--skip-worktree", path)
}

func TestSubmoduleErrors(t *testing.T) {
	var leaked atomic.Bool
	thief := gittest.ServeHTTPS(t, t.TempDir(), gittest.HTTPSOptions{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				leaked.Store(true)
			}
			http.NotFound(w, r)
		})
	}})
	root := t.TempDir()
	lib := gittest.NewIn(t, filepath.Join(root, "lib.git"), map[string]string{"lib": "1"})
	web := gittest.ServeHTTPS(t, root, gittest.HTTPSOptions{Auth: true})
	for name, tc := range map[string]struct {
		url, commit string
		kind        failure.Kind
	}{
		"another server":   {thief.URL("lib.git"), lib.Head(), failure.NotFound},
		"option":           {"--upload-pack=touch", lib.Head(), failure.Usage},
		"this machine":     {lib.URL(), lib.Head(), failure.InvalidInput},
		"above the root":   {"../../../../x", lib.Head(), failure.InvalidInput},
		"commit not there": {"../lib.git", strings.Repeat("1", 40), failure.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			dir := "main-" + strings.ReplaceAll(name, " ", "-") + ".git"
			main := gittest.NewIn(t, filepath.Join(root, dir), map[string]string{"x": "y"})
			addSubmodule(main, "sub", tc.url, tc.commit)
			o := options(t, web.URL(dir))
			o.Submodules, o.CAFile, o.GitSecretDir = true, web.CAFile, web.Secret()
			_, err := Run(t.Context(), o)
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), `submodule "sub"`) {
				t.Errorf("kind %s, want %s: %v", failure.KindOf(err), tc.kind, err)
			}
		})
	}
	if leaked.Load() {
		t.Error("credentials went to another server")
	}
}
