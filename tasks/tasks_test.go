package tasks_test

import (
	"testing"

	pipelinev1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/tasks"
)

// read decodes a stage's Task; an unknown field is an error.
func read(t *testing.T, stage string) *pipelinev1.Task {
	t.Helper()
	data, err := tasks.Read(stage)
	if err != nil {
		t.Fatal(err)
	}
	task := &pipelinev1.Task{}
	if err := yaml.UnmarshalStrict(data, task); err != nil {
		t.Fatalf("%s.yaml: %v", stage, err)
	}
	return task
}

// TestTasksAreValid is what Tekton's admission webhook does.
func TestTasksAreValid(t *testing.T) {
	for _, stage := range tasks.Stages() {
		task := read(t, stage)
		task.SetDefaults(t.Context())
		if err := task.Validate(t.Context()); err != nil {
			t.Errorf("%s.yaml: %v", stage, err)
		}
	}
}
