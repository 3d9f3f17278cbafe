package repoconfig

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// ContainerName is the file of which only the map autorebuild is read here: others keep much else in it.
const ContainerName = "container.yaml"

// maxContainer bounds that file, in bytes.
const maxContainer = 1 << 20

// Container is what container.yaml says of autorebuilds. The keys and their defaults are those of later versions of OSBS.
type Container struct {
	// FromLatest says that an autorebuild is of the branch's head, else of the commit that the last build was made from. It is false
	// where the map does not have the key, and true where there is no map.
	FromLatest bool
	// AddTimestamp says that the release gets the time of the build's creation after a dot, instead of being bumped.
	AddTimestamp bool
	// IsolatedTriggers says that the file asks for rebuilds on isolated builds of a base, which cannot be had.
	IsolatedTriggers bool
}

// Absent is what holds without the file, or without its map autorebuild.
func Absent() Container { return Container{FromLatest: true} }

// Warnings are what the file asks for and does not get.
func (c Container) Warnings() []string {
	if !c.IsolatedTriggers {
		return nil
	}
	return []string{ContainerName + ": autorebuild.ignore_isolated_builds is false, but isolated builds never start autorebuilds"}
}

// ParseContainer reads the text of container.yaml. A key that it does not know in the map autorebuild, or a value that is neither true
// nor false, is InvalidInput; so is YAML that cannot be read at all.
func ParseContainer(text []byte) (Container, error) {
	if len(text) > maxContainer {
		return Container{}, failure.New(failure.InvalidInput, "%s is larger than %d bytes", ContainerName, maxContainer)
	}
	top, err := document(text)
	if err != nil || top == nil {
		return Absent(), err
	}
	if top.Kind != yaml.MappingNode {
		return Container{}, containerError(top, "the file is not a map")
	}
	var found *yaml.Node
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value != "autorebuild" {
			continue
		}
		if found != nil {
			return Container{}, containerError(top.Content[i], "autorebuild is there twice")
		}
		found = resolve(top.Content[i+1])
	}
	if found == nil {
		return Absent(), nil
	}
	return autorebuild(found)
}

// document is the top of the one document, nil if the file says nothing.
func document(text []byte) (top *yaml.Node, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	if err = d.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil {
		if err = d.Decode(&second); err == nil {
			return nil, containerError(&second, "there is a second document")
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, failure.New(failure.InvalidInput, "%s is malformed: %s", ContainerName, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	if top = resolve(first.Content[0]); top.Tag == "!!null" {
		return nil, nil
	}
	return top, nil
}

// autorebuild reads the map.
func autorebuild(m *yaml.Node) (Container, error) {
	var c Container
	if m.Kind != yaml.MappingNode {
		return c, accepted(containerError(m, "autorebuild is not a map"))
	}
	ignoreIsolated := true
	keys := map[string]*bool{"from_latest": &c.FromLatest, "add_timestamp_to_release": &c.AddTimestamp, "ignore_isolated_builds": &ignoreIsolated}
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], resolve(m.Content[i+1])
		target := keys[key.Value]
		switch {
		case target == nil || key.Kind != yaml.ScalarNode:
			return c, accepted(containerError(key, "autorebuild has no key %.40q", key.Value))
		case seen[key.Value]:
			return c, containerError(key, "autorebuild.%s is there twice", key.Value)
		}
		seen[key.Value] = true
		var ok bool
		if *target, ok = boolean(value); !ok {
			return c, accepted(containerError(value, "autorebuild.%s is neither true nor false", key.Value))
		}
	}
	c.IsolatedTriggers = !ignoreIsolated
	return c, nil
}

// boolean reads a boolean of YAML 1.1, as OSBS did.
func boolean(n *yaml.Node) (value, ok bool) {
	const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Kind != yaml.ScalarNode || n.Style&quoted != 0 {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		return true, true
	case "false", "no", "off":
		return false, true
	default:
		return false, false
	}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// accepted adds what would be right.
func accepted(err error) error {
	return failure.WithHint(err, "accepted are from_latest, add_timestamp_to_release and ignore_isolated_builds, each true or false")
}

func containerError(at *yaml.Node, format string, args ...any) error {
	return failure.New(failure.InvalidInput, "%s, line %d: "+format, append([]any{ContainerName, max(1, at.Line)}, args...)...)
}
