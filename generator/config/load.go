package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/manifest/keyed"
)

// maxFile bounds a configuration, in bytes.
const maxFile = 1 << 20

// Load reads a configuration. File is its name for messages. What the file leaves out has the value of Default. The error, of the kind
// failure.Usage, has all faults of the file, a line each: FILE:LINE: KEY: what is wrong; what is accepted.
func Load(file string, data []byte) (*Config, error) {
	f := newFaults(file)
	config := Default()
	config.File = file
	root, err := parse(data)
	if err != nil {
		line, text := keyed.Syntax(string(data), err)
		f.spoil(line, "", text, "")
		return nil, f.err()
	}
	if root != nil {
		d := &decoder{faults: f, lines: map[string]int{}, budget: maxNodes}
		d.value(root, reflect.ValueOf(config).Elem(), place{}, 0)
		f.lines = d.lines
	}
	config.check(f)
	if err := f.err(); err != nil {
		return nil, err
	}
	return config, nil
}

// Validate checks a configuration that was not read by Load, or was changed since, as Load does. The error has all faults, a line
// each, without the numbers of lines.
func (c *Config) Validate() error {
	name := c.File
	if name == "" {
		name = "configuration"
	}
	f := newFaults(name)
	c.check(f)
	return f.err()
}

// parse returns the one document of a file, nil if there is nothing in it.
func parse(data []byte) (*yaml.Node, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	if line, fault := keyed.Illegible(string(data)); fault != "" {
		return nil, fmt.Errorf("line %d: %s", line, fault)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, another yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := d.Decode(&another); err == nil {
		return nil, fmt.Errorf("line %d: a second document begins here, and a configuration is one document", another.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errors.New("the file holds no YAML document")
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == yaml.NodeTagNull && root.Value == "" { // comments only
		return nil, nil
	}
	return root, nil
}
