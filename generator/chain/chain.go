package chain

import "sigs.k8s.io/kustomize/kyaml/yaml"

// Chain is the stages of a build in their order, and what runs at the end whatever happened.
type Chain struct {
	Links []*Link
	// Finally run in no order when the last link has ended, or one has failed.
	Finally []*Link
	// Params are the params of the Pipeline that no Task has asked for by itself: an overlay declared them. Each is a ParamSpec.
	Params []*yaml.RNode
	// Results are those of the Pipeline, in their order.
	Results []Result
	// Pod is what holds for the pods of links that say nothing else: a service account without rights, no token of the API.
	Pod Pod
}

// Link is one PipelineTask: a stage, one platform's build, a task that an overlay inserted, or (after layout) several stages in one pod.
type Link struct {
	// Name is that of the PipelineTask; $(tasks.NAME.results...) refers to it.
	Name string
	// Stage is the stage in whose place it stands, empty for an inserted task.
	Stage string
	// Task is the whole Task object, whose spec is embedded in the Pipeline. Nil if TaskRef is set.
	Task *yaml.RNode
	// TaskRef refers to a Task of the cluster, or to a custom task.
	TaskRef *yaml.RNode
	// Params are what the Pipeline gives to params of the Task that are not simply the Pipeline's param of the same name.
	Params []Param
	// Workspaces are the names of the Pipeline's workspaces by the names that the Task has for them, where the two differ. A link with a
	// TaskRef has only the workspaces that are named here.
	Workspaces map[string]string
	// When are when-expressions, as Tekton has them.
	When []*yaml.RNode
	// After are the names of the links that come before it. Empty means: all links of the stage before it in the chain.
	After []string
	// Parallel says that it runs beside the link before it, not after it: one platform's build beside another's.
	Parallel bool
	// Timeout is a duration, empty for none; Retries is how often Tekton runs it again.
	Timeout string
	Retries int
	// Pod is what only a PipelineRun can say about the pod.
	Pod Pod
	// Origin says who put it here, for messages: "tasks/build.yaml", or the overlay's file and line.
	Origin string
}

// Param is a value for a param of a Task.
type Param struct {
	Name string
	// Value is a scalar or a list, in which Tekton's variables may stand.
	Value *yaml.RNode
}

// Pod is what a PipelineRun says about the pod of a link, in taskRunSpecs.
type Pod struct {
	// ServiceAccount is empty for the run's own.
	ServiceAccount string
	// Template is a Tekton pod template (nodeSelector, tolerations, hostUsers, ...), nil for none.
	Template *yaml.RNode
}

// Result is a result of the Pipeline.
type Result struct {
	Name, Description string
	// Link and Of are the link's name and its result.
	Link, Of string
	// Optional: the Pipeline goes without it when a task in the place of the link has no such result.
	Optional bool
}
