package generator

import (
	"bytes"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/generator/manifest"
)

// Sample is a PipelineRun that a user can create after putting the values in: params get what values has for them, and those without a
// default an example.
func (o *Output) Sample(values map[string]string) *yaml.RNode {
	return install.Sample(o.Run, o.Pipeline, values)
}

// SampleText is Sample as a file for people to change, with about as its comment.
func (o *Output) SampleText(about string, values map[string]string) ([]byte, error) {
	run := o.Sample(values)
	run.YNode().HeadComment = "# " + strings.ReplaceAll(about, "\n", "\n# ")
	var b bytes.Buffer
	if err := manifest.Write(&b, []*yaml.RNode{run}); err != nil {
		return nil, err
	}
	_, text, _ := bytes.Cut(b.Bytes(), []byte("---\n")) // what is above says that the file is not to be edited
	return text, nil
}
