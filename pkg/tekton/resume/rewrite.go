package resume

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// reference is one to a result of a task, or to how a task ended: $(tasks.NAME.results.RESULT), ['RESULT'] or ["RESULT"] in the place of
// .RESULT, with [INDEX], [*] or .KEY behind it; $(tasks.NAME.status) and $(tasks.NAME.reason).
var reference = regexp.MustCompile(`\$\(tasks\.([a-zA-Z0-9_-]+)\.(?:(status|reason)|results(?:\.([a-zA-Z0-9_-]+)|\[['"]([^'"\]]+)['"]\])(?:\[(\d+|\*)\]|\.([a-zA-Z0-9_-]+))?)\)`)

// stepReference is one to a result of a step of the same task.
var stepReference = regexp.MustCompile(`\$\(steps\.([a-zA-Z0-9_-]+)\.results\.([a-zA-Z0-9_-]+)\)`)

// rewriter replaces what refers to tasks, results and steps that are not in the resumed run.
type rewriter struct {
	h    *history
	left map[string]*v1.PipelineTask
	// task is the task that is looked at, empty elsewhere.
	task string
	// unknown are the references to what is not known any more.
	unknown []string
}

// rewrite makes the references of a Pipeline right. Tekton has put the values of the failed run's params and contexts in their places; its name
// and UID become those of the resumed run.
func (h *history) rewrite(spec *v1.PipelineSpec, lock string) (*v1.PipelineSpec, error) {
	r := &rewriter{h: h, left: map[string]*v1.PipelineTask{}}
	for n := range spec.Tasks {
		r.left[spec.Tasks[n].Name] = &spec.Tasks[n]
	}
	tasks := make([]v1.PipelineTask, 0, len(spec.Tasks))
	for _, task := range spec.Tasks {
		changed, err := r.one(task)
		if err != nil {
			return nil, err
		}
		if len(r.unknown) > 0 {
			return nil, failure.WithHint(conflict("the task %s of build %s needs %s, which is not known any more", task.Name, h.run.Name, strings.Join(r.unknown, ", ")), "build it again")
		}
		tasks = append(tasks, changed)
	}
	var finally []v1.PipelineTask
	for _, task := range spec.Finally {
		changed, err := r.one(task)
		if err != nil {
			return nil, err
		}
		if len(r.unknown) == 0 { // Tekton skips one whose results are missing, too
			finally = append(finally, changed)
		}
	}
	results, err := r.results(spec.Results, lock)
	if err != nil {
		return nil, err
	}
	spec.Tasks, spec.Finally, spec.Results = tasks, finally, results
	return spec, nil
}

// one is a task with its references made right; r.unknown says which could not be.
func (r *rewriter) one(task v1.PipelineTask) (v1.PipelineTask, error) {
	r.task, r.unknown = task.Name, nil
	var out v1.PipelineTask
	err := r.through(task, &out)
	return out, err
}

// results are the results of the Pipeline. Tekton takes no value without a reference: the message of the lock stage serves, which is empty
// when that has succeeded. What is not known is left out.
func (r *rewriter) results(before []v1.PipelineResult, lock string) ([]v1.PipelineResult, error) {
	nothing := ""
	for _, result := range resultsOf(r.left[lock]) {
		if result.Name == "message" || result.Name == lockStage+"-message" {
			nothing = "$(tasks." + lock + ".results." + result.Name + ")"
		}
	}
	var out []v1.PipelineResult
	for _, result := range before {
		r.task, r.unknown = "", nil
		var changed v1.PipelineResult
		if err := r.through(result, &changed); err != nil {
			return nil, err
		}
		if len(r.unknown) > 0 {
			continue
		}
		if changed.Value.Type == v1.ParamTypeString && !strings.Contains(changed.Value.StringVal, "$(tasks.") {
			if nothing == "" || strings.Contains(changed.Value.StringVal, "$") {
				continue
			}
			changed.Value.StringVal = literal(changed.Value.StringVal, nothing)
		}
		out = append(out, changed)
	}
	return out, nil
}

// literal is a text as the value of a result. Tekton splits that at each $, and takes each part for a reference, which may have a key of an object
// behind a last dot: so the text begins with a reference, and has another before each of its dots. All of them stand for nothing.
func literal(text, nothing string) string {
	return nothing + strings.ReplaceAll(text, ".", nothing+".")
}

func resultsOf(task *v1.PipelineTask) []v1.TaskResult {
	if task.TaskSpec == nil {
		return nil
	}
	return task.TaskSpec.Results
}

