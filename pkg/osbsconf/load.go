package osbsconf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/configparser"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// maxFile bounds osbs.conf, in bytes.
	maxFile = 1 << 20
	// systemFile is read when the user has no ~/.osbs.conf.
	systemFile = "/etc/osbs.conf"
	// userFile is looked for in the home directory.
	userFile = ".osbs.conf"
	// instanceKey names, in [general], the instance that is used when none is asked for.
	instanceKey = "instance"
)

// Options say which file and which instance are meant, and what goes before the file.
type Options struct {
	// Path is the file; empty means ~/.osbs.conf, else /etc/osbs.conf, else none.
	Path string
	// Instance is the section; empty means what [general] names, else [default] if there is one, else BuiltIn.
	Instance string
	// BuiltIn is the instance that is used when nobody names one: Local, which is also meant if it is empty, or Cluster.
	BuiltIn string
	// Flags are the settings that were given on the command line, by key.
	Flags map[string]string
	// Getenv is os.Getenv; nil means that there is no environment.
	Getenv func(string) string
	// Home is the home directory; System, if not empty, stands for /etc/osbs.conf.
	Home, System string
}

// Variable is the environment variable of a key: OSBS_REGISTRY_URI for registry_uri.
func Variable(key string) string { return "OSBS_" + strings.ToUpper(key) }

// Load reads the settings of one instance. Warnings tell of keys that OSBS knew and that have no meaning any more. All errors are
// failure.Usage and name the file and the line, the flag or the variable.
func Load(o Options) (*Config, []string, error) {
	if o.Getenv == nil {
		o.Getenv = func(string) string { return "" }
	}
	file, err := o.read()
	if err != nil {
		return nil, nil, err
	}
	instance, err := o.instance(file)
	if err != nil {
		return nil, nil, err
	}
	r := &resolver{options: o, file: file, instance: instance}
	config := defaults()
	config.Instance, config.File = instance, file.name
	if err := r.checkKeys(); err != nil {
		return nil, r.warnings, err
	}
	for _, k := range keys() {
		if err := r.set(&config, k); err != nil {
			return nil, r.warnings, err
		}
	}
	if err := r.pulp(&config); err != nil {
		return nil, r.warnings, err
	}
	return &config, r.warnings, nil
}

// file is osbs.conf; its name is empty if there is none.
type file struct {
	name string
	*configparser.File
}

// fail makes a parser's error one that names file and line.
func (f file) fail(err error) error {
	var at *configparser.Error
	if errors.As(err, &at) {
		return failure.New(failure.Usage, "%s:%d: %w", f.name, at.Line, err)
	}
	return failure.New(failure.Usage, "%s: %w", f.name, err)
}

func (o Options) read() (file, error) {
	for _, name := range o.candidates() {
		content, err := readBounded(name)
		if errors.Is(err, fs.ErrNotExist) && o.Path == "" {
			continue
		}
		if err != nil {
			return file{}, failure.WithHint(failure.New(failure.Usage, "reading osbs.conf: %w", err), "--config names another file")
		}
		f := file{name: name}
		f.File, err = configparser.Parse(content)
		if err != nil {
			return file{}, f.fail(err)
		}
		return f, nil
	}
	return file{File: &configparser.File{}}, nil
}

// candidates are the files of which the first that exists is read.
func (o Options) candidates() []string {
	if o.Path != "" {
		return []string{o.Path}
	}
	system := o.System
	if system == "" {
		system = systemFile
	}
	if o.Home == "" {
		return []string{system}
	}
	return []string{filepath.Join(o.Home, userFile), system}
}

func readBounded(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return string(data), err
}

// instance chooses the instance, and checks that it is there.
func (o Options) instance(f file) (string, error) {
	name := o.Instance
	general := f.Sections[General]
	switch {
	case name != "":
	case general != nil && general.Keys[instanceKey].Value != "":
		name = general.Keys[instanceKey].Value
	case f.Sections[Default] != nil:
		name = Default
	case o.BuiltIn != "":
		name = o.BuiltIn
	default:
		name = Local
	}
	if f.Sections[name] != nil && !isInstance(name) || isPulp(name) {
		return "", f.noInstance(name)
	}
	if name == Local || name == Cluster || f.Sections[name] != nil {
		return name, nil
	}
	if f.name == "" {
		return "", failure.WithHint(failure.New(failure.Usage, "there is no instance %.60q: there is no osbs.conf", name),
			"write ~/%s with a section [%.60s], or name one that is built in: %s (this machine) or %s (the current context of kubectl)", userFile, name, Local, Cluster)
	}
	return "", failure.WithHint(failure.New(failure.Usage, "%s has no section [%.60s]", f.name, name), "instances are: %s", strings.Join(f.instances(), ", "))
}

// isInstance says whether a section describes an instance.
func isInstance(section string) bool {
	_, isGone := goneSection(section)
	return section != General && section != configparser.DefaultSection && !isPulp(section) && !isGone
}

