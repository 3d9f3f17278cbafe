package step

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// describeFlag makes a step binary print its Description as JSON. It is for tests and generators, so -help does not tell of it.
const describeFlag = "-describe"

// Description is what a step binary takes and gives.
type Description struct {
	Name    string            `json:"name"`
	Summary string            `json:"summary"`
	Flags   []FlagDescription `json:"flags"`
	Results []Result          `json:"results"`
}

// FlagDescription is one flag.
type FlagDescription struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Type is string, bool, int, duration or list.
	Type    string `json:"type"`
	Default string `json:"default"`
	// Variable is the environment variable that the flag falls back to.
	Variable string `json:"variable"`
	// Required says that the flag must not be empty; Positional that it takes what follows `--`.
	Required   bool `json:"required,omitempty"`
	Positional bool `json:"positional,omitempty"`
}

// Describe tells what the step takes and gives.
func (s Spec) Describe() Description {
	f := newFlagSet(s)
	s.Flags(f)
	d := Description{Name: s.Name, Summary: s.Summary, Results: append(slices.Clone(s.Results), Result{ResultMessage, "why the step failed; empty if it did not"})}
	f.VisitAll(func(g *flag.Flag) {
		d.Flags = append(d.Flags, FlagDescription{
			Name: g.Name, Description: strings.TrimSuffix(g.Usage, mayBeRepeated), Type: typeOf(g.Value), Default: g.DefValue,
			Variable: Variable(g.Name), Required: slices.Contains(f.required, g.Name), Positional: f.positional != nil && g.Name == f.positional.name,
		})
	})
	return d
}

func typeOf(v flag.Value) string {
	if _, ok := v.(*list); ok {
		return "list"
	}
	if g, ok := v.(flag.Getter); ok {
		switch g.Get().(type) {
		case bool:
			return "bool"
		case int:
			return "int"
		case time.Duration:
			return "duration"
		}
	}
	return "string"
}

func (s Spec) describe(w io.Writer) int {
	data, err := json.MarshalIndent(s.Describe(), "", "  ")
	if err != nil {
		return failure.Internal.ExitCode()
	}
	fmt.Fprintln(w, string(data))
	return 0
}
