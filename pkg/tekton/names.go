package tekton

// What a PipelineRun says of the build that it is, for people to select by and for programs to read.
const (
	// LabelBuildConfig has the name of the build config.
	LabelBuildConfig = "osbs.dev/build-config"
	// LabelAutorebuild is "true" or "false", as the label is_autorebuild was in OSBS.
	LabelAutorebuild = "osbs.dev/is-autorebuild"
	// AnnotationReasons has a JSON list of rebuild.Reason.
	AnnotationReasons = "osbs.dev/reasons"
	// AnnotationCausedBy names the build whose image made this one necessary.
	AnnotationCausedBy = "osbs.dev/caused-by"
)

const (
	// pausedSuffix ends the name of the ConfigMap that exists while builds are paused.
	pausedSuffix = "-paused"
	// templateSuffix ends the name of the ConfigMap that holds the PipelineRun to start; templateKey is its key.
	templateSuffix = "-run"
	templateKey    = "pipelinerun.yaml"
)
