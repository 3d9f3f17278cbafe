// Package variable reads and rewrites the variables of Tekton in texts: $(params.git-url), $(tasks.prepare.results.state),
// $(params['a.b'][*]). What Tekton does not take for a variable is left as it is.
package variable

import "strings"

// The kinds of variables, which are their first words.
const (
	Params     = "params"
	Tasks      = "tasks"
	Steps      = "steps"
	Results    = "results"
	Workspaces = "workspaces"
)

// Variable is one variable: its kind, and the parts after it.
type Variable struct {
	Kind  string
	Parts []Part
}

// Part is a part of a variable with what separates it from the one before: "." is before a name, "'" and `"` are quotes in brackets,
// "[" is before an index, which is a number or *.
type Part struct{ Mark, Text string }

// Name is the text of part i, empty if there is none.
func (v Variable) Name(i int) string {
	if i < len(v.Parts) && v.Parts[i].Mark != "[" {
		return v.Parts[i].Text
	}
	return ""
}

// Param is the name of the param that a variable refers to, and how many parts are in it: a name may have dots. declared says which
// names there are; of several that fit, it is the longest.
func (v Variable) Param(declared func(name string) bool) (name string, parts int) {
	if v.Kind != Params {
		return "", 0
	}
	var words []string
	for i, p := range v.Parts {
		if p.Mark == "[" || (i > 0 && p.Mark != ".") {
			break
		}
		words = append(words, p.Text)
		if joined := strings.Join(words, "."); declared(joined) {
			name, parts = joined, i+1
		}
	}
	return name, parts
}

// Result splits a reference to a result, $(tasks.X.results.R) or $(steps.X.results.R), into X, R, and what follows R: an index, a key.
func (v Variable) Result() (of, result string, rest []Part, ok bool) {
	if (v.Kind != Tasks && v.Kind != Steps) || len(v.Parts) < 3 || v.Parts[1] != (Part{".", Results}) || v.Name(0) == "" || v.Name(2) == "" {
		return "", "", nil, false
	}
	return v.Name(0), v.Name(2), v.Parts[3:], true
}

// ResultOf is the reference to a result of a Task or a step.
func ResultOf(kind, of, result string, rest ...Part) Variable {
	return Variable{kind, append([]Part{{".", of}, {".", Results}, {".", result}}, rest...)}
}

// Of is the variable of a kind and names.
func Of(kind string, names ...string) Variable {
	v := Variable{Kind: kind}
	for _, n := range names {
		v.Parts = append(v.Parts, Part{".", n})
	}
	return v
}

// String is the variable as it stands in a text.
func (v Variable) String() string {
	var b strings.Builder
	b.WriteString("$(" + v.Kind)
	for _, p := range v.Parts {
		switch p.Mark {
		case ".":
			b.WriteString("." + p.Text)
		case "[":
			b.WriteString("[" + p.Text + "]")
		default:
			b.WriteString("[" + p.Mark + p.Text + p.Mark + "]")
		}
	}
	b.WriteString(")")
	return b.String()
}

// In are the variables of a text, in their order.
func In(text string) []Variable {
	var found []Variable
	Rewrite(text, func(v Variable) (string, bool) {
		found = append(found, v)
		return "", false
	})
	return found
}

// Rewrite replaces the variables of a text by what f returns for them, as far as f returns true.
func Rewrite(text string, f func(Variable) (string, bool)) string {
	if !strings.Contains(text, "$(") {
		return text
	}
	var b strings.Builder
	for {
		start := strings.Index(text, "$(")
		if start < 0 {
			break
		}
		v, length := parse(text[start:])
		if length == 0 {
			b.WriteString(text[:start+2])
			text = text[start+2:]
			continue
		}
		b.WriteString(text[:start])
		if out, ok := f(v); ok {
			b.WriteString(out)
		} else {
			b.WriteString(text[start : start+length])
		}
		text = text[start+length:]
	}
	b.WriteString(text)
	return b.String()
}

// parse reads the variable at the beginning of text, which is $(; its length is 0 if it is none.
func parse(text string) (Variable, int) {
	rest := text[2:]
	kind, rest := word(rest)
	v := Variable{Kind: kind}
	for kind != "" && rest != "" {
		if rest[0] == ')' {
			if len(v.Parts) == 0 {
				return Variable{}, 0
			}
			return v, len(text) - len(rest) + 1
		}
		var part Part
		var ok bool
		if part, rest, ok = nextPart(rest); !ok {
			break
		}
		v.Parts = append(v.Parts, part)
	}
	return Variable{}, 0
}

// nextPart reads .name, ['name'], ["name"], [0] or [*].
func nextPart(text string) (part Part, rest string, ok bool) {
	if text[0] == '.' {
		name, rest := word(text[1:])
		return Part{".", name}, rest, name != ""
	}
	if text[0] != '[' {
		return Part{}, "", false
	}
	text = text[1:]
	for _, quote := range []string{"'", `"`} {
		if after, found := strings.CutPrefix(text, quote); found {
			name, rest, found := strings.Cut(after, quote+"]")
			return Part{quote, name}, rest, found && name != "" && !strings.ContainsAny(name, "'\"()[]$")
		}
	}
	index, rest, found := strings.Cut(text, "]")
	return Part{"[", index}, rest, found && (index == "*" || (index != "" && strings.Trim(index, "0123456789") == ""))
}

// word reads a name without dots.
func word(text string) (name, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		return text, ""
	}
	return text[:end], text[end:]
}
