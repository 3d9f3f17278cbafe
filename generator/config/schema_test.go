package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	schemas "github.com/google/jsonschema-go/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/pulp"
	"github.com/osbs-tekton/osbs/pkg/repoconfig"
)

// maker makes the schema of the types: descriptions from their comments, the rest from the rules and from Default.
type maker struct {
	t        *testing.T
	comments map[string]string
	// names are the keys of the fields whose names have more than one word.
	names map[string]string
}

var severalWords = regexp.MustCompile(`\b[A-Z][a-z]+[A-Z][A-Za-z]+\b`)

// newMaker reads the comments of the fields, by type and field.
func newMaker(t *testing.T) *maker {
	t.Helper()
	m := &maker{t: t, comments: map[string]string{}, names: map[string]string{}}
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				m.comments[spec.Name.Name+"."+f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return true
	})
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		m.names[f.Name], _, _ = strings.Cut(f.Tag.Get("json"), ",")
	}
	return m
}

// description is the comment of a field, in the words of the file's keys.
func (m *maker) description(owner reflect.Type, field reflect.StructField) string {
	comment := m.comments[owner.Name()+"."+field.Name]
	rest, ok := strings.CutPrefix(comment, field.Name+" ")
	if !ok {
		m.t.Errorf("the comment of %s.%s does not begin with its name: %q", owner.Name(), field.Name, comment)
		return comment
	}
	verb, rest, _ := strings.Cut(rest, " ")
	switch verb {
	case "is", "are", "has":
		rest = strings.ToUpper(rest[:1]) + rest[1:]
		if verb == "has" {
			rest = "Has " + strings.ToLower(rest[:1]) + rest[1:]
		}
	default:
		rest = strings.ToUpper(verb[:1]) + verb[1:] + " " + rest
	}
	return severalWords.ReplaceAllStringFunc(rest, func(word string) string {
		if key, ok := m.names[word]; ok && key != "-" {
			return key
		}
		return word
	})
}

func (m *maker) raw(v any) json.RawMessage {
	m.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		m.t.Fatal(err)
	}
	return data
}

// schema is that of a value of type t; standard is what Default has for it.
func (m *maker) schema(t reflect.Type, at place, standard reflect.Value) *schemas.Schema {
	switch t {
	case reflect.TypeFor[List]():
		return m.list(at)
	case reflect.TypeFor[Layout]():
		return m.layout(at)
	case reflect.TypeFor[map[string]any]():
		return m.object(at)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.schema(t.Elem(), at, reflect.Zero(t.Elem()))
	case reflect.Struct:
		return m.structure(t, at, standard)
	case reflect.Map:
		s := &schemas.Schema{Type: "object", AdditionalProperties: m.schema(t.Elem(), at.entry("x"), reflect.Zero(t.Elem()))}
		if keys := ruleOf(at).keys; keys != nil {
			s.PropertyNames = m.text(*keys)
		}
		return s
	case reflect.Slice:
		return &schemas.Schema{Type: "array", Items: m.schema(t.Elem(), at.element(0), reflect.Zero(t.Elem()))}
	case reflect.Bool:
		return &schemas.Schema{Type: "boolean"}
	case reflect.Int:
		least, most := float64(ruleOf(at).least), float64(ruleOf(at).most)
		return &schemas.Schema{Type: "integer", Minimum: &least, Maximum: &most}
	}
	return m.text(ruleOf(at))
}

func (m *maker) text(r rule) *schemas.Schema {
	s := &schemas.Schema{Type: "string", Pattern: r.pattern, Examples: r.examples}
	for _, word := range r.enum {
		s.Enum = append(s.Enum, word)
	}
	if r.longest > 0 {
		s.MaxLength = &r.longest
	}
	if one := 1; !r.empty && r.pattern == "" && r.enum == nil {
		s.MinLength = &one
	}
	if r.number {
		s.Type, s.Types = "", []string{"string", "number"}
	}
	return s
}

func (m *maker) list(at place) *schemas.Schema {
	one := 1
	item := m.text(ruleOf(at.element(0)))
	item.Examples = nil
	examples := ruleOf(at).examples
	if examples == nil {
		examples = ruleOf(at.element(0)).examples
	}
	return &schemas.Schema{Examples: examples, OneOf: []*schemas.Schema{
		{Type: "array", Items: item, MinItems: &one}, {Type: "string", MinLength: &one, Description: "the elements, with commas between them"},
	}}
}

func (m *maker) layout(at place) *schemas.Schema {
	one := 1
	name := m.text(ruleOf(at))
	name.Examples = nil
	stage := m.text(ruleOf(at.element(0).element(0)))
	return &schemas.Schema{Examples: ruleOf(at).examples, OneOf: []*schemas.Schema{
		name,
		{Type: "array", Items: &schemas.Schema{OneOf: []*schemas.Schema{{Type: "array", Items: stage, MinItems: &one}, {Type: "string", MinLength: &one}}}},
	}}
}

