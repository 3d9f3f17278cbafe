package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// plugin is one entry of a prod_customize.json: a plugin of atomic-reactor that a site has switched off, or on with arguments.
type plugin struct {
	line    int
	name    string
	enabled bool
	args    []jsonField
}

// where is the entry, for messages.
func (c *converter) plugin(p plugin) string {
	return fmt.Sprintf("%s:%d: %s", c.customizeFile, p.line, legible(p.name))
}

// customize carries a site's customisation over. OSBS switched off what it says to switch off, then switched on; so what is in both is on.
func (c *converter) customize(data []byte) error {
	root, line, err := readJSON(data)
	if err != nil {
		return failure.New(failure.Usage, "%s:%d: not JSON: %w", c.customizeFile, line, err)
	}
	r := customizeReader{file: c.customizeFile, converter: c}
	plugins := r.read(root)
	if len(r.errors) > 0 {
		return failure.New(failure.Usage, "%w", errors.New(strings.Join(r.errors, "\n")))
	}
	for _, p := range plugins {
		again := slices.ContainsFunc(plugins, func(o plugin) bool { return o.name == p.name && o.enabled })
		if !p.enabled && again {
			c.note(c.plugin(p), "is switched off, and on again: the latter counts")
			continue
		}
		c.carryPlugin(p)
	}
	return nil
}

// carryPlugin carries one entry over, or says why not.
func (c *converter) carryPlugin(p plugin) {
	if do, ok := pluginConversions[p.name]; ok {
		do(c, p)
		return
	}
	fate, known := pluginFates[p.name]
	if !known && strings.HasPrefix(p.name, "koji") {
		fate, known = noKoji, true
	}
	switch {
	case !known:
		c.note(c.plugin(p), "cannot be carried over: no plugin of OSBS is called that; if the site has written it, make a Task of it, and insert that with an overlay")
	case p.enabled && fate.stage != "":
		c.note(c.plugin(p), "needs nothing: stage %s always does it: %s", fate.stage, fate.text)
		c.arguments(p, nil)
	case fate.stage != "":
		c.note(c.plugin(p), "cannot be switched off: stage %s always does it: %s", fate.stage, fate.text)
	case p.enabled:
		c.note(c.plugin(p), "cannot be carried over: %s", fate.text)
	default:
		c.note(c.plugin(p), "needs nothing: it is not done anyway: %s", fate.text)
	}
}

// arguments says which arguments of a plugin are not carried over: those that are not in carried. Their values may be secret.
func (c *converter) arguments(p plugin, carried []string) {
	var names []string
	for _, a := range p.args {
		if !slices.Contains(carried, a.name) {
			names = append(names, legible(a.name))
		}
	}
	if len(names) > 0 {
		c.note(c.plugin(p), "the arguments %s have no meaning any more", join(names))
	}
}

func (p plugin) arg(name string) *jsonValue {
	for _, a := range p.args {
		if a.name == name {
			return a.value
		}
	}
	return nil
}

// fromPlugin notes in the configuration where the value of a key comes from.
func (c *converter) fromPlugin(key string, p plugin) { c.comment(key, c.plugin(p)) }

// customizeReader checks the form of the file; it has all errors, a line each.
type customizeReader struct {
	file      string
	converter *converter
	errors    []string
}

func (r *customizeReader) fail(line int, format string, args ...any) {
	if len(r.errors) < maxFaults {
		r.errors = append(r.errors, oneLine(fmt.Sprintf("%s:%d: ", r.file, line)+fmt.Sprintf(format, args...)))
	}
}

// phases are the keys of prod_inner.json, from which a site may have started.
var phases = []string{"prebuild_plugins", "buildstep_plugins", "prepublish_plugins", "postbuild_plugins", "exit_plugins"}

func (r *customizeReader) read(root *jsonValue) []plugin {
	if !root.isObject {
		r.fail(root.line, "the file is no object with disable_plugins and enable_plugins")
		return nil
	}
	var out []plugin
	for _, order := range []bool{false, true} { // off before on
		for _, f := range root.fields {
			switch {
			case f.name == "disable_plugins" && !order:
				out = append(out, r.plugins(f, false, "plugin_name", "plugin_args")...)
			case f.name == "enable_plugins" && order:
				out = append(out, r.plugins(f, true, "plugin_name", "plugin_args")...)
			case slices.Contains(phases, f.name) && order:
				out = append(out, r.plugins(f, true, "name", "args")...)
			case order:
				r.other(f)
			}
		}
	}
	return out
}

// other reads what is beside the plugins.
func (r *customizeReader) other(f jsonField) {
	where := fmt.Sprintf("%s:%d: %s", r.file, f.value.line, legible(f.name))
	c := r.converter
	switch f.name {
	case "disable_plugins", "enable_plugins":
	case "version", "arrangement_version":
		c.note(where, "needs nothing: it was the version of the plugins' arrangement, and the layout takes its place")
	case "source_registry":
		uri := f.value.field("uri").text()
		if uri == "" {
			uri = f.value.field("url").text()
		}
		if rule := rulesByKind["source_registry_uri"]; rule.text(uri) != nil {
			r.fail(f.value.line, "source_registry has no uri that is a registry; the form is [https://|http://]host[:port]")
			return
		}
		insecure := f.value.field("insecure")
		c.sourceRegistry(where, uri, insecure != nil && insecure.scalar == true)
	default:
		c.note(where, "is not carried over: OSBS does not know it either")
	}
}

// sourceRegistry sets the registry of bases, if osbs.conf has not.
func (c *converter) sourceRegistry(where, uri string, insecure bool) {
	if c.config.SourceRegistryURI != "" && c.config.SourceRegistryURI != uri {
		c.note(where, "is not carried over: osbs.conf has another source_registry_uri")
		return
	}
	c.config.SourceRegistryURI = uri
	c.comment("source_registry_uri", where)
	if insecure && !slices.Contains(c.config.RegistryInsecure, uri) {
		c.config.RegistryInsecure = append(c.config.RegistryInsecure, uri)
		c.comment("registry_insecure", where)
		return
	}
	c.plain(uri, osbsconf.Setting{Name: "source_registry_uri"})
}

// plugins reads a list of entries.
func (r *customizeReader) plugins(f jsonField, enabled bool, nameField, argsField string) []plugin {
	if !f.value.isList {
		r.fail(f.value.line, "%s is no list", f.name)
		return nil
	}
	var out []plugin
	for i, item := range f.value.items {
		at := fmt.Sprintf("%s[%d]", f.name, i)
		if !item.isObject {
			r.fail(item.line, "%s is no object; accepted is {%q: \"...\", %q: \"...\"}", at, "plugin_type", nameField)
			continue
		}
		p := plugin{line: item.line, enabled: enabled, name: item.field(nameField).text()}
		if p.name == "" {
			r.fail(item.line, "%s has no %s that is a text", at, nameField)
		}
		for _, field := range item.fields {
			switch field.name {
			case nameField, "plugin_type", "required", "is_allowed_to_fail":
			case argsField:
				if !enabled || !field.value.isObject {
					r.fail(field.value.line, "%s.%s is not accepted: arguments are an object, and of a plugin that is switched on", at, argsField)
				}
				p.args = field.value.fields
			default:
				r.fail(field.value.line, "%s has an unknown field %.60q; accepted are plugin_type, %s and %s", at, field.name, nameField, argsField)
			}
		}
		if kind := item.field("plugin_type"); nameField == "plugin_name" && !slices.Contains(phases, kind.text()) {
			r.fail(item.line, "%s has no plugin_type that is one of %s", at, join(phases))
		}
		out = append(out, p)
	}
	return out
}
