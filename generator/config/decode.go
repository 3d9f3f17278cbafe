package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

const (
	// maxNodes bounds what a file may amount to once its aliases are followed.
	maxNodes = 100_000
	// maxNesting bounds how deep values may be in each other; it also ends aliases that contain themselves.
	maxNesting = 50

	timestampTag = "!!timestamp"
	mergeTag     = "!!merge"
)

// decoder reads a tree of YAML nodes into a Config, and notes each fault and the line of each key. The YAML library's own decoding
// ends at the first fault, and takes words for booleans.
type decoder struct {
	*faults
	lines  map[string]int
	budget int
}

// value reads a node into v, a settable value, as that of key.
func (d *decoder) value(n *yaml.Node, v reflect.Value, at place, depth int) {
	n, ok := d.enter(n, at, depth)
	if !ok {
		return
	}
	switch into := v.Addr().Interface().(type) {
	case *Layout:
		d.layout(n, into, at, depth)
		return
	case *List:
		*into = d.list(n, at, depth)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at, depth)
	case reflect.Struct:
		d.structure(n, v, at, depth)
	case reflect.Map:
		d.mapping(n, v, at, depth)
	case reflect.Slice:
		d.slice(n, v, at, depth)
	case reflect.Interface:
		d.anything(n, v, at, depth)
	default:
		d.scalar(n, v, at)
	}
}

// enter follows an alias, and notes where the key is. It is false if there is nothing to read.
func (d *decoder) enter(n *yaml.Node, at place, depth int) (*yaml.Node, bool) {
	if at.key != "" && d.lines[at.key] == 0 {
		d.lines[at.key] = n.Line
	}
	d.budget--
	switch {
	case depth > maxNesting:
		d.spoil(n.Line, at.key, fmt.Sprintf("values are more than %d deep in each other", maxNesting), "")
		return n, false
	case d.budget == 0:
		d.spoil(n.Line, at.key, fmt.Sprintf("the file amounts to more than %d values", maxNodes), "")
		return n, false
	case d.budget < 0:
		return n, false
	case n.Kind == yaml.AliasNode:
		return d.enter(n.Alias, at, depth+1)
	case n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagNull:
		d.spoil(n.Line, at.key, "has no value", "leave the key out to get its default")
		return n, false
	}
	return n, true
}

// wrongType says that a value is of another type than its key has.
func (d *decoder) wrongType(n *yaml.Node, at place, accepted string) {
	d.spoil(n.Line, at.key, "is "+describe(n), "accepted is "+accepted)
}

// describe says what a node is, without telling more of it than what helps.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case yaml.NodeTagBool:
		return fmt.Sprintf("the boolean %.20s", n.Value)
	case yaml.NodeTagInt, yaml.NodeTagFloat:
		return fmt.Sprintf("the number %.40s", n.Value)
	case yaml.NodeTagString:
		return fmt.Sprintf("the text %.60q", n.Value)
	case timestampTag:
		return fmt.Sprintf("the date %.40s", n.Value)
	}
	return fmt.Sprintf("of the type %.40q", n.Tag)
}

// pair is a key of a mapping with its value.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs are the keys of a mapping. A key that is not a text, or that is there twice, is a fault.
func (d *decoder) pairs(n *yaml.Node, at place, accepted string) []pair {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, at, accepted)
		return nil
	}
	var out []pair
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		line := k.Line
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		name := k.Value
		switch {
		case k.Kind == yaml.ScalarNode && k.ShortTag() == mergeTag:
			d.spoil(line, at.key, "has a merge key (<<)", "write the keys themselves, or an alias for a whole value")
			continue
		case k.Kind != yaml.ScalarNode || k.ShortTag() != yaml.NodeTagString:
			d.spoil(line, at.key, "has a key that is "+describe(k), "keys are texts: write quotes around it")
			continue
		case first[name] > 0:
			d.spoil(line, at.field(name).key, fmt.Sprintf("is there twice, first in line %d", first[name]), "")
			continue
		}
		first[name] = line
		d.lines[at.field(name).key] = line
		out = append(out, pair{name: name, key: k, value: v})
	}
	return out
}

// structure reads a mapping whose keys are those of a struct.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, at place, depth int) {
	at = at.in(v.Type())
	fields := fieldsOf(v.Type())
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.name)
	}
	given := map[string]bool{}
	for _, p := range d.pairs(n, at, "a mapping with the keys "+join(names)) {
		i := slices.Index(names, p.name)
		if i < 0 {
			d.unknown(d.lines[at.field(p.name).key], at, p.name, names)
			continue
		}
		given[p.name] = true
		d.value(p.value, v.Field(fields[i].index), at.field(p.name), depth+1)
	}
	for _, f := range fields {
		if f.required && !given[f.name] && n.Kind == yaml.MappingNode {
			d.spoil(n.Line, at.field(f.name).key, "is missing", "")
		}
	}
}

// unknown says that a key is not known, and which one it may be meant to be.
func (d *decoder) unknown(line int, at place, name string, names []string) {
	accepted := "accepted are " + join(names)
	near := ""
	if to := moved(name); to != "" && at.key == "" {
		d.spoil(line, name, "unknown key", to)
		return
	}
	if len(d.faults.list) < maxFaults { // more are not told
		near = osbsconf.Nearest(name, names)
	}
	if near != "" {
		accepted = "did you mean " + at.field(near).key + "?"
		d.ignore(at.field(near).key) // that it is missing is the same fault
	} else if at.key == "" {
		accepted = "docs/pipeline-configuration.md lists the keys"
	}
	d.spoil(line, at.field(name).key, "unknown key", accepted)
}

