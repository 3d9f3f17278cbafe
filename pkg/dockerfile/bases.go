package dockerfile

import (
	"encoding/csv"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// scratch is the name of the empty base.
const scratch = "scratch"

// Result is what a build needs.
type Result struct {
	// Scratch says that the target's own chain of stages begins at FROM scratch: it has no parent.
	Scratch bool
	// Bases are all images that the build needs, in the order in which the Dockerfile first names them, each once for each
	// platform. FROM scratch is not among them.
	Bases []Base
	// Target is the stage that is built: its name, or its index.
	Target string
}

// Base is one image that the build needs.
type Base struct {
	// Reference is as written, arguments substituted.
	Reference string
	// Platform is that of --platform, arguments substituted; empty if the instruction has none.
	Platform string
	// Stages need the base: names, or indexes from 0.
	Stages []string
	// Parent says that the layers of the base are the lower layers of the image.
	Parent bool
	// From says that a FROM names it; otherwise only COPY --from or RUN --mount=from do.
	From bool
	// Line is where the Dockerfile first names it.
	Line int
}

// Bases finds the images that building the target needs: those of FROM, COPY --from and RUN --mount=from in every stage that takes
// part. All errors are failure.InvalidInput and name the line.
func (f *File) Bases(o Options) (Result, error) {
	result, _, err := f.bases(o)
	return result, err
}

func (f *File) bases(o Options) (Result, []use, error) {
	e, err := newEvaluator(f, o)
	if err != nil {
		return Result{}, nil, err
	}
	target, err := f.target(o.Target)
	if err != nil {
		return Result{}, nil, err
	}
	c := collector{evaluator: e, needed: map[int]bool{target: true}, parents: map[int]parent{}, ends: map[int]scope{}}
	if err := c.collect(); err != nil {
		return Result{}, nil, err
	}
	result := Result{Bases: c.bases(target), Target: f.stages[target].id()}
	result.Scratch = c.root(target).image == scratch
	return result, c.uses, nil
}

// parent is what a stage is built on: an earlier stage, an image, or scratch.
type parent struct {
	stage    int // -1 if it is an image or scratch
	image    string
	platform string
}

// collector finds the needed stages and what they name.
type collector struct {
	*evaluator
	needed map[int]bool
	found  []Base
	uses   []use
	// parents of the needed stages, and of those that were looked at for their variables.
	parents map[int]parent
	// ends are the variables at the end of a stage.
	ends map[int]scope
}

// collect looks at the stages from the last to the first: a stage needs earlier ones only.
func (c *collector) collect() error {
	for i := len(c.file.stages) - 1; i >= 0; i-- {
		if !c.needed[i] {
			continue
		}
		p, err := c.parent(i)
		if err != nil {
			return err
		}
		if p.stage >= 0 {
			c.needed[p.stage] = true
		}
		if err := c.scan(i); err != nil {
			return err
		}
	}
	return nil
}

// parent is parentOf, remembered.
func (c *collector) parent(index int) (parent, error) {
	if p, ok := c.parents[index]; ok {
		return p, nil
	}
	p, err := c.parentOf(index)
	if err == nil {
		c.parents[index] = p
	}
	return p, err
}

// parentOf expands a FROM.
func (e *evaluator) parentOf(index int) (parent, error) {
	s := e.file.stages[index]
	image, err := e.fromWord(s.image, s.line)
	if err != nil {
		return parent{}, err
	}
	if i, ok := e.file.stageBefore(image, index); ok {
		return parent{stage: i}, nil
	}
	platform := ""
	if s.platform != "" {
		if platform, err = e.fromWord(s.platform, s.line); err != nil {
			return parent{}, err
		}
	}
	if image != scratch {
		if err := checkReference(image); err != nil {
			return parent{}, lineError(s.line, "FROM %q is not an image reference: %w", clip(image), err)
		}
	}
	return parent{stage: -1, image: image, platform: platform}, nil
}

// fromWord expands what FROM names; a variable without a value is an error that names it.
func (e *evaluator) fromWord(word string, line int) (string, error) {
	value, unset, err := e.lexer.expand(word, e.globals)
	if err != nil {
		return "", lineError(line, "FROM %s: %w", clip(word), err)
	}
	if missing := e.lexer.undefined(word, value, unset, e.globals); missing != "" {
		return "", failure.WithHint(lineError(line, "FROM %s: ARG %s has no value", clip(word), missing), "%s", e.argHint(missing))
	}
	if strings.TrimSpace(value) == "" {
		return "", failure.WithHint(lineError(line, "FROM %s: the base image's name is empty", clip(word)), "give its ARG a value with build-arg, or a default")
	}
	return value, nil
}

// argHint says what would give an argument a value.
func (e *evaluator) argHint(missing string) string {
	for _, node := range e.file.metaArgs {
		if declares(node, missing) {
			return "give it a default on line " + strconv.Itoa(node.StartLine) + ", or pass build-arg " + missing + "=VALUE"
		}
	}
	for _, s := range e.file.stages {
		for _, node := range s.body {
			if strings.EqualFold(node.Value, command.Arg) && declares(node, missing) {
				return "ARG " + missing + " on line " + strconv.Itoa(node.StartLine) + " is inside a stage; FROM only sees those before the first FROM"
			}
		}
	}
	return "declare it with ARG " + missing + "=VALUE before the first FROM"
}

func declares(node *parser.Node, arg string) bool {
	return slices.ContainsFunc(words(node), func(w string) bool {
		n, _, _ := strings.Cut(w, "=")
		return n == arg
	})
}

// scan finds what the instructions of a stage take from other stages and images.
func (c *collector) scan(index int) error {
	body := c.file.stages[index].body
	if !slices.ContainsFunc(body, usesVariableSource) {
		for _, node := range body {
			if err := c.scanNode(index, node, scope{}); err != nil {
				return err
			}
		}
		return nil
	}
	in, err := c.begin(index)
	if err != nil {
		return err
	}
	for _, node := range body {
		if err := c.scanNode(index, node, in); err != nil {
			return err
		}
		if err := c.step(node, in, nil); err != nil {
			return err
		}
	}
	return nil
}

// usesVariableSource says whether an instruction names a source with a variable in it: the one case in which the variables of a
// stage matter to its bases.
func usesVariableSource(node *parser.Node) bool {
	return slices.ContainsFunc(node.Flags, func(flag string) bool {
		source, ok := sourceOf(node, flag)
		return ok && strings.Contains(source, "$")
	})
}

// begin is the variables with which a stage begins: those with which the stage that it is FROM ends.
func (c *collector) begin(index int) (scope, error) {
	var chain []int
	for {
		p, err := c.parent(index)
		if err != nil {
			return scope{}, err
		}
		if p.stage < 0 {
			break
		}
		index = p.stage
		chain = append(chain, index)
	}
	in := newScope()
	for _, i := range slices.Backward(chain) {
		if end, ok := c.ends[i]; ok {
			in = end.clone()
			continue
		}
		for _, node := range c.file.stages[i].body {
			if err := c.step(node, in, nil); err != nil {
				return scope{}, err
			}
		}
		c.ends[i] = in.clone()
	}
	return in, nil
}

func (c *collector) scanNode(index int, node *parser.Node, in scope) error {
	for _, flag := range node.Flags {
		source, ok := sourceOf(node, flag)
		if !ok {
			continue
		}
		value, unset, err := c.lexer.expand(source, in)
		if err != nil {
			return lineError(node.StartLine, "%s: %w", clip(flag), err)
		}
		if missing := c.lexer.undefined(source, value, unset, in); missing != "" {
			return failure.WithHint(lineError(node.StartLine, "%s: ARG %s has no value", clip(flag), missing), "declare it with ARG in the stage")
		}
		if err := c.take(index, node, flag, value); err != nil {
			return err
		}
	}
	return nil
}

// sourceOf reads --from=X of COPY, and from=X of RUN --mount.
func sourceOf(node *parser.Node, flag string) (string, bool) {
	switch strings.ToLower(node.Value) {
	case command.Copy:
		return strings.CutPrefix(flag, "--from=")
	case command.Run:
		mount, ok := strings.CutPrefix(flag, "--mount=")
		if !ok {
			return "", false
		}
		fields, err := csv.NewReader(strings.NewReader(mount)).Read()
		if err != nil {
			return "", false // the build says what is wrong with it
		}
		for _, field := range fields {
			if key, value, _ := strings.Cut(field, "="); strings.EqualFold(strings.TrimSpace(key), "from") {
				return value, true
			}
		}
	}
	return "", false
}

// take records that a stage takes files from a stage or an image.
func (c *collector) take(index int, node *parser.Node, flag, source string) error {
	if i, ok := c.file.stageBefore(source, index); ok {
		c.needed[i] = true
		return nil
	}
	if i, err := strconv.Atoi(source); err == nil {
		if i < 0 || i >= index {
			return failure.WithHint(lineError(node.StartLine, "%s: there is no stage %d before this one", clip(flag), i), "%s", c.earlier(index))
		}
		c.needed[i] = true
		return nil
	}
	if i, ok := c.file.stageBefore(source, len(c.file.stages)); ok {
		return failure.WithHint(lineError(node.StartLine, "%s: stage %q begins on line %d, after its use", clip(flag), clip(source), c.file.stages[i].line),
			"move it before the stage that copies from it")
	}
	err := checkReference(source)
	if source == scratch {
		err = errors.New("scratch holds no files")
	}
	if err != nil {
		return failure.WithHint(lineError(node.StartLine, "%s names neither a stage nor an image: %w", clip(flag), err), "%s", c.earlier(index))
	}
	c.uses = append(c.uses, use{node: node, word: flag, reference: source})
	c.add(Base{Reference: source, Stages: []string{c.file.stages[index].id()}, Line: node.StartLine})
	if len(c.found) > MaxBases {
		return lineError(node.StartLine, "more than %d images to take from", MaxBases)
	}
	return nil
}

// earlier is the hint for a --from that names nothing.
func (c *collector) earlier(index int) string {
	if index == 0 {
		return "no stage comes before this one"
	}
	names := c.file.StageNames()[:index]
	return "the stages before this one are " + strings.Join(names, ", ")
}

func checkReference(image string) error {
	if len(image) > 1024 {
		return errors.New("it is longer than 1024 bytes")
	}
	_, err := name.ParseReference(image)
	return err
}

func (c *collector) add(b Base) {
	for i := range c.found {
		if c.found[i].Reference == b.Reference && c.found[i].Platform == b.Platform {
			known := &c.found[i]
			known.Stages = append(known.Stages, b.Stages...)
			known.Parent, known.From, known.Line = known.Parent || b.Parent, known.From || b.From, min(known.Line, b.Line)
			return
		}
	}
	c.found = append(c.found, b)
}

// root is what the chain of stages below a stage begins with.
func (c *collector) root(index int) parent {
	p := c.parents[index]
	for p.stage >= 0 {
		p = c.parents[p.stage]
	}
	return p
}

// bases adds what FROM names, and puts all in the order of the Dockerfile.
func (c *collector) bases(target int) []Base {
	own := c.chain(target)
	for i, s := range c.file.stages {
		p, ok := c.parents[i]
		if !ok || p.stage >= 0 || p.image == scratch {
			continue
		}
		c.uses = append(c.uses, use{node: s.from, word: s.image, reference: p.image})
		c.add(Base{Reference: p.image, Platform: p.platform, Stages: []string{s.id()}, Parent: own[i], From: true, Line: s.line})
	}
	slices.SortStableFunc(c.found, func(a, b Base) int { return a.Line - b.Line })
	order := map[string]int{}
	for i, s := range c.file.stages {
		order[s.id()] = i
	}
	for i := range c.found {
		stages := c.found[i].Stages
		slices.SortFunc(stages, func(a, b string) int { return order[a] - order[b] })
		c.found[i].Stages = slices.Compact(stages)
	}
	return c.found
}

// chain is the set of stages whose layers are in the target: it, and those it is FROM.
func (c *collector) chain(target int) map[int]bool {
	own := map[int]bool{target: true}
	for p := c.parents[target]; p.stage >= 0; p = c.parents[p.stage] {
		own[p.stage] = true
	}
	return own
}
