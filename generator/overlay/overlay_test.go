package overlay_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/generator/pipeline"
	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

var update = golden.Flag()

// smallChain is a chain as New makes it, of Tasks that fit on a page. With platforms, there is a build for each.
func smallChain(tb testing.TB, platforms ...string) *chain.Chain {
	tb.Helper()
	objects, err := manifest.ReadPath("testdata/chain.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	text := func(s string) *yaml.RNode { return yaml.NewRNode(tree.String(s)) }
	c := &chain.Chain{Results: []chain.Result{
		{Name: "IMAGE_URL", Description: "the image", Link: "push", Of: "image-url"},
		{Name: "CHAINS-GIT_URL", Description: "the git URL", Link: "clone", Of: "url"},
	}}
	decided := false
	for _, o := range objects {
		l := &chain.Link{Name: o.GetName(), Stage: o.GetName(), Task: o, Origin: "tasks/" + o.GetName() + ".yaml"}
		if decided {
			l.When = append(l.When, yaml.NewRNode(chain.NotSkipped()))
		}
		decided = decided || l.Name == "prepare"
		if l.Name != "build" || len(platforms) == 0 {
			c.Links = append(c.Links, l)
			continue
		}
		for i, p := range platforms {
			b := l.Clone()
			b.Name, b.Parallel = "build-"+p, i > 0
			b.Params = []chain.Param{{Name: "platform", Value: text("linux/" + p)}}
			c.Links = append(c.Links, b)
		}
	}
	for _, l := range c.Links {
		if l.Name == "push" {
			build := c.Links[2].Name
			l.Params = []chain.Param{{Name: "digest", Value: text("$(tasks." + build + ".results.digest)")}}
		}
	}
	return c
}

// TestGolden applies the overlays (*.overlay.yaml) of each testdata/*.txtar to the chain of testdata/chain.yaml, and compares the
// Pipeline and the list of changes with those in the archive. Its other files are beside the overlays.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			var entries []overlay.Entry
			for _, f := range archive.Files {
				path := filepath.Join(dir, filepath.FromSlash(f.Name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, "overlay.yaml") {
					more, err := overlay.Read(filepath.Join(dir, f.Name), f.Data)
					if err != nil {
						t.Fatal(err)
					}
					entries = append(entries, more...)
				}
			}
			var platforms []string
			if strings.Contains(file, "platforms") {
				platforms = []string{"amd64", "arm64"}
			}
			changes, rendered := render(t, smallChain(t, platforms...), entries)
			set(archive, "changes.txt", strings.ReplaceAll(changes, dir+"/", ""))
			set(archive, "pipeline.yaml", rendered)
			golden.Check(t, *update, file, string(txtar.Format(archive)))
		})
	}
}

func set(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

func render(tb testing.TB, c *chain.Chain, entries []overlay.Entry) (changes, rendered string) {
	tb.Helper()
	made, err := overlay.ApplyToChain(c, entries)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := pipeline.Render(&config.Config{Name: "osbs"}, c)
	if err != nil {
		tb.Fatal(err)
	}
	more, err := overlay.ApplyToObjects([]*yaml.RNode{p}, entries)
	if err != nil {
		tb.Fatal(err)
	}
	var out strings.Builder
	for _, m := range append(made, more...) {
		fmt.Fprintln(&out, m)
	}
	return out.String(), p.MustString()
}

// apply reads and applies an overlay, and returns the first error.
func apply(tb testing.TB, dir, text string) error {
	tb.Helper()
	entries, err := overlay.Read(filepath.Join(dir, "o.yaml"), []byte(text))
	if err != nil {
		return err
	}
	c := smallChain(tb)
	if _, err := overlay.ApplyToChain(c, entries); err != nil {
		return err
	}
	p, err := pipeline.Render(&config.Config{Name: "osbs"}, c)
	if err != nil {
		return fmt.Errorf("rendering: %w", err)
	}
	account := yaml.MustParse("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: osbs\n")
	build := yaml.MustParse("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: osbs-build\n")
	_, err = overlay.ApplyToObjects([]*yaml.RNode{p, account, build}, entries)
	return err
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	for path, text := range map[string]string{
		outside:                           "x",
		filepath.Join(dir, "large.yaml"):  strings.Repeat("#", 1<<20+1),
		filepath.Join(dir, "broken.yaml"): "a: b: c\n",
		filepath.Join(dir, "list.yaml"):   "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	cases, err := txtar.ParseFile("testdata/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range cases.Files {
		t.Run(f.Name, func(t *testing.T) {
			text, want, _ := strings.Cut(string(f.Data), "==>\n")
			err := apply(t, dir, text)
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir+"/", "") + "\n"
			}
			if *update {
				cases.Files[i].Data = []byte(text + "==>\n" + got)
			} else if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
			if failure.KindOf(err) != failure.Usage || !strings.HasPrefix(got, "o.yaml:") {
				t.Errorf("kind %s: %s", failure.KindOf(err), got)
			}
		})
	}
	if *update {
		if err := os.WriteFile("testdata/refused.txt", txtar.Format(cases), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReplacementOfSeveralPlatforms(t *testing.T) {
	for task, want := range map[string]string{
		"taskSpec: {results: [{name: digest}], params: [{name: platform}], steps: [{name: a, image: a}]}": "",
		"taskRef: {name: x}": "",
		"taskSpec: {results: [{name: digest}], steps: [{name: a, image: a}]}": "o.yaml:1: build runs for each of 2 platforms: " +
			"the task must have a param platform, which is told one such as linux/amd64",
	} {
		entries, err := overlay.Read("o.yaml", []byte("- replace: build\n  task: {"+task+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		c := smallChain(t, "amd64", "arm64")
		_, err = overlay.ApplyToChain(c, entries)
		if got := fmt.Sprint(err); got != want && err != nil || err == nil && want != "" {
			t.Errorf("%s: %s, want %s", task, got, want)
		}
		if b := c.Link("build-arm64").Binding("platform"); err == nil && (b == nil || b.Value != "linux/arm64") {
			t.Errorf("%s: the platform is not said", task)
		}
	}
}

func seeds(f *testing.F) {
	f.Helper()
	archives, err := filepath.Glob("testdata/*.tx*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archives {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range archive.Files {
			text, _, _ := strings.Cut(string(one.Data), "==>\n")
			f.Add(text)
		}
	}
}

func FuzzRead(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := overlay.Read(filepath.Join(dir, "o.yaml"), []byte(text)); err != nil && failure.KindOf(err) != failure.Usage {
			t.Fatalf("kind %s: %v", failure.KindOf(err), err)
		}
	})
}

func FuzzApply(f *testing.F) {
	seeds(f)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if err := apply(t, dir, text); err != nil && failure.KindOf(err) != failure.Usage {
			t.Fatalf("kind %s: %v", failure.KindOf(err), err)
		}
	})
}
