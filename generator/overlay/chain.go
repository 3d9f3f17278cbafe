package overlay

import (
	"fmt"
	"maps"
	"slices"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
	"github.com/osbs-tekton/osbs/tasks"
)

// applier applies entries to a chain.
type applier struct {
	chain   *chain.Chain
	faults  faults
	changes []Change
	// brought are the links whose tasks overlays have brought, with the last entry that did.
	brought map[*chain.Link]Entry
	// declared are the params of the Pipeline as the stages declare them, those included that an overlay has left out since.
	declared map[string]*yaml.Node
	// failed are names of tasks that were not inserted because of a fault: nothing more is said about them.
	failed map[string]bool
}

func newApplier(c *chain.Chain) *applier {
	a := &applier{chain: c, brought: map[*chain.Link]Entry{}, declared: map[string]*yaml.Node{}, failed: map[string]bool{}}
	for _, l := range c.Links {
		for _, p := range tree.Items(l.Spec(), "params") {
			if name := tree.Text(p, "name"); l.Binding(name) == nil {
				a.declared[name] = p
			}
		}
	}
	for _, p := range c.Params {
		a.declared[tree.Text(p.YNode(), "name")] = p.YNode()
	}
	return a
}

func (a *applier) fault(e Entry, format string, args ...any) {
	a.faults.add(e.File, e.Line, format, args...)
}

func (a *applier) change(e Entry, object, path, what string, args ...any) {
	a.changes = append(a.changes, Change{e.File, e.Line, object, path, fmt.Sprintf(what, args...)})
}

func (a *applier) apply(e Entry) {
	switch e.verb {
	case disable:
		a.disable(e)
	case replace:
		a.replace(e)
	case insert:
		a.insert(e)
	case finally:
		a.finally(e)
	case set:
		a.set(e)
	case declare:
		a.declare(e)
	case patch:
		a.patch(e)
	case labels, annotations:
		a.label(e)
	}
}

// find is the range of the links that are a stage, or have a name. If there are none, that is a fault.
func (a *applier) find(e Entry, name string) (first, end int, ok bool) {
	links := a.chain.Links
	is := func(l *chain.Link) bool { return l.Stage == name || l.Name == name }
	first = slices.IndexFunc(links, is)
	if first < 0 {
		a.unmatched(e, name)
		return 0, 0, false
	}
	end = first
	for end < len(links) && is(links[end]) {
		end++
	}
	return first, end, true
}

// unmatched says that there is no stage or task of this name.
func (a *applier) unmatched(e Entry, name string) {
	var names []string
	for _, l := range a.chain.Links {
		names = append(names, l.Name)
		if l.Stage != "" {
			names = append(names, l.Stage)
		}
	}
	switch {
	case a.failed[name]:
	case slices.Contains(tasks.Stages(), name):
		a.fault(e, "the stage %s is not in this pipeline: the configuration has nothing for it, or an overlay has left it out", name)
	default:
		a.fault(e, "there is no stage and no task %q%s", name, near(name, names))
	}
}

// indispensable are the stages whose work later ones take up.
func indispensable() []string { return []string{"clone", "detect-base", "prepare", "build", "push"} }

func (a *applier) disable(e Entry) {
	first, end, ok := a.find(e, e.target)
	if !ok {
		return
	}
	if stage := a.chain.Links[first].Stage; slices.Contains(indispensable(), stage) {
		a.fault(e, "the stage %s cannot be left out: later stages take up what it makes. Another task can do its work: - replace: %s", stage, stage)
		return
	}
	gone := slices.Clone(a.chain.Links[first:end])
	before := a.chain.Before(first)
	for _, l := range gone {
		if users := a.users(l.Name, ""); len(users) > 0 {
			a.fault(e, "%s cannot be left out: %s", l.Name, join(users))
			return
		}
	}
	a.chain.Links = slices.Delete(a.chain.Links, first, end)
	if first < len(a.chain.Links) && first == 0 {
		a.chain.Links[0].Parallel = false
	}
	for _, l := range gone {
		a.redirect(l.Name, before)
		delete(a.brought, l)
		a.change(e, "stage "+e.target, "", "left out")
	}
}

