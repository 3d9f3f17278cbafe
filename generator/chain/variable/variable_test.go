package variable_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/generator/chain/variable"
)

func TestIn(t *testing.T) {
	for text, want := range map[string][]string{
		"":                               nil,
		"no variable":                    nil,
		"$(params.git-url)":              {"$(params.git-url)"},
		"a $(params.a)$(params.b) c":     {"$(params.a)", "$(params.b)"},
		"$$(params.a)":                   {"$(params.a)"},
		"$(params['a.b'][*])":            {"$(params['a.b'][*])"},
		`$(params["a.b"])`:               {`$(params["a.b"])`},
		"$(params.list[12])":             {"$(params.list[12])"},
		"$(tasks.a.results.b.key)":       {"$(tasks.a.results.b.key)"},
		"$(date) $(params.a":             nil,
		"$(cat $(results.digest.path))":  {"$(results.digest.path)"},
		"$(params.)$(params..a)$(.a)$()": nil,
		"$(params.a[])$(params.a[x])":    nil,
		"$(params['])$(params[''])":      nil,
		"$(context.pipelineRun.name)":    {"$(context.pipelineRun.name)"},
	} {
		var got []string
		for _, v := range variable.In(text) {
			got = append(got, v.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestParam(t *testing.T) {
	declared := func(name string) bool { return name == "a" || name == "a.b" || name == "list" }
	for text, want := range map[string]struct {
		name  string
		parts int
	}{
		"$(params.a)":             {"a", 1},
		"$(params.a.key)":         {"a", 1},
		"$(params.a.b)":           {"a.b", 2},
		"$(params['a.b'])":        {"a.b", 1},
		"$(params.list[*])":       {"list", 1},
		"$(params.other)":         {"", 0},
		"$(tasks.a.results.list)": {"", 0},
	} {
		name, parts := variable.In(text)[0].Param(declared)
		if name != want.name || parts != want.parts {
			t.Errorf("%s: %q, %d parts; want %q, %d", text, name, parts, want.name, want.parts)
		}
	}
}

func TestResult(t *testing.T) {
	for text, want := range map[string][]string{
		"$(tasks.push.results.digest)":     {"push", "digest", ""},
		"$(tasks.push.results['a.b'][0])":  {"push", "a.b", "[0]"},
		"$(steps.push.results.digest.key)": {"push", "digest", ".key"},
		"$(tasks.push.status)":             nil,
		"$(tasks.status)":                  nil,
		"$(results.digest.path)":           nil,
		"$(steps.push.exitCode.path)":      nil,
	} {
		of, result, rest, ok := variable.In(text)[0].Result()
		if !ok {
			if want != nil {
				t.Errorf("%s is no result", text)
			}
			continue
		}
		v := variable.Variable{Kind: "x", Parts: rest}.String()
		if diff := cmp.Diff(want, []string{of, result, strings.TrimSuffix(strings.TrimPrefix(v, "$(x"), ")")}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

// FuzzRewrite checks that what is read is what is written: a text whose variables are replaced by themselves is the same text, and
// one in which each gets another name has as many of them, and gets its old ones back.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{"$(params.a)", "$(tasks.a.results.b[*])", `x$(params["a.b"])$$(params['c'])`, "$($(params.a))", "$(a.b", "\x00$(é.a)"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		same := variable.Rewrite(text, func(v variable.Variable) (string, bool) { return v.String(), true })
		if same != text {
			t.Fatalf("%q became %q", text, same)
		}
		rename := func(text, prefix string) string {
			return variable.Rewrite(text, func(v variable.Variable) (string, bool) {
				v.Kind = prefix + strings.TrimPrefix(v.Kind, "other-")
				return v.String(), true
			})
		}
		other := rename(text, "other-")
		if a, b := len(variable.In(text)), len(variable.In(other)); a != b {
			t.Fatalf("%q has %d variables, %q has %d", text, a, other, b)
		}
		if !strings.Contains(text, "other-") && rename(other, "") != text {
			t.Fatalf("%q does not come back from %q", text, other)
		}
	})
}
