package osbsconf

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/configparser"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Setting is one line of osbs.conf that counts for an instance.
type Setting struct {
	// Key is the name that it has today, Name the one that the file has. Key is empty if there is no such key any more.
	Key, Name string
	// Section and Line say where it is. Pulp is the name of the Pulp that the section describes, empty if it is none of [pulp.NAME].
	Section, Pulp string
	Line          int
	// Value has its references to other values replaced.
	Value string
	// Gone says what replaced a key of OSBS that has no meaning any more; it is empty for keys that have one. Unknown says that nobody
	// knows the key, and Nearest which one may be meant.
	Gone    string
	Unknown bool
	Nearest string
}

// Settings are what a file says about an instance, for programs that convert it: those of its section, then those of [general] that are
// not in its section, then those of the Pulps that it names. The instance is chosen as Load does if its name is empty, and returned. Keys without a meaning are among them. A
// file that cannot be parsed, an instance that is not there and a value that its key does not accept are errors, which name
// file and line; of the last, all of a file.
func Settings(name string, data []byte, instance string) ([]Setting, string, error) {
	if len(data) > maxFile {
		return nil, "", failure.New(failure.Usage, "%s is larger than %d bytes", name, maxFile)
	}
	f := file{name: name}
	var err error
	if f.File, err = configparser.Parse(string(data)); err != nil {
		return nil, "", f.fail(err)
	}
	o := Options{Instance: instance}
	if instance, err = o.instance(f); err != nil {
		return nil, "", err
	}
	r := &resolver{options: o, file: f, instance: instance}
	var out []Setting
	var errs []string
	for _, s := range r.sections() {
		if s.Name == configparser.DefaultSection { // values for others to refer to
			continue
		}
		for _, key := range s.Order {
			setting, err := r.setting(s, key)
			if err != nil {
				errs = append(errs, err.Error())
			}
			if !slices.ContainsFunc(out, func(o Setting) bool { return o.Name == setting.Name || o.Key != "" && o.Key == setting.Key }) {
				out = append(out, setting)
			}
		}
	}
	for _, name := range f.Order {
		if why, ok := goneSection(name); ok {
			out = append(out, Setting{Name: "[" + name + "]", Section: name, Line: f.Sections[name].Line, Gone: why})
		}
	}
	for _, name := range pulpNames(out) {
		settings, faults := r.pulpSettings(name)
		out, errs = append(out, settings...), append(errs, faults...)
	}
	if len(errs) > 0 {
		return nil, instance, failure.New(failure.Usage, "%w", errors.New(strings.Join(errs, "\n")))
	}
	return out, instance, nil
}

// pulpNames are the Pulps that settings name, the one that counts first.
func pulpNames(settings []Setting) []string {
	var names []string
	for _, key := range []string{"pulp_sync_registry_name", "pulp_registry_name"} {
		for _, s := range settings {
			if s.Key == key && s.Value != "" && !slices.Contains(names, s.Value) {
				names = append(names, s.Value)
			}
		}
	}
	return names
}

// setting reads one line.
func (r *resolver) setting(s *configparser.Section, name string) (Setting, error) {
	out := Setting{Name: name, Section: s.Name, Line: s.Keys[name].Line}
	var err error
	if out.Value, err = r.file.Value(s, name); err != nil {
		return out, r.file.fail(err)
	}
	if name == instanceKey && s.Name == General {
		out.Key = instanceKey
		return out, nil
	}
	all := keys()
	i := slices.IndexFunc(all, func(k key) bool { return k.name == name || slices.Contains(k.older, name) })
	if i < 0 {
		var known bool
		if out.Gone, known = gone(name); !known {
			out.Unknown, out.Nearest = true, closest(name)
			return out, nil
		}
		return out, r.checkGone(s, name)
	}
	out.Key = all[i].name
	v := value{text: out.Value, dir: filepath.Dir(r.file.name), local: r.instance == Local}
	if err := all[i].set(&Config{}, v); err != nil {
		return out, failure.New(failure.Usage, "%s:%d: %s: %w", r.file.name, out.Line, name, err)
	}
	return out, nil
}
