package worktree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func entry(mode, name string, h Hash) string { return mode + " " + name + "\x00" + string(h[:]) }

func hash(data string) Hash { return plumbing.ComputeHash(plumbing.BlobObject, []byte(data)) }

func TestFindAndReplace(t *testing.T) {
	a, b, c := hash("a"), hash("b"), hash("c")
	tree := []byte(entry("100644", "a", a) + entry("40000", "a.b", b) + entry("120000", "l", a))
	for name, want := range map[string]struct {
		h          Hash
		file, link bool
	}{"a": {a, true, false}, "a.b": {b, false, false}, "l": {a, false, true}} {
		e, ok := Find(tree, name)
		if !ok || e.Hash != want.h || e.File() != want.file || e.Link() != want.link {
			t.Errorf("Find(%s) = %+v, %v", name, e, ok)
		}
	}
	if _, ok := Find(tree, "b"); ok {
		t.Error("found what is not there")
	}
	want := entry("100644", "a", a) + entry("40000", "a.b", c) + entry("120000", "l", a)
	if diff := cmp.Diff(want, string(Replace(tree, "a.b", c))); diff != "" {
		t.Errorf("replaced tree differs:\n%s", diff)
	}
}

func TestMalformedTrees(t *testing.T) {
	for _, data := range []string{"x", "100644", "100644 ", "100644 a", "100644 a\x00", "100644 a\x00short", "100648 a\x00" + strings.Repeat("x", 20), " a\x00" + strings.Repeat("x", 20), "12345678 a\x00" + strings.Repeat("x", 20), "100644 \x00" + strings.Repeat("x", 20)} {
		err := NewPlan(t.TempDir(), Hash{}).Tree(Hash{}, []byte(data))
		if failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestWrite writes files and links, and nothing twice.
func TestWrite(t *testing.T) {
	root := t.TempDir()
	data := entry("100644", "file", hash("x")) + entry("100755", "run", hash("x")) + entry("120000", "zlink", hash("/nosuch"))
	p := NewPlan(root, Hash{})
	if h, ok := p.Wanted(); !ok || h != (Hash{}) {
		t.Errorf("wanted: %v, %v", h, ok)
	}
	if err := p.Tree(Hash{}, []byte(data)); err != nil {
		t.Fatal(err)
	}
	if h, ok := p.Wanted(); ok {
		t.Errorf("wanted: %v", h)
	}
	if n := len(p.Missing()); n != 2 {
		t.Errorf("%d contents are missing", n)
	}
	if err := p.Finish(filepath.Join(root, "index")); failure.KindOf(err) != failure.Internal {
		t.Errorf("Finish before all is written: %v", err)
	}
	for _, content := range []string{"x", "/nosuch"} {
		if err := p.Write(hash(content), []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if left := p.Missing(); len(left) > 0 {
		t.Errorf("missing: %v", left)
	}
	if err := p.Finish(filepath.Join(root, "index")); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"file": 0o644, "run": 0o755} {
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if target, err := os.Readlink(filepath.Join(root, "zlink")); target != "/nosuch" || err != nil {
		t.Errorf("link to %q, %v", target, err)
	}
	if err := p.Write(hash("x"), []byte("y")); err != nil {
		t.Errorf("a content that is not wanted any more: %v", err)
	}
}

// TestOrder gives the trees of one plan in every order.
func TestOrder(t *testing.T) {
	root, sub, deep := Hash{1}, Hash{2}, Hash{3}
	trees := map[Hash]string{
		root: entry("40000", "a", sub) + entry("100644", "b", hash("x")) + entry("40000", "c", sub),
		sub:  entry("40000", "d", deep) + entry("100644", "e", hash("x")),
		deep: entry("100644", "f", hash("x")),
	}
	for _, order := range [][]Hash{{root, sub, deep}, {root, deep, sub}, {sub, root, deep}, {sub, deep, root}, {deep, root, sub}, {deep, sub, root}} {
		dir := t.TempDir()
		p := NewPlan(dir, root)
		for _, h := range order {
			if err := p.Tree(h, []byte(trees[h])); err != nil {
				t.Fatal(err)
			}
			if err := p.Write(hash("x"), []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Finish(filepath.Join(dir, "index")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a/d/f", "a/e", "b", "c/d/f", "c/e"} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); string(data) != "x" || err != nil {
				t.Errorf("%v: %s: %q, %v", order, name, data, err)
			}
		}
	}
}

// TestNothingIsWrittenThroughALink has a link where a file belongs.
func TestNothingIsWrittenThroughALink(t *testing.T) {
	root, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	p := NewPlan(root, Hash{})
	if err := p.Tree(Hash{}, []byte(entry("100644", "file", hash("x")))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "file")); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(hash("x"), []byte("x")); err == nil {
		t.Error("it was written")
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("it was written outside")
	}
}

func FuzzNewPlan(f *testing.F) {
	f.Add([]byte(entry("100644", "a", Hash{})))
	f.Add([]byte(entry("40000", "a", Hash{1}) + entry("160000", "b", Hash{2})))
	f.Add([]byte(entry("100644", ".git", Hash{}) + "x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := NewPlan(t.TempDir(), Hash{})
		if err := p.Tree(Hash{}, data); err != nil {
			return
		}
		for h, ok := p.Wanted(); ok; h, ok = p.Wanted() {
			if p.Tree(h, nil) != nil {
				return
			}
		}
		for i := range p.files {
			if name := p.files[i].path; !filepath.IsLocal(name) || strings.Contains("/"+strings.ToLower(name)+"/", "/.git/") {
				t.Fatalf("%q is accepted", name)
			}
		}
	})
}