// noInstance is the error of somebody who takes another section for an instance.
func (f file) noInstance(name string) error {
	what := "the section [%.60s] is no instance"
	if isPulp(name) {
		what = "[%.60s] describes a Pulp, and is no instance"
	}
	return failure.WithHint(failure.New(failure.Usage, what, name), "instances are: %s", strings.Join(f.instances(), ", "))
}

// instances are the names that --instance accepts.
func (f file) instances() []string {
	known := []string{Local, Cluster}
	for _, s := range f.Order {
		if isInstance(s) && s != Local && s != Cluster {
			known = append(known, s)
		}
	}
	return known
}

// resolver looks settings up.
type resolver struct {
	options  Options
	file     file
	instance string
	warnings []string
}

// sections are those that count for the instance, the first before the second.
func (r *resolver) sections() []*configparser.Section {
	var out []*configparser.Section
	for _, name := range []string{r.instance, General, configparser.DefaultSection} {
		if s := r.file.Sections[name]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

// checkKeys refuses keys that nobody knows, and warns about those that have lost their meaning.
func (r *resolver) checkKeys() error {
	for _, name := range r.file.Order {
		if why, ok := goneSection(name); ok {
			r.warnings = append(r.warnings, fmt.Sprintf("%s:%d: [%.60s] has no meaning any more: %s", r.file.name, r.file.Sections[name].Line, name, why))
		}
	}
	for _, s := range r.sections() {
		if s.Name == configparser.DefaultSection { // values for others to refer to may have any name
			continue
		}
		for _, name := range s.Order {
			if err := r.checkKey(s, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *resolver) checkKey(s *configparser.Section, name string) error {
	at := fmt.Sprintf("%s:%d: ", r.file.name, s.Keys[name].Line)
	if name == instanceKey && s.Name == General {
		return nil
	}
	for _, k := range keys() {
		if k.name == name || slices.Contains(k.older, name) {
			return r.checkScope(k, s, at, name)
		}
	}
	if why, ok := gone(name); ok {
		if err := r.checkGone(s, name); err != nil {
			return err
		}
		r.warnings = append(r.warnings, at+name+" has no meaning any more: "+why)
		return nil
	}
	err := failure.New(failure.Usage, "%sunknown key %.60q in [%s]", at, name, s.Name)
	if near := closest(name); near != "" {
		return failure.WithHint(err, "did you mean %s?", near)
	}
	return failure.WithHint(err, "docs/coming-from-osbs.md lists the keys")
}

// checkScope refuses what is asked of an instance that cannot do it. What [general] says is for whom it concerns.
func (r *resolver) checkScope(k key, s *configparser.Section, at, name string) error {
	local := r.instance == Local
	switch {
	case s.Name == General:
		return nil
	case local && k.scope == onCluster:
		return failure.New(failure.Usage, "%s%s has no meaning for the local instance, which has no cluster", at, name)
	case !local && k.scope == onLocal:
		return failure.New(failure.Usage, "%s%s has a meaning for the local instance only", at, name)
	}
	return nil
}

// set looks a setting up and reads it.
func (r *resolver) set(c *Config, k key) error {
	v, found, err := r.find(k)
	if err != nil || !found {
		return err
	}
	v.home, v.local = r.options.Home, r.instance == Local
	if err := k.set(c, v); err != nil {
		return failure.New(failure.Usage, "%s: %w", v.origin, err)
	}
	return nil
}

// find takes the flag, else the variable, else the instance's section, else [general].
func (r *resolver) find(k key) (value, bool, error) {
	if text, ok := r.options.Flags[k.name]; ok {
		return value{text: text, origin: "--" + strings.ReplaceAll(k.name, "_", "-"), dir: "."}.absolute()
	}
	if text := r.options.Getenv(Variable(k.name)); text != "" {
		return value{text: text, origin: "environment variable " + Variable(k.name), dir: "."}.absolute()
	}
	if r.instance == Local && k.scope == onCluster || r.instance != Local && k.scope == onLocal {
		return value{}, false, nil
	}
	for _, s := range r.sections() {
		for _, name := range append([]string{k.name}, k.older...) {
			e, ok := s.Keys[name]
			if !ok {
				continue
			}
			text, err := r.file.Value(s, name)
			if err != nil {
				return value{}, false, r.file.fail(err)
			}
			v := value{text: text, origin: fmt.Sprintf("%s:%d: %s", r.file.name, e.Line, name), dir: filepath.Dir(r.file.name)}
			return v.absolute()
		}
	}
	return value{}, false, nil
}

// absolute makes the directory that paths are relative to absolute.
func (v value) absolute() (value, bool, error) {
	dir, err := filepath.Abs(v.dir)
	if err != nil {
		return v, false, failure.New(failure.Internal, "finding the working directory: %w", err)
	}
	v.dir = dir
	return v, true, nil
}
