// Package install makes the objects that a namespace needs beside the Pipeline: service accounts with their rights, what receives
// events and makes PipelineRuns of them, and the watcher of ImageStreams. It also has the one template of a PipelineRun, from which
// the TriggerTemplate and the samples for users are made.
package install
