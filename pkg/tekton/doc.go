// Package tekton is an instance on a cluster: builds are PipelineRuns of the Pipeline that the generator rendered, and everything
// that people ask of a build is read from the PipelineRun, its TaskRuns and their pods.
package tekton