// through takes a value through its JSON, in which every string is looked at.
func (r *rewriter) through(in, out any) error {
	data, err := json.Marshal(in)
	var tree any
	if err == nil {
		err = json.Unmarshal(data, &tree)
	}
	if err == nil {
		data, err = json.Marshal(r.walk(tree))
	}
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		return failure.New(failure.Internal, "rewriting the Pipeline of %s: %w", r.h.run.Name, err)
	}
	return nil
}

func (r *rewriter) walk(node any) any {
	switch n := node.(type) {
	case string:
		if list, is := r.list(n); is {
			return list
		}
		return r.text(n)
	case []any:
		out := make([]any, 0, len(n))
		for _, item := range n {
			switch changed := r.walk(item).(type) {
			case []any: // $(...[*]) in a list stands for its elements
				out = append(out, changed...)
			default:
				out = append(out, changed)
			}
		}
		return out
	case map[string]any:
		for key, value := range n {
			n[key] = r.walk(value)
		}
	}
	return node
}

// list is the value of a string that is nothing but a reference to a whole list which is gone.
func (r *rewriter) list(s string) ([]any, bool) {
	m := reference.FindStringSubmatch(s)
	if m == nil || m[0] != s || m[5] != "*" || r.stays(m[1], m[3]+m[4]) {
		return nil, false
	}
	value, known := r.h.result(m[1], m[3]+m[4])
	if !known {
		r.unknown = append(r.unknown, s)
		return nil, false
	}
	out := make([]any, 0, len(value.ArrayVal))
	for _, v := range value.ArrayVal {
		out = append(out, v)
	}
	return out, true
}

// stays says whether the resumed run has a result of its own: the task, and the step that makes it.
func (r *rewriter) stays(task, result string) bool {
	left := r.left[task]
	if left == nil {
		return slices.ContainsFunc(r.h.spec.Finally, func(t v1.PipelineTask) bool { return t.Name == task })
	}
	return left.TaskSpec == nil || slices.ContainsFunc(left.TaskSpec.Results, func(t v1.TaskResult) bool { return t.Name == result })
}

// text is a string with everything in it made right.
func (r *rewriter) text(s string) string {
	s = replaceWhole(s, string(r.h.run.UID), "$(context.pipelineRun.uid)")
	s = replaceWhole(s, r.h.run.Name, "$(context.pipelineRun.name)")
	s = reference.ReplaceAllStringFunc(s, func(found string) string {
		m := reference.FindStringSubmatch(found)
		if m[2] != "" {
			return r.ending(m[1], found)
		}
		if r.stays(m[1], m[3]+m[4]) {
			return found
		}
		return r.value(m, found)
	})
	return stepReference.ReplaceAllStringFunc(s, func(found string) string {
		m := stepReference.FindStringSubmatch(found)
		if left := r.left[r.task]; left == nil || stepOf(*left, m[1]) >= 0 {
			return found
		}
		if state := r.h.step(r.task, m[1]); state != nil {
			for _, result := range state.Results {
				if result.Name == m[2] {
					return result.Value.StringVal
				}
			}
		}
		r.unknown = append(r.unknown, found)
		return found
	})
}

// ending is how a task that is gone has ended.
func (r *rewriter) ending(task, found string) string {
	if r.left[task] != nil {
		return found
	}
	return "Succeeded"
}

// value is that of a result which is gone.
func (r *rewriter) value(m []string, found string) string {
	value, known := r.h.result(m[1], m[3]+m[4])
	switch index, key := m[5], m[6]; {
	case !known:
	case index == "*":
		text, err := json.Marshal(value.ArrayVal)
		if err == nil {
			return string(text)
		}
	case index != "":
		if n, err := strconv.Atoi(index); err == nil && n < len(value.ArrayVal) {
			return value.ArrayVal[n]
		}
	case key != "":
		if v, has := value.ObjectVal[key]; has {
			return v
		}
	case value.Type == v1.ParamTypeString:
		return value.StringVal
	}
	r.unknown = append(r.unknown, found)
	return found
}

// replaceWhole replaces a name where it stands for itself, and is not a part of a longer one.
func replaceWhole(s, name, with string) string {
	if name == "" || !strings.Contains(s, name) {
		return s
	}
	part := func(c byte) bool {
		return c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	var out strings.Builder
	for {
		n := strings.Index(s, name)
		if n < 0 {
			return out.String() + s
		}
		end := n + len(name)
		out.WriteString(s[:n])
		if n > 0 && part(s[n-1]) || end < len(s) && part(s[end]) {
			out.WriteString(name)
		} else {
			out.WriteString(with)
		}
		s = s[end:]
	}
}
