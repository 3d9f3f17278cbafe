package tekton

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

var update = golden.Flag()

// fixture reads a file of testdata/builds: a PipelineRun, then its TaskRuns.
func fixture(t *testing.T, name string) (*v1.PipelineRun, []v1.TaskRun) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "builds", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var run v1.PipelineRun
	var tasks []v1.TaskRun
	for n, document := range strings.Split(string(data), "\n---\n") {
		if n == 0 {
			err = yaml.UnmarshalStrict([]byte(document), &run)
		} else {
			tasks = append(tasks, v1.TaskRun{})
			err = yaml.UnmarshalStrict([]byte(document), &tasks[n-1])
		}
		if err != nil {
			t.Fatalf("document %d of %s: %v", n, name, err)
		}
	}
	return &run, tasks
}

// TestBuildOf: what a PipelineRun and its TaskRuns say, in every layout, and whatever may happen to them.
func TestBuildOf(t *testing.T) {
	files, err := filepath.Glob("testdata/builds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			e := json.NewEncoder(&got)
			e.SetIndent("", "  ")
			run, tasks := fixture(t, name)
			if err := e.Encode(buildOf(run, tasks)); err != nil {
				t.Fatal(err)
			}
			golden.Check(t, *update, strings.TrimSuffix(file, ".yaml")+".json", got.String())
		})
	}
}

// TestLayoutsSayTheSame: a build that is complete is the same in every layout.
func TestLayoutsSayTheSame(t *testing.T) {
	run, tasks := fixture(t, "complete-chained")
	want := buildOf(run, tasks)
	for _, layout := range []string{"balanced", "fused"} {
		run, tasks := fixture(t, "complete-"+layout)
		if diff := cmp.Diff(want, buildOf(run, tasks)); diff != "" {
			t.Errorf("%s (-chained +%[1]s):\n%s", layout, diff)
		}
	}
}

// TestEveryFailureHasAStage: whoever is told of a failure is told where, and why.
func TestEveryFailureHasAStage(t *testing.T) {
	for _, name := range []string{
		"failed-clone", "failed-in-shared-pod", "failed-lock", "failed-without-message", "timed-out", "timed-out-step", "timed-out-task",
		"evicted", "pod-deleted", "image-pull", "cancelled", "skipped",
	} {
		b := buildOf(fixture(t, name))
		if b.Failure == nil || b.Failure.Stage == "" || b.Failure.Message == "" || b.Failure.Kind == "" || !b.State.Ended() {
			t.Errorf("%s: %+v is %s", name, b.Failure, b.State)
		}
		for _, s := range b.Stages {
			if !s.State.Ended() && s.State != osbs.New {
				t.Errorf("%s: the build has ended, and stage %s is %s", name, s.Name, s.State)
			}
		}
	}
}
