// Package tasks holds the Tekton Task of each stage. The files are written by hand; a test compares their params and results with the
// flags and results of the step binaries. Package chain makes a Pipeline of them.
package tasks

import (
	"embed"
	"fmt"
	"slices"
)

//go:embed *.yaml
var files embed.FS

// Stages are the stages of a build in the order of the chain.
func Stages() []string {
	return []string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import"}
}

// Read returns the file with the Task of a stage. A stage that does not exist is an error.
func Read(stage string) ([]byte, error) {
	if !slices.Contains(Stages(), stage) {
		return nil, fmt.Errorf("there is no stage %q: the stages are %v", stage, Stages())
	}
	data, err := files.ReadFile(stage + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("reading the Task of stage %s: %w", stage, err)
	}
	return data, nil
}