// object is what Kubernetes' types describe.
func (m *maker) object(at place) *schemas.Schema {
	if at.kind == "stage.pod_template" {
		return &schemas.Schema{Type: "object"}
	}
	never := &schemas.Schema{Not: &schemas.Schema{}}
	return &schemas.Schema{Type: "object", AdditionalProperties: never, PropertyOrder: []string{"key", "operator", "value", "effect", "tolerationSeconds"},
		Properties: map[string]*schemas.Schema{
			"key": {Type: "string"}, "value": {Type: "string"}, "tolerationSeconds": {Type: "integer"},
			"operator": {Type: "string", Enum: []any{"", "Equal", "Exists"}}, "effect": {Type: "string", Enum: []any{"", "NoSchedule", "PreferNoSchedule", "NoExecute"}},
		}}
}

func (m *maker) structure(t reflect.Type, at place, standard reflect.Value) *schemas.Schema {
	at = at.in(t)
	s := &schemas.Schema{Type: "object", AdditionalProperties: &schemas.Schema{Not: &schemas.Schema{}}, Properties: map[string]*schemas.Schema{},
		DependentRequired: map[string][]string{}}
	for _, f := range fieldsOf(t) {
		one := at.field(f.name)
		p := m.schema(t.Field(f.index).Type, one, standard.Field(f.index))
		p.Description = m.description(t, t.Field(f.index))
		p.Default = m.standard(one, standard.Field(f.index))
		s.Properties[f.name] = p
		s.PropertyOrder = append(s.PropertyOrder, f.name)
		if f.required {
			s.Required = append(s.Required, f.name)
		}
		if needs := ruleOf(one).needs; needs != "" {
			s.DependentRequired[f.name] = []string{needs}
		}
	}
	switch t {
	case reflect.TypeFor[Source]():
		s.OneOf = []*schemas.Schema{{Required: []string{"config_map"}}, {Required: []string{"secret"}}}
	case reflect.TypeFor[Volume]():
		s.OneOf = []*schemas.Schema{{Required: []string{"claim"}}, {Required: []string{"nfs"}}}
	}
	return s
}

// standard is the value of a key that is not there: Default's, or the stage's own.
func (m *maker) standard(at place, v reflect.Value) json.RawMessage {
	if l, ok := v.Interface().(Layout); ok {
		return m.raw(l.Name)
	}
	if !v.IsZero() && v.Kind() != reflect.Struct {
		return m.raw(v.Interface())
	}
	if u := ruleOf(at).unset; u != nil {
		return m.raw(u)
	}
	return nil
}

// makeSchema is the schema as the file has it.
func makeSchema(t *testing.T) (*schemas.Schema, []byte) {
	t.Helper()
	s := newMaker(t).schema(reflect.TypeFor[Config](), place{}, reflect.ValueOf(*Default()))
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Configuration of osbs generate"
	s.Description = "What a site decides about its pipeline. A list may be written as one text with commas between its elements."
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return s, append(b.Bytes(), '\n')
}

func TestSchemaIsCurrent(t *testing.T) {
	_, text := makeSchema(t)
	golden.Check(t, *update, "schema.json", string(text))
	if !*update && !bytes.Equal(Schema(), text) {
		t.Error("Schema differs from schema.json")
	}
}

// TestEveryRuleHasAKey finds rules that no field has, such as after a renaming.
func TestEveryRuleHasAKey(t *testing.T) {
	used := map[string]bool{}
	var walk func(reflect.Type, place)
	walk = func(typ reflect.Type, at place) {
		used[at.kind] = true
		switch {
		case typ == reflect.TypeFor[Layout]():
			used[at.element(0).element(0).kind] = true
		case typ.Kind() == reflect.Pointer:
			walk(typ.Elem(), at)
		case typ.Kind() == reflect.Slice:
			walk(typ.Elem(), at.element(0))
		case typ.Kind() == reflect.Map:
			walk(typ.Elem(), at.entry("x"))
		case typ.Kind() == reflect.Struct:
			at = at.in(typ)
			for _, f := range fieldsOf(typ) {
				walk(typ.Field(f.index).Type, at.field(f.name))
			}
		}
	}
	walk(reflect.TypeFor[Config](), place{})
	for kind := range rulesByKind {
		if !used[kind] {
			t.Errorf("no key has the rule %s", kind)
		}
	}
}

