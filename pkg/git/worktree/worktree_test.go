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
		_, err := NewPlan(t.TempDir(), Hash{}, func(Hash) ([]byte, error) { return []byte(data), nil })
		if failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestWrite writes files and links, and nothing twice.
func TestWrite(t *testing.T) {
	root := t.TempDir()
	data := entry("100644", "file", hash("x")) + entry("100755", "run", hash("x")) + entry("120000", "zlink", hash("/nosuch"))
	p, err := NewPlan(root, Hash{}, func(Hash) ([]byte, error) { return []byte(data), nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.MakeDirs(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Hash{hash("x"), hash("/nosuch")}, p.Missing()); diff != "" {
		t.Errorf("missing differs:\n%s", diff)
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
	if err := p.Write(hash("x"), []byte("x")); failure.KindOf(err) != failure.Storage {
		t.Errorf("an existing file was written again: %v", err)
	}
}

// TestNothingIsWrittenThroughALink has a link where a file belongs.
func TestNothingIsWrittenThroughALink(t *testing.T) {
	root, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	p, err := NewPlan(root, Hash{}, func(Hash) ([]byte, error) { return []byte(entry("100644", "file", hash("x"))), nil })
	if err != nil {
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
		depth := 0
		p, err := NewPlan("/root", Hash{}, func(Hash) ([]byte, error) {
			if depth++; depth > 3 {
				return nil, nil
			}
			return data, nil
		})
		if err != nil {
			return
		}
		for i := range p.files {
			if name := p.files[i].path; !filepath.IsLocal(name) || strings.Contains("/"+strings.ToLower(name)+"/", "/.git/") {
				t.Fatalf("%q is accepted", name)
			}
		}
	})
}
