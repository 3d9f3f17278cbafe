package pipeline_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"
	kubeyaml "sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/layout"
	"github.com/osbs-tekton/osbs/generator/pipeline"
	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/internal/tektontest"
)

var update = golden.Flag()

// maxSize is what a rendered Pipeline may take.
const maxSize = 60_000

// TestGolden renders testdata/NAME/config.yaml with what testdata/NAME/insert.yaml inserts into the chain, and compares the Pipeline, and
// the pods of its run, with the files beside them.
func TestGolden(t *testing.T) {
	dirs, err := filepath.Glob("testdata/*/config.yaml")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data := read(t, file)
			cfg, err := config.Load(file, data)
			if err != nil {
				t.Fatal(err)
			}
			c, err := chain.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "insert.yaml")); err == nil {
				insert(t, c, string(read(t, filepath.Join(dir, "insert.yaml"))))
			}
			if err := layout.Arrange(c, cfg.Layout); err != nil {
				t.Fatal(err)
			}
			p, err := pipeline.Render(cfg, c)
			if err != nil {
				t.Fatal(err)
			}
			text := p.MustString()
			golden.Check(t, *update, filepath.Join(dir, "pipeline.yaml"), text)
			golden.Check(t, *update, filepath.Join(dir, "pods.yaml"), pods(c))
			tektontest.Pipeline(t, text)
			if len(text) > maxSize {
				t.Errorf("the Pipeline has %d bytes, more than %d", len(text), maxSize)
			}
		})
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pods is what a PipelineRun has to say about the pods, as YAML.
func pods(c *chain.Chain) string {
	var b strings.Builder
	for _, l := range c.Links {
		n := tree.Map("pipelineTaskName", l.Name, "serviceAccountName", l.Pod.ServiceAccount)
		if !l.Pod.Template.IsNil() {
			tree.Set(n, "podTemplate", l.Pod.Template.YNode())
		}
		b.WriteString(yaml.NewRNode(tree.List(n)).MustString())
	}
	return b.String()
}

// link is a link of an insert.yaml: a list of these, each with the name of the link that it comes after.
type link struct {
	Insert   string            `json:"insert"`
	Behind   string            `json:"behind"`
	Params   map[string]string `json:"params"`
	When     []any             `json:"when"`
	Task     any               `json:"task"`
	TaskRef  any               `json:"taskRef"`
	Timeout  string            `json:"timeout"`
	Account  string            `json:"serviceAccount"`
	Binds    map[string]string `json:"workspaces"`
	Finally  bool              `json:"finally"`
	Runafter []string          `json:"runAfter"`
}

// insert puts links into a chain as overlays do.
func insert(t *testing.T, c *chain.Chain, text string) {
	t.Helper()
	var list []link
	if err := kubeyaml.UnmarshalStrict([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	for _, in := range list {
		l := &chain.Link{Name: in.Insert, Origin: "insert.yaml", Timeout: in.Timeout, After: in.Runafter, Workspaces: in.Binds}
		l.Pod.ServiceAccount = in.Account
		if in.Task != nil {
			l.Task = node(t, in.Task)
		}
		if in.TaskRef != nil {
			l.TaskRef = node(t, in.TaskRef)
		}
		for _, w := range in.When {
			l.When = append(l.When, node(t, w))
		}
		names := make([]string, 0, len(in.Params))
		for name := range in.Params {
			names = append(names, name)
		}
		for _, name := range sorted(names) {
			l.Params = append(l.Params, chain.Param{Name: name, Value: yaml.NewRNode(tree.String(in.Params[name]))})
		}
		if in.Finally {
			c.Finally = append(c.Finally, l)
			continue
		}
		at := 0
		for i, other := range c.Links {
			if other.Name == in.Behind || other.Stage == in.Behind && in.Behind != "" {
				at = i + 1
			}
		}
		c.Links = append(c.Links[:at:at], append([]*chain.Link{l}, c.Links[at:]...)...)
	}
}

func node(t *testing.T, v any) *yaml.RNode {
	t.Helper()
	n, err := tree.From(v)
	if err != nil {
		t.Fatal(err)
	}
	return yaml.NewRNode(n)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

// TestTimeout gives each task the time of the whole build, because Tekton would give it an hour; but not one that has a timeout, nor
// one that runs at the end.
func TestTimeout(t *testing.T) {
	cfg, err := config.Load("osbs.yaml", []byte("timeout: 8h\nstages:\n  push:\n    timeout: 30m\n"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Render(cfg, c)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, task := range tree.Items(tree.Get(p.YNode(), "spec"), "tasks") {
		got[tree.Text(task, "name")] = tree.Text(task, "timeout")
	}
	want := map[string]string{"clone": "8h", "detect-base": "8h", "lock": "8h", "prepare": "8h", "build": "8h", "push": "30m", "import": "8h"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
