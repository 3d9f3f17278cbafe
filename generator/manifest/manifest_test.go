package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/tasks"
)

var update = golden.Flag()

func TestReadAndWrite(t *testing.T) {
	objects, err := ReadPath("testdata/order.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, objects); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, *update, "testdata/order.out.yaml", out.String())

	again, err := Read("again", strings.NewReader(out.String()))
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := Write(&second, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(out.String(), second.String()); diff != "" {
		t.Errorf("what was written is written differently after it was read (-first +second):\n%s", diff)
	}
}

func TestTheTasksAreInOrder(t *testing.T) {
	for _, stage := range tasks.Stages() {
		text, err := tasks.Read(stage)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := Read(stage, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		before := objects[0].MustString()
		Order(objects[0])
		if diff := cmp.Diff(before, objects[0].MustString()); diff != "" {
			t.Errorf("tasks/%s.yaml (-written +ordered):\n%s", stage, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"no YAML":        {"a: b: c\n", "f.yaml:1: this is no YAML: mapping values are not allowed in this context; look at the indentation of this line and the one before, and put a text that has ': ' in it into quotes"},
		"later document": {"apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n\na: [\n", "f.yaml:6: this is no YAML: did not find expected node content"},
		"all faults at once": {
			"apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n- 1\n---\nkind: B\n---\napiVersion: v1\nkind: C\n",
			"f.yaml:5: an object is a mapping with apiVersion, kind and metadata\nf.yaml:7: the object has no apiVersion\n" +
				"f.yaml:9: the object has no metadata.name",
		},
		"key twice":       {"apiVersion: v1\nkind: A\nmetadata: {name: a}\nx:\n  y: 1\n  y: 2\n", `f.yaml:6: the key "y" stands here twice`},
		"key is no text":  {"apiVersion: v1\n[a]: b\n", "f.yaml:2: a key must be a text"},
		"alias of itself": {"a: &x [*x]\n", "f.yaml:1: the alias x is a part of itself"},
		"aliases of aliases": {
			"a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
				"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n", "f.yaml:6: this has more than 200000 parts",
		},
		"items":     {"apiVersion: v1\nkind: List\nitems: 1\n", "f.yaml:3: items must be a list"},
		"item":      {"apiVersion: v1\nkind: List\nitems:\n- 1\n", "f.yaml:4: an object is a mapping with apiVersion, kind and metadata"},
		"too large": {strings.Repeat("#", maxSize+1), "f.yaml is larger than 4194304 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read("f.yaml", strings.NewReader(tc.text))
			if failure.KindOf(err) != failure.InvalidInput || err.Error() != tc.want {
				t.Errorf("got %v (%s)\nwant %s", err, failure.KindOf(err), tc.want)
			}
		})
	}
}

func TestWriteDir(t *testing.T) {
	read := func(text string) []string {
		t.Helper()
		return strings.Split(text, "|")
	}
	dir := filepath.Join(t.TempDir(), "osbs")
	write := func(kindNames ...string) error {
		t.Helper()
		var text strings.Builder
		for _, kn := range kindNames {
			parts := read(kn)
			text.WriteString("---\napiVersion: v1\nkind: " + parts[0] + "\nmetadata:\n  name: " + parts[1] + "\n  namespace: " + parts[2] + "\n")
		}
		objects, err := Read("text", strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		return WriteDir(dir, objects)
	}
	list := func() string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return strings.Join(names, " ")
	}
	if err := write("Pipeline|osbs|a", "ServiceAccount|osbs|a", "Role|osbs:watch|a", "Role|osbs:watch|b"); err != nil {
		t.Fatal(err)
	}
	if got, want := list(), "kustomization.yaml pipeline-osbs.yaml role-b-osbs-watch.yaml role-osbs-watch.yaml serviceaccount-osbs.yaml"; got != want {
		t.Errorf("files: %s\nwant   %s", got, want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	golden.Check(t, *update, "testdata/kustomization.yaml", string(text))
	if objects, err := ReadPath(dir); err != nil || len(objects) != 4 {
		t.Errorf("ReadPath: %d objects, %v", len(objects), err)
	}

	mine := filepath.Join(dir, "mine.yaml")
	if err := os.WriteFile(mine, []byte("# my own\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := write("Pipeline|osbs|a"); err != nil {
		t.Fatal(err)
	}
	if got, want := list(), "kustomization.yaml mine.yaml pipeline-osbs.yaml"; got != want {
		t.Errorf("files after a second run: %s\nwant %s", got, want)
	}
	if objects, err := ReadPath(dir); err != nil || len(objects) != 1 { // mine.yaml is not for the generator to read
		t.Errorf("ReadPath: %d objects, %v", len(objects), err)
	}
	withoutMark, err := os.ReadFile(filepath.Join(dir, "pipeline-osbs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pipeline-osbs.yaml"), withoutMark[len(header):], 0o644); err != nil {
		t.Fatal(err)
	}
	if objects, err := ReadPath(dir); err != nil || len(objects) != 1 { // kustomization.yaml lists it
		t.Errorf("ReadPath: %d objects, %v", len(objects), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pipeline-osbs.yaml"), withoutMark, 0o644); err != nil {
		t.Fatal(err)
	}

	if err := os.Rename(mine, filepath.Join(dir, "role-new.yaml")); err != nil {
		t.Fatal(err)
	}
	err = write("Role|new|a", "ServiceAccount|new|a")
	if failure.KindOf(err) != failure.Conflict || !strings.Contains(err.Error(), "role-new.yaml is in the way") {
		t.Errorf("over a foreign file: %v", err)
	}
	if got, want := list(), "kustomization.yaml pipeline-osbs.yaml role-new.yaml"; got != want {
		t.Errorf("files after a refusal: %s\nwant %s", got, want)
	}
	if err := write("Role|x|a", "Role|X|a"); err != nil { // the second has the namespace in its name
		t.Error(err)
	}
	if err := write("Role|x|a", "Role|x|a", "Role|x|a"); failure.KindOf(err) != failure.Conflict {
		t.Errorf("the same object again and again: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	seed, err := os.ReadFile("testdata/order.in.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(seed))
	for _, s := range []string{"a: &x [*x]", "<<: {a: 1}", "a: &b {<<: *b}", "? [a]\n: b", "---\n--- #\n", "%YAML 1.1\n---\na: !!binary x\n", "\ufeffa: 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := Read("f", strings.NewReader(text))
		if err != nil {
			if failure.KindOf(err) != failure.InvalidInput {
				t.Fatalf("kind %s: %v", failure.KindOf(err), err)
			}
			return
		}
		var first, second bytes.Buffer
		if err := Write(&first, objects); err != nil {
			t.Fatal(err)
		}
		again, err := Read("again", bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, first.String())
		}
		if err := Write(&second, again); err != nil || len(again) != len(objects) {
			t.Fatalf("%d objects became %d: %v", len(objects), len(again), err)
		}
		for i := range objects {
			if !keyed.Equal(objects[i].YNode(), again[i].YNode()) {
				t.Fatalf("an object is not what it was:\n%s", first.String())
			}
		}
	})
}
