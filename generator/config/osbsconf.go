package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// Conversion is what became of an osbs.conf.
type Conversion struct {
	// Config is the configuration, and Overlay the overlay, as YAML with comments; Overlay is empty if none is needed.
	Config, Overlay string
	// Notes say what could not be carried over, and what a person must do, a line each: FILE:LINE: KEY: text.
	Notes []string
}

// FromOSBSConf converts the settings of one instance of an osbs.conf (the one that osbs would use if instance is empty), and a
// prod_customize.json if customize has any content. The configuration that it returns is one that Load accepts. Whatever is in the
// files and not in it is in the notes. Files that are malformed are errors of the kind failure.Usage, which name file and line.
func FromOSBSConf(file string, data []byte, instance string, customizeFile string, customize []byte) (*Conversion, error) {
	settings, instance, err := osbsconf.Settings(file, data, instance)
	if err != nil {
		return nil, err
	}
	c := &converter{file: file, customizeFile: customizeFile, local: instance == osbsconf.Local, config: &Config{}, comments: map[string][]string{}, old: map[string]osbsconf.Setting{}}
	for _, s := range settings {
		c.setting(s)
	}
	c.together()
	if len(customize) > 0 {
		if err := c.customize(customize); err != nil {
			return nil, err
		}
	}
	c.unnamedPulps()
	c.proxies()
	c.dropFaults()
	text, err := c.render(fmt.Sprintf("The configuration of the pipeline, made from %s, instance %s.", file, instance))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.notes, c.inOrder)
	return &Conversion{Config: text, Overlay: c.renderOverlay(), Notes: c.notes}, nil
}

// converter gathers what is carried over.
type converter struct {
	file, customizeFile string
	local               bool
	// config has only what has been carried over; what is left empty gets its default.
	config *Config
	// comments are those of the first keys of the configuration; rest are those at its end.
	comments map[string][]string
	rest     []string
	notes    []string
	// old are settings that are looked at together, by name.
	old map[string]osbsconf.Setting
	// overlay are the entries of the overlay, each with a comment.
	overlay []overlayEntry
}

type overlayEntry struct{ comment, text string }

// note says what is not carried over.
func (c *converter) note(where, format string, args ...any) {
	c.notes = append(c.notes, oneLine(where+": "+fmt.Sprintf(format, args...)))
}

// inOrder compares notes by the lines that they are about: those of osbs.conf come first.
func (c *converter) inOrder(a, b string) int {
	rank := func(note string) (second bool, line int) {
		rest, first := strings.CutPrefix(note, c.file+":")
		if !first {
			rest = strings.TrimPrefix(note, c.customizeFile+":")
		}
		number, _, _ := strings.Cut(rest, ":")
		line, _ = strconv.Atoi(number)
		return !first, line
	}
	aSecond, aLine := rank(a)
	bSecond, bLine := rank(b)
	if aSecond != bSecond {
		return map[bool]int{true: 1, false: -1}[aSecond]
	}
	return aLine - bLine
}

func (c *converter) where(s osbsconf.Setting) string {
	return fmt.Sprintf("%s:%d: %s", c.file, s.Line, s.Name)
}

// from notes in the configuration where the value of a key comes from.
func (c *converter) from(key string, s osbsconf.Setting) {
	c.comment(key, fmt.Sprintf("%s:%d: %s", c.file, s.Line, s.Name))
}

func (c *converter) comment(key, text string) {
	if !slices.Contains(c.comments[key], text) {
		c.comments[key] = append(c.comments[key], oneLine(text))
	}
}

// setting carries one setting over, or says why not.
func (c *converter) setting(s osbsconf.Setting) {
	carry, known := conversions[s.Key]
	if s.Pulp != "" {
		carry, known = pulpConversions[s.Key], pulpConversions[s.Key] != nil
	}
	if s.Key == "" {
		carry, known = goneConversions[s.Name], goneConversions[s.Name] != nil
		if strings.HasPrefix(s.Name, "node_selector.") {
			carry, known = remember, true
		}
	}
	switch {
	case s.Unknown && s.Nearest != "":
		c.note(c.where(s), "is no key that OSBS or osbs know: it is not carried over; did you mean %s?", s.Nearest)
	case s.Unknown:
		c.note(c.where(s), "is no key that OSBS or osbs know: it is not carried over")
	case known && strings.TrimSpace(s.Value) == "":
		c.note(c.where(s), "has no value, so there is nothing to carry over")
	case known:
		carry(c, s)
	case s.Gone != "":
		c.note(c.where(s), "is not carried over: %s", s.Gone)
	default:
		c.note(c.where(s), "is not carried over")
	}
}

