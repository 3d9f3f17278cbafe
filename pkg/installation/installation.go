// Package installation names what an installation in a namespace consists of, for those who make it and those who use it: its labels,
// the ConfigMap with the template of its builds, the one that pauses them, and the watcher.
package installation

// Labels of every object of an installation, and what two of them always are.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelComponent = "app.kubernetes.io/component"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelVersion   = "app.kubernetes.io/version"
	Product        = "osbs"
)

// TemplateKey is the key of the ConfigMap Template that has the PipelineRun.
const TemplateKey = "pipelinerun.yaml"

// Selector selects the objects of the installation that is called name. Build configs, locks and the mark of a pause have some of these
// labels, but not all.
func Selector(name string) string {
	return LabelName + "=" + name + "," + LabelPartOf + "=" + Product + "," + LabelManagedBy + "=" + Product
}

// Template is the ConfigMap with the PipelineRun from which `osbs build` starts builds of the Pipeline that is called name.
func Template(name string) string { return name + "-run" }

// Paused is the ConfigMap that exists while no build of the Pipeline that is called name may begin.
func Paused(name string) string { return name + "-paused" }

// WatcherContainer is the container of the Deployment Imagewatch that runs the watcher.
const WatcherContainer = "imagewatch"

// Imagewatch is the Deployment, and the Lease of the leader, of the watcher that starts rebuilds of the Pipeline that is called name.
func Imagewatch(name string) string { return name + "-imagewatch" }
