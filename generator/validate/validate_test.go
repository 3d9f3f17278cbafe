package validate_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/validate"
	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/tasks"
)

var update = golden.Flag()

func read(t testing.TB, name string) []*yaml.RNode {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	objects, err := manifest.Read(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// generate makes the objects of a configuration. That the generator validates them itself is not in the way.
func generate(t testing.TB, text string) []*yaml.RNode {
	t.Helper()
	c, err := config.Load("osbs.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := generator.Generate(t.Context(), generator.Input{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	return out.Objects()
}

// everything has all that makes a Pipeline large.
const everything = `namespace: builds
registry_uri: a.example.com, b.example.com
registry_secret: x, y
platforms: linux/amd64, linux/arm64
workspace: {access_mode: ReadWriteMany}
pulp_registry_name: prod
pulp: {prod: {url: "https://pulp.example.com"}}
mirror_registry_uri: m.example.com
archive_volume: {claim: x}
git_ca: {config_map: a}
registry_ca: {config_map: b}
`

func TestGood(t *testing.T) {
	for _, text := range []string{"", everything, "layout: fused\nautorebuild: {enabled: false}\n"} {
		if err := validate.Objects(generate(t, text)); err != nil {
			t.Error(err)
		}
	}
	if err := validate.Objects(nil); err != nil {
		t.Error(err)
	}
}

// TestTasks validates the files of the stages themselves.
func TestTasks(t *testing.T) {
	for _, stage := range tasks.Stages() {
		data, err := tasks.Read(stage)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := manifest.Read(stage+".yaml", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Objects(objects); err != nil {
			t.Error(err)
		}
	}
}

// TestFaults wants all faults of each file, in words that are looked at.
func TestFaults(t *testing.T) {
	names, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			err := validate.Objects(read(t, name))
			if failure.KindOf(err) != failure.Usage {
				t.Fatalf("kind of %v", err)
			}
			golden.Check(t, *update, strings.TrimSuffix(name, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

// TestTooLarge bounds the Pipeline, of which each run has a copy.
func TestTooLarge(t *testing.T) {
	objects := generate(t, "")
	for _, o := range objects {
		if o.GetKind() == "Pipeline" {
			if err := o.PipeE(yaml.Get("spec"), yaml.SetField("description", yaml.NewStringRNode(strings.Repeat("x", 64_000)))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := validate.Objects(objects); err == nil || !strings.Contains(err.Error(), "at most 64000 are accepted") {
		t.Error(err)
	}
}

func BenchmarkObjects(b *testing.B) {
	objects := generate(b, everything)
	for b.Loop() {
		if err := validate.Objects(objects); err != nil {
			b.Fatal(err)
		}
	}
}