// users says who refers to the results of a link: to all of them, or to one.
func (a *applier) users(link, result string) []string {
	var users []string
	for _, l := range slices.Concat(a.chain.Links, a.chain.Finally) {
		for _, ref := range l.References() {
			if ref.Link == link && l.Name != link && (result == "" || ref.Result == result) {
				users = append(users, fmt.Sprintf("%s uses its result %s", l.Name, ref.Result))
			}
		}
	}
	for _, r := range a.chain.Results {
		if r.Link == link && (result == "" || r.Of == result) {
			users = append(users, fmt.Sprintf("the Pipeline's result %s is its result %s", r.Name, r.Of))
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// redirect makes the links that run after the one called gone run after others instead.
func (a *applier) redirect(gone string, others []string) {
	for _, l := range a.chain.Links {
		i := slices.Index(l.After, gone)
		if i < 0 {
			continue
		}
		after := slices.Delete(slices.Clone(l.After), i, i+1)
		for _, name := range others {
			if !slices.Contains(after, name) {
				after = append(after, name)
			}
		}
		l.After = after
	}
}

func (a *applier) replace(e Entry) {
	first, end, ok := a.find(e, e.target)
	if !ok {
		return
	}
	if spec := e.task.object; end-first > 1 && !spec.IsNil() && tree.Named(tree.Items(spec.YNode(), "spec", "params"), platform) == nil {
		a.fault(e, "%s runs for each of %d platforms: the task must have a param %s, which is told one such as linux/amd64", e.target, end-first, platform)
		return
	}
	for _, l := range a.chain.Links[first:end] {
		a.keep(e, l)
		e.task.fill(l)
		a.adopt(l)
		l.Origin = fmt.Sprintf("%s:%d", e.File, e.Line)
		a.brought[l] = e
		a.rename(l.Name, e.task.results)
		a.offers(e, l)
		a.change(e, "stage "+e.target, "", "%s runs %s", l.Name, e.task)
	}
}

// String says what the task is.
func (t *task) String() string {
	switch {
	case t.ref != nil:
		return "taskRef " + keyed.Show(t.ref.YNode())
	default:
		return "the Task " + t.object.GetName()
	}
}

// platform is the param by which the tasks that stand beside one another for a stage are told what to build.
const platform = "platform"

// keep leaves of what the chain binds in l that which the new task can take: of a task of the cluster, only the platform is sure.
func (a *applier) keep(e Entry, l *chain.Link) {
	l.Params = slices.DeleteFunc(slices.Clone(l.Params), func(p chain.Param) bool {
		if e.task.object.IsNil() {
			return p.Name != platform || l.Name == e.target
		}
		return tree.Named(tree.Items(e.task.object.YNode(), "spec", "params"), p.Name) == nil
	})
}

// rename makes references to results of a link use the names that its new task has for them.
func (a *applier) rename(link string, names map[string]string) {
	if len(names) == 0 {
		return
	}
	rewrite := func(text string) []string {
		return []string{variable.Rewrite(text, func(v variable.Variable) (string, bool) {
			of, result, rest, ok := v.Result()
			if !ok || v.Kind != variable.Tasks || of != link || names[result] == "" {
				return "", false
			}
			return variable.ResultOf(variable.Tasks, of, names[result], rest...).String(), true
		})}
	}
	for _, l := range slices.Concat(a.chain.Links, a.chain.Finally) {
		for _, n := range l.Trees() {
			tree.Rewrite(n, rewrite)
		}
	}
	for i, r := range a.chain.Results {
		if r.Link == link && names[r.Of] != "" {
			a.chain.Results[i].Of = names[r.Of]
		}
	}
}

// offers checks that the new task of l has the results that others use. Of a task of the cluster nothing is known.
func (a *applier) offers(e Entry, l *chain.Link) {
	if l.Spec() == nil {
		return
	}
	var offered, missing []string
	for _, r := range tree.Items(l.Spec(), "results") {
		offered = append(offered, tree.Text(r, "name"))
	}
	named := slices.Collect(maps.Values(e.task.results))
	a.chain.Results = slices.DeleteFunc(a.chain.Results, func(r chain.Result) bool {
		return r.Optional && r.Link == l.Name && !slices.Contains(offered, r.Of) && !slices.Contains(named, r.Of)
	})
	for wanted, name := range e.task.results {
		if !slices.Contains(offered, name) {
			a.fault(e, "results: %s: the task has no result %q%s", wanted, name, near(name, offered))
		}
	}
	used := map[string]bool{}
	for _, other := range slices.Concat(a.chain.Links, a.chain.Finally) {
		for _, ref := range other.References() {
			used[ref.Result] = used[ref.Result] || ref.Link == l.Name
		}
	}
	for _, r := range a.chain.Results {
		used[r.Of] = used[r.Of] || r.Link == l.Name
	}
	for name, is := range used {
		if is && !slices.Contains(offered, name) && !slices.Contains(named, name) {
			missing = append(missing, fmt.Sprintf("%s (%s)", name, join(a.users(l.Name, name))))
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		a.fault(e, "the task that replaces %s has no result %s; declare it in the task, or name the one that stands for it: results: {NAME: ITS-NAME}",
			e.target, join(missing))
	}
}

func join(words []string) string {
	text := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			text += " and "
		default:
			text += ", "
		}
		text += w
	}
	return text
}

// free checks that a task can be called name.
func (a *applier) free(e Entry) bool {
	if l := a.chain.Link(e.target); l != nil {
		a.fault(e, "there is already a task %s (%s)", e.target, l.Origin)
		return false
	}
	if slices.Contains(tasks.Stages(), e.target) {
		a.fault(e, "%s is the name of a stage: give the task another name", e.target)
		return false
	}
	return true
}

func (a *applier) insert(e Entry) {
	anchor := e.before + e.after
	first, end, ok := a.find(e, anchor)
	if !ok || !a.free(e) {
		a.failed[e.target] = true
		return
	}
	l := e.task.link(e, e.target)
	a.adopt(l)
	links, at := a.chain.Links, end
	if e.before != "" {
		at = first
	}
	l.When = append(a.skip(at), l.When...)
	// The links beside the anchor that are no part of it (it was inserted beside a stage) stay where they are.
	for _, neighbour := range links[first:end] {
		if e.after != "" {
			a.redirect(neighbour.Name, []string{l.Name})
			continue
		}
		if len(neighbour.After) > 0 {
			l.After = append(l.After, neighbour.After...)
			neighbour.After = []string{l.Name}
		}
	}
	slices.Sort(l.After)
	l.After = slices.Compact(l.After)
	a.chain.Links = slices.Insert(links, at, l)
	a.brought[l] = e
	where := "before " + anchor
	if e.after != "" {
		where = "after " + anchor
	}
	a.change(e, "task "+e.target, "", "inserted %s: %s", where, e.task)
}

// skip is the condition of what runs at position at: after prepare has decided that nothing is built, it does not. A task that Tekton
// only orders behind a skipped one would run otherwise.
func (a *applier) skip(at int) []*yaml.RNode {
	if !slices.ContainsFunc(a.chain.Links[:at], func(l *chain.Link) bool { return l.Stage == "prepare" }) {
		return nil
	}
	return []*yaml.RNode{yaml.NewRNode(chain.NotSkipped())}
}

func (a *applier) finally(e Entry) {
	if !a.free(e) {
		return
	}
	l := e.task.link(e, e.target)
	a.adopt(l)
	a.chain.Finally = append(a.chain.Finally, l)
	a.brought[l] = e
	a.change(e, "task "+e.target, "", "added, runs at the end: %s", e.task)
}

// patch merges into the Task of a stage or of a task that an overlay has brought.
func (a *applier) patch(e Entry) {
	for _, l := range a.tasks(e) {
		p := patcher{entry: e, faults: &a.faults}
		a.note(e, l, p.apply(l.Task.YNode()))
	}
}

func (a *applier) label(e Entry) {
	for _, l := range a.tasks(e) {
		a.note(e, l, label(e, l.Task.YNode()))
	}
}

// note records what an entry has changed in the Task of l.
func (a *applier) note(e Entry, l *chain.Link, changes []Change) {
	object := "task " + l.Name
	if l.Stage != "" {
		object = "stage " + l.Name
	}
	for _, c := range changes {
		a.change(e, object, c.Path, "%s", c.What)
	}
}

// tasks are the links whose Tasks an entry means.
func (a *applier) tasks(e Entry) []*chain.Link {
	var found []*chain.Link
	if i := slices.IndexFunc(a.chain.Finally, func(l *chain.Link) bool { return l.Name == e.on.name }); i >= 0 {
		found = append(found, a.chain.Finally[i])
	} else if first, end, ok := a.find(e, e.on.name); ok {
		found = a.chain.Links[first:end]
	}
	for _, l := range found {
		if l.Spec() == nil {
			a.fault(e, "%s refers to a Task of the cluster: there is nothing here to change", l)
			return nil
		}
	}
	return found
}
