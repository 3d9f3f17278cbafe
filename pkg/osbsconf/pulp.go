package osbsconf

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/configparser"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// PulpSection begins the names of the sections that describe a Pulp, [pulp.prod] for example. Such a section is no instance.
const PulpSection = "pulp."

// Pulp is a Pulp 3 server, as a section [pulp.NAME] describes it. OSBS had the names in dockpulp's configuration.
type Pulp struct {
	// Name is what pulp_sync_registry_name or pulp_registry_name calls it.
	Name string
	// URL is the server's, such as https://pulp.example.com.
	URL string
	// APIPrefix is what Pulp's administrator has set API_ROOT to; empty means /pulp/.
	APIPrefix string
	// Secret has username and password, or tls.crt and tls.key, or both; it is pulp_secret if the section names none.
	Secret string
	CAFile string
	// Registry is host[:port] of the registry that Pulp serves, if it is not the one that Pulp names.
	Registry         string
	RepositoryPrefix string
	// Timeout is how long Pulp may take; 0 is the stage's own.
	Timeout time.Duration
	// RetainVersions is how many versions of a repository Pulp keeps; 0 leaves to Pulp what it does.
	RetainVersions int
}

// pulpKeys are the settings of a section [pulp.NAME]. They have neither flags nor environment variables, which could not say whose
// they are.
func pulpKeys() []key {
	return []key{
		{name: "url", set: httpURL(func(c *Config) *string { return &c.Pulp.URL })},
		{name: "api_prefix", set: apiPrefix},
		{name: "secret", set: secret(func(c *Config) *string { return &c.Pulp.Secret })},
		{name: "ca_file", set: path(func(c *Config) *string { return &c.Pulp.CAFile })},
		{name: "registry", set: hostPort(func(c *Config) *string { return &c.Pulp.Registry })},
		{name: "repository_prefix", set: text(func(c *Config) *string { return &c.Pulp.RepositoryPrefix })},
		{name: "timeout", set: duration(func(c *Config) *time.Duration { return &c.Pulp.Timeout })},
		{name: "retain_versions", set: count(func(c *Config) *int { return &c.Pulp.RetainVersions })},
	}
}

// PulpKeys are the names of the settings of a section [pulp.NAME], in the order of the documentation.
func PulpKeys() []string {
	all := pulpKeys()
	names := make([]string, 0, len(all))
	for _, k := range all {
		names = append(names, k.name)
	}
	return names
}

// movedKeys are keys that a section [pulp.NAME] has now.
var movedKeys = map[string]string{
	"pulp_url": "url", "pulp_api_prefix": "api_prefix", "pulp_ca_file": "ca_file", "pulp_registry": "registry",
	"pulp_repository_prefix": "repository_prefix", "pulp_timeout": "timeout", "pulp_retain_versions": "retain_versions",
}

// apiPrefixForm is what Pulp's API_ROOT looks like.
var apiPrefixForm = regexp.MustCompile(`^/([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]*$`)

func apiPrefix(c *Config, v value) error {
	if v.text != "" && !apiPrefixForm.MatchString(v.text) {
		return fmt.Errorf("%.60q is no prefix of an API: the form is /pulp/", v.text)
	}
	c.Pulp.APIPrefix = v.text
	return nil
}

func hostPort(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if v.text == "" {
			return nil
		}
		u, err := registry.ParseURI(v.text)
		if err != nil {
			return err
		}
		if strings.Contains(v.text, "/") {
			return errors.New("the value is more than host[:port]")
		}
		*field(c) = u.Host
		return nil
	}
}

// isPulp says whether a section describes a Pulp.
func isPulp(section string) bool { return strings.HasPrefix(section, PulpSection) }