// dropFaults takes out of the configuration what Load would refuse, and says so.
func (c *converter) dropFaults() {
	for range fieldsOf(reflect.TypeFor[Config]()) {
		complete := c.complete()
		f := newFaults("")
		f.lines = map[string]int{}
		for name := range c.comments {
			f.lines[name] = 1 // given
		}
		complete.check(f)
		if len(f.list) == 0 {
			return
		}
		slices.SortStableFunc(f.list, func(a, b fault) int { return strings.Compare(a.key, b.key) })
		c.drop(f.list[0])
	}
}

// complete is the configuration with its defaults.
func (c *converter) complete() *Config {
	out := Default()
	into, from := reflect.ValueOf(out).Elem(), reflect.ValueOf(c.config).Elem()
	for i := range from.NumField() {
		if !from.Field(i).IsZero() {
			into.Field(i).Set(from.Field(i))
		}
	}
	if c.config.Workspace != (Workspace{}) {
		standard := Default().Workspace
		if out.Workspace.Size == "" {
			out.Workspace.Size = standard.Size
		}
		if out.Workspace.AccessMode == "" {
			out.Workspace.AccessMode = standard.AccessMode
		}
	}
	if c.config.Autorebuild.Enabled != nil {
		enabled := c.config.Autorebuild.Enabled
		out.Autorebuild = Default().Autorebuild
		out.Autorebuild.Enabled = enabled
	}
	return out
}

// drop takes a key out of the configuration, and leaves it as a comment.
func (c *converter) drop(f fault) {
	key, _, _ := strings.Cut(f.key, ".")
	key, _, _ = strings.Cut(key, "[")
	where := strings.Join(c.comments[key], ", ")
	text := f.text
	if f.accepted != "" {
		text += "; " + f.accepted
	}
	c.note(strings.TrimPrefix(where+": "+f.key, ": "), "is not carried over: it %s", text)
	v := reflect.ValueOf(c.config).Elem()
	for _, field := range fieldsOf(v.Type()) {
		if field.name == key {
			if s, ok := v.Field(field.index).Interface().(string); ok {
				c.rest = append(c.rest, oneLine(fmt.Sprintf("%s: %s (it %s)", key, s, text)))
			}
			v.Field(field.index).SetZero()
		}
	}
	delete(c.comments, key)
}

// render writes the configuration.
func (c *converter) render(head string) (string, error) {
	data, err := json.Marshal(c.config)
	if err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return "", fmt.Errorf("writing the configuration: %w", err)
	}
	var b bytes.Buffer
	b.WriteString("# " + oneLine(head) + "\n# docs/pipeline-configuration.md has all keys.\n")
	root := document.Content[0]
	block(root)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key := root.Content[i]
		for _, comment := range c.comments[key.Value] {
			key.HeadComment += "# " + comment + "\n"
		}
	}
	if len(root.Content) > 0 {
		e := yaml.NewEncoder(&b)
		e.CompactSeqIndent()
		e.SetIndent(2)
		if err := e.Encode(root); err != nil {
			return "", fmt.Errorf("writing the configuration: %w", err)
		}
	}
	for _, comment := range c.rest {
		b.WriteString("# " + comment + "\n")
	}
	return b.String(), nil
}

// block makes a tree that was read from JSON one that people would write.
func block(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		block(child)
	}
}

// renderOverlay writes the overlay.
func (c *converter) renderOverlay() string {
	if len(c.overlay) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The overlay of the pipeline, made from %s.\n", oneLine(c.customizeFile))
	for _, e := range c.overlay {
		b.WriteString("# " + oneLine(e.comment) + "\n" + e.text + "\n")
	}
	return b.String()
}
