// Command chains shows what Tekton Chains makes of a build, with Chains' own code: it reads a list of one PipelineRun and its TaskRuns from
// standard input, as `kubectl get pipelineruns,taskruns -o json` prints it, and prints the images that Chains would sign, and the statement
// that it would sign about the build. It signs and stores nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tektoncd/chains/pkg/artifacts"
	"github.com/tektoncd/chains/pkg/chains/formats/slsa/v2alpha4"
	"github.com/tektoncd/chains/pkg/chains/objects"
	"github.com/tektoncd/chains/pkg/config"
	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
)

// maxInput bounds what is read, in bytes.
const maxInput = 64 << 20

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chains:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	build, err := read(in)
	if err != nil {
		return err
	}
	formatter, err := v2alpha4.NewFormatter(config.Config{Builder: config.BuilderConfig{ID: "https://example.com/osbs"}})
	if err != nil {
		return fmt.Errorf("making the formatter: %w", err)
	}
	statement, err := formatter.CreatePayload(ctx, build)
	if err != nil {
		return fmt.Errorf("making the statement: %w", err)
	}
	images := make([]string, 0, 1)
	for _, image := range (&artifacts.OCIArtifact{}).ExtractObjects(ctx, build) {
		images = append(images, fmt.Sprint(image))
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Images    []string `json:"images"`
		Statement any      `json:"statement"`
	}{images, statement})
}

// read makes Chains' object of a list.
func read(in io.Reader) (*objects.PipelineRunObjectV1, error) {
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.NewDecoder(io.LimitReader(in, maxInput)).Decode(&list); err != nil {
		return nil, fmt.Errorf("reading the list: %w", err)
	}
	var build *objects.PipelineRunObjectV1
	var tasks []*v1.TaskRun
	for _, item := range list.Items {
		var kind struct {
			Kind string `json:"kind"`
		}
		if err := json.Unmarshal(item, &kind); err != nil {
			return nil, fmt.Errorf("reading an item: %w", err)
		}
		switch kind.Kind {
		case "PipelineRun":
			run := &v1.PipelineRun{}
			if err := json.Unmarshal(item, run); err != nil {
				return nil, fmt.Errorf("reading the PipelineRun: %w", err)
			}
			build = objects.NewPipelineRunObjectV1(run)
		case "TaskRun":
			task := &v1.TaskRun{}
			if err := json.Unmarshal(item, task); err != nil {
				return nil, fmt.Errorf("reading a TaskRun: %w", err)
			}
			tasks = append(tasks, task)
		}
	}
	if build == nil {
		return nil, errors.New("there is no PipelineRun in the list")
	}
	for _, task := range tasks {
		build.AppendTaskRun(task)
	}
	return build, nil
}