// field is a field of a struct, as YAML has it.
type field struct {
	name     string
	index    int
	required bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "-" {
			out = append(out, field{name: name, index: i, required: options == ""})
		}
	}
	return out
}

// mapping reads a mapping whose keys are the site's.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, at place, depth int) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range d.pairs(n, at, "a mapping") {
		one := reflect.New(v.Type().Elem()).Elem()
		d.value(p.value, one, at.entry(p.name), depth+1)
		v.SetMapIndex(reflect.ValueOf(p.name), one)
	}
}

func (d *decoder) slice(n *yaml.Node, v reflect.Value, at place, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, at, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, one := range n.Content {
		d.value(one, v.Index(i), at.element(i), depth+1)
	}
}

// list reads a list, or a text with commas between the elements.
func (d *decoder) list(n *yaml.Node, at place, depth int) []string {
	const accepted = "a list, or a text with commas"
	switch {
	case n.Kind == yaml.SequenceNode:
		out := make([]string, len(n.Content))
		for i, one := range n.Content {
			d.value(one, reflect.ValueOf(&out[i]).Elem(), at.element(i), depth+1)
		}
		if len(out) == 0 {
			d.spoil(n.Line, at.key, "is empty", "leave the key out to get its default")
		}
		return out
	case n.Kind != yaml.ScalarNode || n.ShortTag() != yaml.NodeTagString:
		d.wrongType(n, at, accepted)
		return nil
	}
	var out []string
	for word := range strings.SplitSeq(n.Value, ",") {
		if word = strings.TrimSpace(word); word == "" {
			d.spoil(n.Line, at.key, "is a list with an empty element", "accepted is "+accepted)
			return nil
		}
		out = append(out, word)
	}
	return out
}

// layout reads the name of a layout, or the stages of each pod.
func (d *decoder) layout(n *yaml.Node, into *Layout, at place, depth int) {
	*into = Layout{}
	switch {
	case n.Kind == yaml.SequenceNode:
		into.Pods = make([][]string, len(n.Content))
		for i, one := range n.Content {
			if one, ok := d.enter(one, at.element(i), depth+1); ok {
				into.Pods[i] = d.list(one, at.element(i), depth+1)
			}
		}
	case n.Kind == yaml.ScalarNode && n.ShortTag() == yaml.NodeTagString:
		into.Name = n.Value
	default:
		d.wrongType(n, at, layoutAccepted)
	}
}

const layoutAccepted = "chained, balanced, fused, or a list with the list of stages of each pod"

// scalar reads a text, a boolean or a number.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, at place) {
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode:
		d.wrongType(n, at, scalarName(v.Kind()))
	case v.Kind() == reflect.String:
		d.text(n, v, at)
	case v.Kind() == reflect.Bool && tag == yaml.NodeTagBool, v.Kind() == reflect.Int && tag == yaml.NodeTagInt:
		if n.Decode(v.Addr().Interface()) != nil {
			d.wrongType(n, at, scalarName(v.Kind()))
		}
	default:
		d.wrongType(n, at, scalarName(v.Kind()))
	}
}

// text reads a text. What people forget to put into quotes is told apart from what is wrong.
func (d *decoder) text(n *yaml.Node, v reflect.Value, at place) {
	rule := ruleOf(at)
	tag := n.ShortTag()
	isNumber := tag == yaml.NodeTagInt || tag == yaml.NodeTagFloat
	switch {
	case tag == yaml.NodeTagString || isNumber && rule.number:
		v.SetString(n.Value)
		if n.Value == "" && !rule.empty {
			d.spoil(n.Line, at.key, "is empty", "leave the key out to get its default")
		}
	case isNumber || tag == yaml.NodeTagBool || tag == timestampTag:
		right := rule.right()
		if right == "" || rule.text(n.Value) == nil {
			right = "accepted is a text: write quotes around it"
		}
		d.spoil(n.Line, at.key, "is "+describe(n), right)
	default:
		d.wrongType(n, at, scalarName(v.Kind()))
	}
}

func scalarName(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "a boolean: true or false"
	case reflect.Int:
		return "a whole number"
	default:
		return "a text"
	}
}

// anything reads what Kubernetes' types will check: mappings, lists and scalars as JSON has them.
func (d *decoder) anything(n *yaml.Node, v reflect.Value, at place, depth int) {
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		d.mapping(n, reflect.ValueOf(&m).Elem(), at, depth)
		v.Set(reflect.ValueOf(m))
	case yaml.SequenceNode:
		var s []any
		d.slice(n, reflect.ValueOf(&s).Elem(), at, depth)
		v.Set(reflect.ValueOf(s))
	default:
		var one any
		switch tag := n.ShortTag(); tag {
		case yaml.NodeTagString, timestampTag:
			one = n.Value
		case yaml.NodeTagInt, yaml.NodeTagFloat, yaml.NodeTagBool:
			if n.Decode(&one) != nil || !isJSON(one) {
				d.wrongType(n, at, "what JSON can hold")
				return
			}
		default:
			d.wrongType(n, at, "what JSON can hold")
			return
		}
		v.Set(reflect.ValueOf(one))
	}
}

// isJSON says whether a scalar is one that JSON has: no infinity, for example.
func isJSON(v any) bool {
	switch n := v.(type) {
	case float64:
		return n-n == 0 // false for infinities and for what is no number
	case bool, int, int64, uint64:
		return true
	default:
		return false
	}
}
