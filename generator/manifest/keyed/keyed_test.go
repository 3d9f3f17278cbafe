package keyed

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

func parse(t *testing.T, text string) *yaml.Node {
	t.Helper()
	n, faults := Parse(text, 1)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return n
}

func TestKeyOf(t *testing.T) {
	for _, tc := range []struct {
		field string
		lists []string
		want  string
	}{
		{"steps", []string{"[{name: a}, {name: b}]", "[]"}, "[name]"},
		{"steps", []string{"[{name: a}]", "[{image: b}]"}, "[]"},
		{"steps", []string{"[{name: a}, {name: a}]"}, "[]"},
		{"steps", []string{"[]"}, "[]"},
		{"steps", []string{"a: b"}, "[]"},
		{"args", []string{"[a, b]"}, "[]"},
		{"params", []string{"[{name: a, type: string}, {name: b, type: string}]"}, "[name]"},
		{"volumeMounts", []string{"[{name: a, mountPath: /a}, {name: a, mountPath: /b}]"}, "[mountPath]"},
		{"subjects", []string{"[{kind: User, name: a}, {kind: Group, name: a}]"}, "[kind name]"},
		{"subjects", []string{"[{kind: S, name: a, namespace: x}, {kind: S, name: a, namespace: y}]"}, "[kind namespace name]"},
		{"ports", []string{"[{port: 80}, {port: 443}]"}, "[port]"},
		{"ports", []string{"[{containerPort: 80, name: a}]"}, "[containerPort]"},
		{"tolerations", []string{"[{key: a}, {key: b}]"}, "[]"},
	} {
		var lists []*yaml.Node
		for _, text := range tc.lists {
			lists = append(lists, parse(t, text))
		}
		if got := fmt.Sprint(KeyOf(tc.field, append(lists, nil)...)); got != tc.want {
			t.Errorf("KeyOf(%s, %v) = %s, want %s", tc.field, tc.lists, got, tc.want)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"{a: 1, b: [x]}", "b:\n- 'x'\na: 1 # one\n", true},
		{"a: 1", `a: "1"`, false},
		{"a: 0644", "a: 420", true},
		{"a: true", "a: True", true},
		{"a: 1.50", "a: 1.5", true},
		{"a: yes", `a: "yes"`, true}, // YAML 1.2, as Kubernetes' tools write it
		{"[a, b]", "[b, a]", false},
		{"a: null", "a: ~", true},
		{"a: null", "b: 1", false},
		{"a: 1", "a: {b: 1}", false},
		{"a: |\n  x\n", `a: "x\n"`, true},
	} {
		if got := Equal(parse(t, tc.a), parse(t, tc.b)); got != tc.want {
			t.Errorf("Equal(%q, %q) = %v", tc.a, tc.b, got)
		}
	}
	if !Equal(nil, parse(t, "null")) || Equal(nil, parse(t, "a")) {
		t.Error("what is not there is not null")
	}
}

func TestCompare(t *testing.T) {
	a := parse(t, `
spec:
  steps:
  - name: a
    args: [x]
    env: [{name: E, value: "1"}]
  - name: b
  gone: 1
  labels: {example.com/x: a}
`)
	b := parse(t, `
spec:
  labels: {example.com/x: b}
  steps:
  - name: b
  - name: a
    args: [x, y]
    env: [{name: E, value: "2"}]
  - name: c
  kind: {changed: {}}
`)
	var got []string
	for _, d := range Compare(a, b) {
		got = append(got, fmt.Sprintf("%s: %s -> %s %v", d.Path, Show(d.Old), Show(d.New), d.Moved))
	}
	want := []string{
		"spec.steps[a].args: [x] -> [x, y] false",
		"spec.steps[a].env[E].value: 1 -> 2 false",
		"spec.steps[c]:  -> {name: c} false",
		"spec.steps: [{name: a, args: [x], env: [{name: E, value: \"1\"}]}, {name: b}] -> [{name: b}, {name: a, args: [x, y], env: [{name: E, value: \"2\"}]}, {name: c}] true",
		"spec.kind:  -> {changed: {}} false",
		"spec.gone: 1 ->  false",
		"spec.labels[example.com/x]: a -> b false",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnion(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{"a b c", "a x b", "a x b c"},
		{"a b", "x y a z", "x y a z b"},
		{"", "a b", "a b"},
		{"b a", "a b c", "b c a"},
	} {
		if got := strings.Join(Union(strings.Fields(tc.a), strings.Fields(tc.b)), " "); got != tc.want {
			t.Errorf("Union(%s, %s) = %s, want %s", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestParse(t *testing.T) {
	n := parse(t, "base: &b {a: 1, b: [x]}\none: {<<: *b, a: 2}\ntwo: *b\n")
	if got, want := Show(n), "{base: {a: 1, b: [x]}, one: {a: 2, b: [x]}, two: {a: 1, b: [x]}}"; got != want {
		t.Errorf("aliases: %s, want %s", got, want)
	}
	if n := parse(t, "# nothing\n"); n != nil {
		t.Errorf("an empty text: %v", n)
	}
	if _, faults := Parse("a: 1\nb: 2\na: 3\n", 11); len(faults) != 1 || faults[0].Error() != `13: the key "a" stands here twice` {
		t.Errorf("lines are not counted from the first: %v", faults)
	}
}

// TestIllegible finds what the parser would take for something else, or would name no line of.
func TestIllegible(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		line int
		want string
	}{
		"plain":    {"a: b\r\nc:\td\n", 0, ""},
		"foreign":  {"a: \u00e9\ufffd\n", 0, ""},
		"marked":   {"\ufeffa: b\n", 0, ""},
		"Latin-1":  {"a: b\nc: \xe9\n", 2, "a byte is not UTF-8; save the file as UTF-8"},
		"UTF-16":   {"\xff\xfea\x00", 1, "a byte is not UTF-8; save the file as UTF-8"},
		"NUL":      {"a: b\n\nc: \x00\n", 3, `the control character U+0000; leave it out, or write it as "\x00"`},
		"a delete": {"\x7f", 1, `the control character U+007F; leave it out, or write it as "\x7f"`},
	} {
		t.Run(name, func(t *testing.T) {
			line, got := Illegible(test.text)
			if line != test.line || got != test.want {
				t.Errorf("line %d: %q, want line %d: %q", line, got, test.line, test.want)
			}
		})
	}
}

// TestSyntax says what is meant by the parser's messages that nobody understands.
func TestSyntax(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"tab":         {"a:\n\tb: c\n", "2: this is no YAML: the line is indented with a tab; YAML is indented with spaces"},
		"indentation": {"a: b\n  c: d\n", "2: this is no YAML: mapping values are not allowed in this context; look at the indentation"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := Parse(test.text, 1)
			if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), test.want) {
				t.Errorf("%v, want %s", faults, test.want)
			}
		})
	}
}
