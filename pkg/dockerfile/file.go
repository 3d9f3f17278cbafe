// Package dockerfile answers what OSBS must know about a Dockerfile before it is built: which images it is built on, and which
// labels the result will have. It reads text and nothing else: no network, no file, no build.
//
// The text is parsed by BuildKit's parser and expanded by its shell rules, so heredocs, the escape directive, continuation lines
// and comments mean what they mean in a build. Only the stages that the target needs are looked at. Dockerfiles are hostile input:
// sizes, counts and the growth of expanded values are bounded.
package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Bounds of a Dockerfile.
const (
	// MaxSize is the largest Dockerfile that is read, in bytes.
	MaxSize = 1 << 20
	// MaxStages is how many FROM instructions it may have.
	MaxStages = 500
	// MaxBases is how many different images its stages may take from.
	MaxBases = 500
)

// File is a parsed Dockerfile.
type File struct {
	text     []byte
	escape   rune
	metaArgs []*parser.Node
	stages   []stage
}

// stage is what lies between one FROM and the next.
type stage struct {
	index int
	// name is lower case, empty without AS.
	name string
	line int
	// from is the FROM itself.
	from *parser.Node
	// image and platform are as written, not expanded.
	image, platform string
	body            []*parser.Node
}

// id is how people are told of the stage: its name, or its index from 0.
func (s stage) id() string {
	if s.name != "" {
		return s.name
	}
	return strconv.Itoa(s.index)
}

// stageName is BuildKit's rule.
var stageName = regexp.MustCompile(`^[a-z][a-z0-9-_.]*$`)

// Parse reads a Dockerfile. All errors are failure.InvalidInput; those about a line name it.
func Parse(r io.Reader) (*File, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("reading the Dockerfile: %w", err)
	}
	if len(data) > MaxSize {
		return nil, failure.New(failure.InvalidInput, "the Dockerfile is larger than %d bytes", MaxSize)
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return nil, failure.New(failure.InvalidInput, "the Dockerfile holds a NUL byte: it is not text")
	}
	result, err := parseText(data)
	if err != nil {
		return nil, err
	}
	f := &File{text: data, escape: result.EscapeToken}
	for _, node := range result.AST.Children {
		if err := f.add(node); err != nil {
			return nil, err
		}
	}
	if len(f.stages) == 0 {
		return nil, noBase()
	}
	return f, nil
}

func noBase() error {
	return failure.WithHint(failure.New(failure.InvalidInput, "no base image specified in Dockerfile"), "add a FROM instruction; FROM scratch starts from nothing")
}

// parseText calls the parser, and keeps a defect of it from ending the process: its input is hostile.
func parseText(data []byte) (result *parser.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			result, err = nil, failure.New(failure.InvalidInput, "the Dockerfile cannot be parsed: %v", p)
		}
	}()
	result, err = parser.Parse(bytes.NewReader(data))
	if err == nil {
		return result, nil
	}
	if strings.Contains(err.Error(), "file with no instructions") {
		return nil, noBase()
	}
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		return nil, lineError(max(1, at.Locations[0][0].Start.Line), "%w", err)
	}
	return nil, failure.New(failure.InvalidInput, "Dockerfile: %w", err)
}

// lineError is an error of the Dockerfile at a line, counted from 1.
func lineError(line int, format string, args ...any) error {
	return failure.New(failure.InvalidInput, "Dockerfile line %d: %w", line, fmt.Errorf(format, args...))
}

// add files one instruction.
func (f *File) add(node *parser.Node) error {
	instruction := strings.ToLower(node.Value)
	switch _, known := command.Commands[instruction]; {
	case !known:
		return lineError(node.StartLine, "unknown instruction %q", clip(node.Value))
	case instruction == command.From:
		return f.addStage(node)
	case len(f.stages) > 0:
		last := &f.stages[len(f.stages)-1]
		last.body = append(last.body, node)
	case instruction == command.Arg:
		f.metaArgs = append(f.metaArgs, node)
	default:
		return failure.WithHint(lineError(node.StartLine, "%s before the first FROM", strings.ToUpper(instruction)), "only ARG may come before FROM")
	}
	return nil
}

func (f *File) addStage(node *parser.Node) error {
	s := stage{index: len(f.stages), line: node.StartLine, from: node}
	if s.index == MaxStages {
		return lineError(node.StartLine, "more than %d stages", MaxStages)
	}
	for _, flag := range node.Flags {
		platform, ok := strings.CutPrefix(flag, "--platform=")
		if !ok {
			return lineError(node.StartLine, "unknown flag %q of FROM", clip(flag))
		}
		s.platform = platform
	}
	args := words(node)
	switch {
	case len(args) == 1 && args[0] != "":
	case len(args) == 3 && strings.EqualFold(args[1], "as"):
		s.name = strings.ToLower(args[2])
		if !stageName.MatchString(s.name) {
			return failure.WithHint(lineError(node.StartLine, "invalid stage name %q", clip(args[2])), "a name begins with a letter, then letters, digits, - _ .")
		}
	default:
		return failure.WithHint(lineError(node.StartLine, "FROM has %d arguments", len(args)), "the form is FROM [--platform=P] IMAGE [AS NAME]")
	}
	s.image = args[0]
	f.stages = append(f.stages, s)
	return nil
}

// words are the arguments of an instruction.
func words(node *parser.Node) []string {
	var all []string
	for n := node.Next; n != nil; n = n.Next {
		if n.Value != "" || n.Next != nil {
			all = append(all, n.Value)
		}
	}
	return all
}

// clip keeps hostile text in messages short; %q makes its control characters visible.
func clip(text string) string {
	const limit = 100
	if len(text) <= limit {
		return text
	}
	return text[:limit] + "..."
}

// StageNames are the stages' names, or their indexes where they have none, in order.
func (f *File) StageNames() []string {
	names := make([]string, 0, len(f.stages))
	for _, s := range f.stages {
		names = append(names, s.id())
	}
	return names
}

// stageBefore finds the last stage before index limit that has the name; a later stage of the same name hides an earlier one.
func (f *File) stageBefore(name string, limit int) (int, bool) {
	for i := limit - 1; i >= 0; i-- {
		if f.stages[i].name != "" && strings.EqualFold(f.stages[i].name, name) {
			return i, true
		}
	}
	return 0, false
}

// target finds the stage to build: by name, by index, or the last one.
func (f *File) target(name string) (int, error) {
	if name == "" {
		return len(f.stages) - 1, nil
	}
	if i, ok := f.stageBefore(name, len(f.stages)); ok {
		return i, nil
	}
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(f.stages) {
		return i, nil
	}
	return 0, failure.WithHint(failure.New(failure.InvalidInput, "the Dockerfile has no stage %q to build", clip(name)), "its stages are %s", f.stageList())
}

// stageList names the stages in a hint.
func (f *File) stageList() string {
	names := f.StageNames()
	const limit = 20
	if len(names) > limit {
		names = append(slices.Clone(names[:limit]), "...")
	}
	return strings.Join(names, ", ")
}
