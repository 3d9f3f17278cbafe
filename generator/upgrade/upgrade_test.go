package upgrade_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/generator/upgrade"
	"github.com/osbs-tekton/osbs/generator/validate"
	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

var update = golden.Flag()

func parse(tb testing.TB, name string, text []byte) []*yaml.RNode {
	tb.Helper()
	objects, err := manifest.Read(name, bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return objects
}

func write(tb testing.TB, objects []*yaml.RNode) string {
	tb.Helper()
	var out bytes.Buffer
	if err := manifest.Write(&out, objects); err != nil {
		tb.Fatal(err)
	}
	_, text, _ := strings.Cut(out.String(), "---\n")
	return text
}

// archives runs f on the files of each archive that the pattern names, and compares what it returns with those files of the same name.
func archives(t *testing.T, pattern string, f func(t *testing.T, file func(name string) []byte) map[string]string) {
	t.Helper()
	archives, err := filepath.Glob(pattern)
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file := func(name string) *txtar.File {
				for i := range archive.Files {
					if archive.Files[i].Name == name {
						return &archive.Files[i]
					}
				}
				archive.Files = append(archive.Files, txtar.File{Name: name})
				return &archive.Files[len(archive.Files)-1]
			}
			for name, text := range f(t, func(name string) []byte { return file(name).Data }) {
				if want := file(name); *update {
					want.Data = []byte(text)
				} else if diff := cmp.Diff(string(want.Data), text); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", path, name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestMerge(t *testing.T) {
	archives(t, "testdata/merge-*.txtar", func(t *testing.T, file func(string) []byte) map[string]string {
		t.Helper()
		sides := map[string][]*yaml.RNode{}
		for _, name := range []string{"base", "mine", "theirs"} {
			sides[name] = parse(t, name, file(name+".yaml"))
		}
		merged, conflicts, err := upgrade.Merge(sides["base"], sides["mine"], sides["theirs"])
		if err != nil {
			t.Fatal(err)
		}
		var list strings.Builder
		for _, c := range conflicts {
			fmt.Fprintln(&list, c)
		}
		return map[string]string{"merged.yaml": write(t, merged), "conflicts.txt": list.String()}
	})
}

func TestDiff(t *testing.T) {
	archives(t, "testdata/diff-*.txtar", func(t *testing.T, file func(string) []byte) map[string]string {
		t.Helper()
		text, err := upgrade.Diff(parse(t, "old", file("old.yaml")), parse(t, "new", file("new.yaml")))
		if err != nil {
			t.Fatal(err)
		}
		return map[string]string{"diff.txt": text}
	})
}

// generated is everything for a namespace, with all stages and several platforms. Each overlay is the text of one.
func generated(tb testing.TB, version string, overlays ...string) []*yaml.RNode {
	tb.Helper()
	cfg := config.Default()
	cfg.RegistryURI = config.List{"registry.example.com"}
	cfg.PulpRegistryName, cfg.Pulp = "prod", map[string]config.Pulp{"prod": {URL: "https://pulp.example.com"}}
	cfg.Platforms = config.List{"linux/amd64", "linux/arm64"}
	in := generator.Input{Config: cfg, Version: version}
	for _, text := range overlays {
		entries, err := overlay.Read("overlay.yaml", []byte(text))
		if err != nil {
			tb.Fatal(err)
		}
		in.Overlays = append(in.Overlays, entries...)
	}
	out, err := generator.Generate(context.Background(), in)
	if err != nil {
		tb.Fatal(err)
	}
	return out.Objects()
}

// TestACustomisedPipelineSurvives edits what one version has generated and merges what another generates, in which stages have changed.
// The edits, and the changes of the stages, are made by overlays, so that the merge can be compared with what both together make.
func TestACustomisedPipelineSurvives(t *testing.T) {
	const (
		site = `
- patch: {kind: Task, name: push}
  merge: {spec: {steps: [{name: push, computeResources: {limits: {memory: 2Gi}}}]}}
- patch: {kind: Task, name: clone}
  add: true
  merge: {spec: {steps: [{name: clone, env: [{name: HTTPS_PROXY, value: "http://proxy.example.com:3128"}]}]}}
- set: {params: {log-level: debug}}
- finally: notify
  task: {taskRef: {name: notify}}
- patch: {kind: ServiceAccount, name: osbs}
  add: true
  merge: {imagePullSecrets: [{name: pull}]}
- annotations: {example.com/owner: images}
`
		stages = `
- patch: {kind: Task, name: push}
  add: true
  merge:
    spec:
      steps: [{name: push, image: "push:2", args: [-new=true], volumeMounts: [{name: more, mountPath: /more}]}]
      volumes: [{name: more, emptyDir: {}}]
- patch: {kind: Task, name: clone}
  add: true
  merge: {spec: {steps: [{name: clone, env: [{name: NEW, value: "1"}]}]}}
- insert: sign
  after: push
  task: {taskRef: {name: sign}}
- disable: import
`
	)
	base, err := upgrade.Stamp(generated(t, "v1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := upgrade.BaseOf(base)
	if err != nil {
		t.Fatal(err)
	}
	merged, conflicts, err := upgrade.Merge(recorded, generated(t, "v1.0.0", site), generated(t, "v1.1.0", stages))
	if err != nil || len(conflicts) > 0 {
		t.Fatal(conflicts, err)
	}
	if err := validate.Objects(merged); err != nil {
		t.Error(err)
	}
	diff, err := upgrade.Diff(generated(t, "v1.1.0", site, stages), merged)
	if err != nil {
		t.Fatal(err)
	}
	if diff != "" {
		t.Errorf("the merge is not what both together make:\n%s", diff)
	}
}

func TestRecord(t *testing.T) {
	objects := generated(t, "v1.0.0")
	stamped, err := upgrade.Stamp(objects)
	if err != nil {
		t.Fatal(err)
	}
	text := write(t, stamped)
	t.Logf("%d objects of %d bytes, with their record %d", len(objects), len(write(t, objects)), len(text))
	if len(text)-len(write(t, objects)) > 40_000 {
		t.Errorf("the record makes %d bytes of %d", len(text), len(write(t, objects)))
	}
	again := parse(t, "again", []byte(text))
	base, err := upgrade.BaseOf(again)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(write(t, objects), write(t, base)); diff != "" {
		t.Errorf("(-objects +base):\n%s", diff)
	}
	if twice, err := upgrade.Stamp(stamped); err != nil || len(twice) != len(stamped) {
		t.Errorf("a second record: %d objects, %v", len(twice), err)
	}
	merged, conflicts, err := upgrade.Merge(base, again, stamped)
	if err != nil || len(conflicts) > 0 {
		t.Fatal(conflicts, err)
	}
	if diff := cmp.Diff(text, write(t, merged)); diff != "" {
		t.Errorf("nothing has changed, but (-before +after):\n%s", diff)
	}
	if diff, err := upgrade.Diff(again, stamped); diff != "" || err != nil {
		t.Errorf("nothing has changed, but %v:\n%s", err, diff)
	}
}

func TestRecordRefuses(t *testing.T) {
	objects := parse(t, "f", []byte("apiVersion: tekton.dev/v1\nkind: Pipeline\nmetadata:\n  name: osbs\n"))
	if _, err := upgrade.BaseOf(objects); failure.KindOf(err) != failure.NotFound || !strings.Contains(err.Error(), "--base FILE") {
		t.Errorf("without a record: %v", err)
	}
	stamped, err := upgrade.Stamp(objects)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{"", "???", "AAAA", "H4sIAAAAAAAC/w=="} {
		tree.Set(tree.Get(stamped[1].YNode(), "binaryData"), "objects.yaml.gz", tree.String(damaged))
		if _, err := upgrade.BaseOf(stamped); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%q: %v", damaged, err)
		}
	}
	if _, err := upgrade.Stamp(nil); failure.KindOf(err) != failure.Internal {
		t.Errorf("nothing to record: %v", err)
	}
	twice := slices.Concat(objects, objects)
	if _, _, err := upgrade.Merge(nil, twice, nil); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("an object twice: %v", err)
	}
}

func FuzzMerge(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		texts := map[string]string{}
		for _, file := range archive.Files {
			texts[file.Name] = string(file.Data)
		}
		f.Add(texts["base.yaml"]+texts["old.yaml"], texts["mine.yaml"]+texts["old.yaml"], texts["theirs.yaml"]+texts["new.yaml"])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var sides [3][]*yaml.RNode
		for i, text := range []string{a, b, c} {
			objects, err := manifest.Read("side", strings.NewReader(text))
			if err != nil {
				return
			}
			sides[i] = objects
		}
		merged, _, err := upgrade.Merge(sides[0], sides[1], sides[2])
		if err != nil {
			return
		}
		if _, err := upgrade.Diff(sides[1], merged); err != nil && failure.KindOf(err) != failure.InvalidInput {
			t.Fatal(err)
		}
		if again, conflicts, err := upgrade.Merge(sides[2], merged, sides[2]); err != nil || len(conflicts) > 0 || len(again) != len(merged) {
			t.Fatalf("merging again: %d objects became %d, %v, %v", len(merged), len(again), conflicts, err)
		}
	})
}