// pulp reads the section of the Pulp that the settings name. On a cluster the Pipeline knows its Pulp, so osbs.conf may be one of
// OSBS's, which has only the name.
func (r *resolver) pulp(c *Config) error {
	if c.PulpRegistryName == "" {
		return nil
	}
	s := r.file.Sections[PulpSection+c.PulpRegistryName]
	if s == nil {
		err := r.noPulp(c.PulpRegistryName)
		if r.instance != Local {
			r.warnings = append(r.warnings, strings.ReplaceAll(err.Error(), "\nhint: ", "; "))
			err = nil
		}
		return err
	}
	c.Pulp.Name = c.PulpRegistryName
	for _, name := range s.Order {
		v, k, err := r.pulpValue(s, name)
		if err != nil {
			return err
		}
		if k == nil {
			return r.unknownPulpKey(s, name)
		}
		if err := k.set(c, v); err != nil {
			return failure.New(failure.Usage, "%s: %w", v.origin, err)
		}
	}
	if c.Pulp.URL == "" {
		return failure.WithHint(failure.New(failure.Usage, "%s:%d: [%s] has no url", r.file.name, s.Line, s.Name), "url is the address of a Pulp 3 server, https://HOST")
	}
	if c.Pulp.Secret == "" {
		c.Pulp.Secret = c.PulpSecret
	}
	return nil
}

// pulpValue is one setting of a Pulp, and its key; nil if there is no such key.
func (r *resolver) pulpValue(s *configparser.Section, name string) (value, *key, error) {
	text, err := r.file.Value(s, name)
	if err != nil {
		return value{}, nil, r.file.fail(err)
	}
	v := value{
		text: text, origin: fmt.Sprintf("%s:%d: %s", r.file.name, s.Keys[name].Line, name), dir: filepath.Dir(r.file.name), home: r.options.Home,
		local: r.instance == Local,
	}
	v, _, err = v.absolute()
	all := pulpKeys()
	i := slices.IndexFunc(all, func(k key) bool { return k.name == name })
	if i < 0 {
		return v, nil, err
	}
	return v, &all[i], err
}

// noPulp says that no section describes the Pulp that a setting names.
func (r *resolver) noPulp(name string) error {
	origin := r.file.name
	for _, k := range []string{"pulp_registry_name", "pulp_sync_registry_name"} { // the second goes before the first
		if v, found, err := r.find(key{name: k}); err == nil && found && v.text != "" {
			origin = v.origin
		}
	}
	err := failure.New(failure.Usage, "%s: no section [%s%.60s] describes this Pulp", origin, PulpSection, name)
	var known []string
	for _, s := range r.file.Order {
		if isPulp(s) {
			known = append(known, "["+s+"]")
		}
	}
	if len(known) > 0 {
		return failure.WithHint(err, "sections of Pulps are: %s", strings.Join(known, ", "))
	}
	return failure.WithHint(err, "dockpulp's configuration is not read: write a section [%s%.60s] with url = https://HOST, the address of a Pulp 3 server", PulpSection, name)
}

func (r *resolver) unknownPulpKey(s *configparser.Section, name string) error {
	err := failure.New(failure.Usage, "%s:%d: unknown key %.60q in [%s]", r.file.name, s.Keys[name].Line, name, s.Name)
	if near := closestPulpKey(name); near != "" {
		return failure.WithHint(err, "did you mean %s?", near)
	}
	return failure.WithHint(err, "the keys of a Pulp are: %s", strings.Join(PulpKeys(), ", "))
}

// closestPulpKey is the key of a Pulp that name is probably meant to be, empty if none is near.
func closestPulpKey(name string) string {
	if moved, ok := movedKeys[name]; ok {
		return moved
	}
	return Nearest(name, PulpKeys())
}

// pulpSettings are what the section of a Pulp says, and the errors of its values.
func (r *resolver) pulpSettings(name string) (settings []Setting, errs []string) {
	s := r.file.Sections[PulpSection+name]
	if s == nil {
		return nil, nil
	}
	for _, key := range s.Order {
		out := Setting{Name: key, Section: s.Name, Pulp: name, Line: s.Keys[key].Line}
		v, k, err := r.pulpValue(s, key)
		out.Value = v.text
		switch {
		case err != nil:
		case k == nil:
			out.Unknown, out.Nearest = true, closestPulpKey(key)
		default:
			out.Key = k.name
			if err = k.set(&Config{}, v); err != nil {
				err = fmt.Errorf("%s: %w", v.origin, err)
			}
		}
		if err != nil {
			errs = append(errs, err.Error())
		}
		settings = append(settings, out)
	}
	return settings, errs
}
