package resume

import (
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// TestResultsThatLookLikeReferences does not put what a failed run has said into a Pipeline where Tekton would take it for a reference.
func TestResultsThatLookLikeReferences(t *testing.T) {
	for name, c := range map[string]struct {
		value v1.ResultValue
		known bool
	}{
		"text":   {*v1.NewStructuredValues("costs $5 (net)"), true},
		"string": {*v1.NewStructuredValues("a$(params.git-secret)"), false},
		"array":  {*v1.NewStructuredValues("a", "$(tasks.lock.results.build-config)"), false},
		"object": {*v1.NewObject(map[string]string{"key": "$(context.pipelineRun.uid)"}), false},
	} {
		task := v1.TaskRun{}
		task.Status.Results = []v1.TaskRunResult{{Name: "tags", Value: c.value}}
		h := &history{run: &v1.PipelineRun{}, spec: &v1.PipelineSpec{}, byTask: map[string][]v1.TaskRun{"push": {task}}}
		if _, known := h.result("push", "tags"); known != c.known {
			t.Errorf("%s: known %v, want %v", name, known, c.known)
		}
	}
}
