package tekton

const (
	// pausedSuffix ends the name of the ConfigMap that exists while builds are paused.
	pausedSuffix = "-paused"
	// templateSuffix ends the name of the ConfigMap that holds the PipelineRun to start; templateKey is its key.
	templateSuffix = "-run"
	templateKey    = "pipelinerun.yaml"
)
