// Package tektontest has tests ask Tekton's own code whether it takes what was made for it.
package tektontest

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	"sigs.k8s.io/yaml"
)

// Pipeline decodes a Pipeline strictly, sets Tekton's defaults, and fails the test if Tekton refuses it.
func Pipeline(t testing.TB, text string) *v1.Pipeline {
	t.Helper()
	data, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	p := &v1.Pipeline{}
	if err := d.Decode(p); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p.SetDefaults(t.Context())
	if err := p.Validate(t.Context()); err != nil {
		t.Fatalf("Tekton refuses it: %v\n%s", err, text)
	}
	return p
}
