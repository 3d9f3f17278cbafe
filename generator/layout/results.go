package layout

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// taskResults is where Tekton looks for the results of a Task, stepResults where it looks for those of a step.
	taskResults = "/tekton/results"
	// message is the result that says why a step failed.
	message = "message"
)

func stepResults(step string) string { return "/tekton/steps/step-" + step + "/results" }

// results makes the results of the link's Task results of the steps that write them. A result that several steps write stays one of
// the Task, under the name LINK-RESULT.
func (m *member) results() {
	steps := tree.Items(m.Spec(), "steps")
	for _, r := range tree.Items(m.Spec(), "results") {
		name := tree.Text(r, "name")
		if value := tree.Text(r, "value"); value != "" {
			for _, v := range variable.In(value) {
				if step, result, _, ok := v.Result(); ok {
					m.written[name] = stepResult{step, result}
				}
			}
			continue
		}
		var writers []*yaml.Node
		for _, step := range steps {
			if mentions(step, name) {
				writers = append(writers, step)
			}
		}
		if len(writers) > 1 {
			continue
		}
		writer := tree.Named(steps, m.main)
		if len(writers) == 1 {
			writer = writers[0]
		}
		declare(writer, r)
		m.written[name] = stepResult{tree.Text(writer, "name"), name}
		if name == message {
			m.messages(r)
		}
	}
	for _, step := range steps {
		m.redirect(step)
	}
}

// messages declares the result message for every further step that is told where results go: each says why it failed.
func (m *member) messages(declaration *yaml.Node) {
	for _, step := range tree.Items(m.Spec(), "steps") {
		if writesAll(step) && tree.Named(tree.Items(step, "results"), message) == nil {
			declare(step, declaration)
		}
	}
}

// writesAll reports whether a step is given the directory of results.
func writesAll(step *yaml.Node) bool {
	return slices.ContainsFunc(tree.Items(step, "args"), func(arg *yaml.Node) bool {
		return strings.TrimLeft(arg.Value, "-") == "results-dir="+taskResults
	})
}

// mentions reports whether a step uses the path of a result.
func mentions(step *yaml.Node, result string) bool {
	found := false
	tree.Texts(step, func(text string) {
		found = found || strings.Contains(text, taskResults+"/"+result)
		for _, v := range variable.In(text) {
			found = found || (v.Kind == variable.Results && v.Name(0) == result)
		}
	})
	return found
}

// declare makes a result of a Task one of a step. Its type is written down: Tekton would take JSON for a list or an object.
func declare(step, result *yaml.Node) {
	kind := tree.Text(result, "type")
	if kind == "" {
		kind = "string"
	}
	tree.Append(step, "results", tree.Map("name", tree.Text(result, "name"), "type", kind, "properties", tree.Clone(tree.Get(result, "properties"))))
}

// redirect makes a step write its results where Tekton looks for those of a step.
func (m *member) redirect(step *yaml.Node) {
	name := tree.Text(step, "name")
	tree.Rewrite(step, func(text string) []string {
		text = variable.Rewrite(text, func(v variable.Variable) (string, bool) {
			if v.Kind != variable.Results || m.Result(v.Name(0)) == nil {
				return "", false
			}
			if _, ok := m.written[v.Name(0)]; ok {
				return "$(step." + strings.TrimPrefix(v.String(), "$("), true
			}
			v.Parts[0].Text = m.Name + "-" + v.Name(0)
			return v.String(), true
		})
		return []string{strings.ReplaceAll(text, taskResults, stepResults(name))}
	})
}

// podResults are the results of the pod: what is asked for outside of it, and why each stage failed.
func (f *fusion) podResults() []*yaml.Node {
	var out []*yaml.Node
	for _, m := range f.members {
		for _, r := range tree.Items(m.Spec(), "results") {
			name := tree.Text(r, "name")
			of, byStep := m.written[name]
			if byStep && name != message && !f.needed[chain.Reference{Link: m.Name, Result: name}] {
				continue
			}
			result := tree.Clone(r)
			tree.Set(result, "name", tree.String(m.Name+"-"+name))
			if byStep {
				tree.Set(result, "value", tree.String(variable.ResultOf(variable.Steps, of.step, of.result).String()))
			}
			out = append(out, result)
		}
		out = append(out, m.furtherMessages()...)
	}
	return out
}

// furtherMessages are why the steps of a link failed that are not its main one.
func (m *member) furtherMessages() []*yaml.Node {
	var out []*yaml.Node
	for _, step := range tree.Items(m.Spec(), "steps") {
		name := tree.Text(step, "name")
		if name == m.written[message].step || tree.Named(tree.Items(step, "results"), message) == nil {
			continue
		}
		out = append(out, tree.Map("name", name+"-"+message, "description", "why the step "+name+" failed; empty if it did not",
			"value", variable.ResultOf(variable.Steps, name, message).String()))
	}
	return out
}

