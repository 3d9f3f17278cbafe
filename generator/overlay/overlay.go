// Package overlay changes what the generator makes, without a fork of it: a file with a list of entries, each of which names what it
// changes. What an entry names must be there; a name that matches nothing is an error that says file, line and the nearest name.
// docs/overlays.md describes the entries.
package overlay

import (
	"fmt"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
)

// Entry is one change that an overlay asks for.
type Entry struct {
	// File and Line say where it stands.
	File string
	Line int

	verb verb
	// target is the stage or task that the entry is about.
	target string
	// before or after is the stage or task next to which a task is inserted.
	before, after string
	task          *task
	// values are the params of set, the labels or the annotations.
	values []value
	// param is a ParamSpec.
	param *yaml.Node
	// on is the object that is patched or labelled.
	on    selector
	merge *yaml.Node
	add   bool
}

// verb is what an entry does: the key by which it is told apart.
type verb string

const (
	disable     verb = "disable"
	replace     verb = "replace"
	insert      verb = "insert"
	finally     verb = "finally"
	set         verb = "set"
	declare     verb = "param"
	patch       verb = "patch"
	labels      verb = "labels"
	annotations verb = "annotations"
)

// value is a named value of an entry, and where it stands.
type value struct {
	name string
	node *yaml.Node
	line int
}

// selector names an object. An empty kind means all objects, an empty name the only one of the kind.
type selector struct{ kind, name string }

// taskKind is the kind of the objects that are in the chain, not among the rendered ones.
const taskKind = "Task"

// changesChain says whether the entry is for ApplyToChain.
func (e Entry) changesChain() bool {
	switch e.verb {
	case patch, labels, annotations:
		return e.on.kind == taskKind
	default:
		return true
	}
}

// Change is what an entry has changed.
type Change struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Object is what was changed, such as "Pipeline osbs" or "stage push".
	Object string `json:"object"`
	// Path is where in it, and empty if the change is about all of it.
	Path string `json:"path,omitempty"`
	// What is what has happened there.
	What string `json:"what"`
}

func (c Change) String() string {
	if c.Path == "" {
		return fmt.Sprintf("%s:%d: %s: %s", c.File, c.Line, c.Object, c.What)
	}
	return fmt.Sprintf("%s:%d: %s: %s: %s", c.File, c.Line, c.Object, c.Path, c.What)
}

// ApplyToChain applies the entries that change stages, tasks and params, in their order; the others are left to ApplyToObjects. All
// faults are reported at once, as failure.Usage; c is not to be used then.
func ApplyToChain(c *chain.Chain, entries []Entry) ([]Change, error) {
	a := newApplier(c)
	for _, e := range entries {
		if e.changesChain() {
			a.apply(e)
		}
	}
	a.settle()
	return a.changes, a.faults.err()
}