// TestUnsetIsTheStagesDefault compares what the schema says about empty keys with the packages of the stages.
func TestUnsetIsTheStagesDefault(t *testing.T) {
	if got := rulesByKind["repo_config"].unset; got != repoconfig.DefaultName {
		t.Errorf("repo_config: %v", got)
	}
	if got := strings.TrimSuffix(pulp.DefaultTimeout.String(), "0s"); rulesByKind["pulp.timeout"].unset != got {
		t.Errorf("pulp.timeout: %v", got)
	}
	if got := rulesByKind["pulp.api_prefix"].unset; got != pulp.DefaultAPIPrefix {
		t.Errorf("pulp.api_prefix: %v", got)
	}
}

// compile reads the schema with another library than the one that writes it.
func compile(t testing.TB) *validator.Schema {
	t.Helper()
	c := validator.NewCompiler()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AddResource("osbs.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("osbs.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a file as a JSON schema sees it; nil if there is nothing in it.
func instance(data []byte) (any, error) {
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil || v == nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return validator.UnmarshalJSON(bytes.NewReader(text))
}

// onlyLoad are the files whose faults a schema cannot express.
var onlyLoad = []string{"cycle-deep", "documents", "fused", "partition", "platforms"}

func TestSchemaAgreesWithLoad(t *testing.T) {
	s := compile(t)
	for name, data := range files(t, "good/*.yaml") {
		if _, err := Load(name, data); err != nil {
			t.Error(err)
		}
		if v, err := instance(data); err != nil || v != nil && s.Validate(v) != nil {
			t.Errorf("%s: %v %v", name, err, s.Validate(v))
		}
	}
	for name, data := range files(t, "bad/*.yaml") {
		v, err := instance(data)
		accepted := err == nil && s.Validate(v) == nil
		base := strings.TrimSuffix(filepath.Base(name), ".yaml")
		if accepted != slices.Contains(onlyLoad, base) && err == nil {
			t.Errorf("%s: the schema accepts it: %v", name, accepted)
		}
	}
}

// TestSchemaFindsEachFault has one fault in each text.
func TestSchemaFindsEachFault(t *testing.T) {
	s := compile(t)
	for _, text := range []string{
		"nam: x", "name: 5", "name: A", "layout: fuse", "layout: [[clone, scan]]", "platforms: [x]", "registry_uri: 5", "registry_uri: []", "registry_uri: [ftp://x]",
		"git_ca: {config_map: a, secret: b}", "git_ca: {}", "git_ca: {config_map: a, kye: b}", "archive_dir: x", "pulp_timeout: 1h", "pulp_secret: a", "pulp: {a: {}}", "pulp: {a: {url: ftp://x}}", "pulp: {a: {url: https://x/pulp}}", "pulp: {a b: {url: https://x}}",
		"pulp: {a: {url: https://x, api_prefix: pulp}}", "pulp: {a: {url: https://x, registry: r/v2}}", "pulp: {a: {url: https://x, retain_versions: -1}}", "pulp: {a: {url: https://x, ca: {}}}", "timeout: 4", "timeout: 4 h",
		"jobs: -1", "jobs: 1.5", "layer_cache: 'true'", "lock_policy: queue", "stages: {bild: {}}", "stages: {build: {retries: 11}}", "stages: {build: {env: {A-B: x}}}",
		"stages: {build: {tolerations: [{kye: a}]}}", "stages: {build: {resources: {limits: {gpu: 1}}}}", "storage: {claim: a, nfs: {server: a, path: /b}}",
		"storage: {nfs: {server: a}}", "build_secret: [{id: a}]", "autorebuild: {rate: 0}", "labels: {a: 'b c'}", "[]", "labels:",
	} {
		v, err := instance([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("the schema accepts %s", text)
		}
		if _, err := Load("x", []byte(text)); err == nil {
			t.Errorf("Load accepts %s", text)
		}
	}
}

func TestExamplesOfTheSchemaAreValid(t *testing.T) {
	for _, key := range []string{"layout", "platforms", "registry_uri", "committer_email", "timeout"} {
		for _, example := range rulesByKind[key].examples {
			text, err := json.Marshal(map[string]any{key: example, "workspace": map[string]any{"access_mode": "ReadWriteMany"}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Load("x", text); err != nil {
				t.Error(err)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"good/*.yaml", "bad/*.yaml"} {
		for _, data := range files(f, pattern) {
			f.Add(data)
		}
	}
	s := compile(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Load("osbs.yaml", data)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "osbs.yaml:") {
					t.Errorf("line %q", line)
				}
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("Load accepts what Validate does not: %v", err)
		}
		v, err := instance(data)
		if err != nil {
			t.Fatal(err)
		}
		if v == nil {
			return
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("Load accepts what the schema does not: %v", fmt.Sprint(err))
		}
	})
}