const (
	// podMessages is how many bytes Kubernetes keeps of the termination messages of all containers of a pod, each having the same share of
	// them and at most maxMessage. Tekton carries results in these, and does not understand one that was cut off.
	podMessages = 12 << 10
	maxMessage  = 4 << 10
	// ofTekton is what Tekton itself says in each.
	ofTekton = 80
)

// limitResults tells the steps of this project how much their results may take.
func (f *fusion) limitResults() {
	containers := 2 // Tekton's own first one, and one that something else may put into the pod
	scripts := 0
	for _, m := range f.members {
		for _, c := range m.containers() {
			containers++
			if tree.Text(c, "script") != "" {
				scripts = 1 // Tekton writes them in a container of its own
			}
		}
	}
	limit := min(podMessages/(containers+scripts), maxMessage) - ofTekton
	for _, m := range f.members {
		for _, step := range tree.Items(m.Spec(), "steps") {
			args := tree.Items(step, "args")
			i := slices.IndexFunc(args, func(arg *yaml.Node) bool { return strings.HasPrefix(arg.Value, "-results-dir=") })
			if m.OwnStage() && i >= 0 {
				tree.SetItems(step, "args", slices.Insert(slices.Clone(args), i+1, tree.String("-results-limit="+strconv.Itoa(limit))))
			}
		}
	}
}

// inside rewrites a text of a member: references to results of links in the same pod become references to results of steps.
func (f *fusion) inside(m *member, text string) (string, error) {
	var failed error
	out := variable.Rewrite(text, func(v variable.Variable) (string, bool) {
		link, result, rest, ok := v.Result()
		if !ok || v.Kind != variable.Tasks || f.home[link] != f.pod {
			return "", false
		}
		of := f.member(link)
		step, ok := of.written[result]
		if !ok {
			failed = failure.New(failure.Usage, "%s refers to the result %s of %s in the same pod, but several steps write it: one of the two needs a pod of its own",
				m.Link, result, of.Link)
			return "", false
		}
		return variable.ResultOf(variable.Steps, step.step, step.result, rest...).String(), true
	})
	return out, failed
}

// refersInside reports whether a text refers to a result of a link of a pod.
func (a *arrangement) refersInside(p *pod, text string) bool {
	return slices.ContainsFunc(variable.In(text), func(v variable.Variable) bool {
		link, _, _, ok := v.Result()
		return ok && v.Kind == variable.Tasks && a.home[link] == p
	})
}

func (f *fusion) member(name string) *member {
	for _, m := range f.members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// references rewrites the references to results of the same pod, which Tekton replaces only in some places.
func (f *fusion) references() error {
	for _, m := range f.members {
		var failed error
		rewrite := func(n *yaml.Node) {
			tree.Rewrite(n, func(text string) []string {
				out, err := f.inside(m, text)
				if err != nil {
					failed = err
				}
				return []string{out}
			})
		}
		for _, step := range tree.Items(m.Spec(), "steps") {
			for _, place := range []string{"command", "args", "env", "when"} {
				rewrite(tree.Get(step, place))
			}
		}
		if failed != nil {
			return failed
		}
		tree.Texts(m.Spec(), func(text string) {
			if f.refersInside(f.pod, text) {
				failed = failure.New(failure.Usage, "%s uses a result of a link in the same pod in %q: there, only args, command and env of a step may have it; "+
					"give it a pod of its own", m.Link, shorten(text))
			}
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

func shorten(text string) string {
	if line, _, more := strings.Cut(strings.TrimSpace(text), "\n"); more || len(line) > 60 {
		return line[:min(len(line), 60)] + "..."
	}
	return text
}

// rewriteOutside makes references to results of links of other pods references to those of the pods.
func (a *arrangement) rewriteOutside(l *chain.Link) {
	for _, n := range l.Trees() {
		tree.Rewrite(n, func(text string) []string {
			return []string{variable.Rewrite(text, func(v variable.Variable) (string, bool) {
				if v.Kind != variable.Tasks || len(v.Parts) < 2 {
					return "", false
				}
				home := a.home[v.Name(0)]
				if home == nil || len(home.links) == 1 {
					return "", false
				}
				if link, result, rest, ok := v.Result(); ok {
					return variable.ResultOf(v.Kind, home.name, link+"-"+result, rest...).String(), true
				}
				v.Parts[0].Text = home.name
				return v.String(), true
			})}
		})
	}
}
