package config

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

// NamedPulp is the entry of Pulp to sync into: the one that PulpSyncRegistryName names, or PulpRegistryName if that is not set. Its
// secret is PulpSecret if it names none. It has no URL if nothing is named, or if there is no such entry.
func (c *Config) NamedPulp() Pulp {
	p, ok := c.Pulp[cmp.Or(c.PulpSyncRegistryName, c.PulpRegistryName)]
	if ok {
		p.Secret = cmp.Or(p.Secret, c.PulpSecret)
	}
	return p
}

// pulpEntry is the place of an entry of pulp.
func pulpEntry(name string) place { return place{key: "pulp"}.field(name) }

// checkPulp finds names that no entry has, entries of which none is named, and what is wrong with an entry.
func checkPulp(c *Config, f *faults) {
	names := sorted(c.Pulp)
	for key, name := range map[string]string{"pulp_registry_name": c.PulpRegistryName, "pulp_sync_registry_name": c.PulpSyncRegistryName} {
		if name == "" || slices.Contains(names, name) || pulpName.text(name) != nil {
			continue
		}
		if len(names) == 0 {
			f.add(key, fmt.Sprintf("no entry of pulp is called %.60q, and dockpulp's configuration is not read", name),
				"write "+pulpOf(name), "pulp")
			continue
		}
		f.add(key, fmt.Sprintf("no entry of pulp is called %.60q", name), "entries are "+join(names), "pulp")
	}
	if len(names) > 0 && c.PulpRegistryName == "" && c.PulpSyncRegistryName == "" {
		f.add("pulp", "has entries of which none is named", "set pulp_registry_name to "+names[0]+", or leave this key out", "pulp_registry_name", "pulp_sync_registry_name")
	}
	for _, name := range names {
		if c.Pulp[name].URL == "" {
			f.add(pulpEntry(name).field("url").key, "is missing", "")
		}
	}
}

// pulpOf is an entry of pulp for people who have none yet.
func pulpOf(name string) string {
	return fmt.Sprintf("pulp: {%.60s: {url: https://HOST}}, the address of a Pulp 3 server", name)
}

// movedKeys are keys that an entry of pulp has now.
var movedKeys = map[string]string{
	"pulp_url": "url", "pulp_api_prefix": "api_prefix", "pulp_ca": "ca", "pulp_ca_file": "ca", "pulp_registry": "registry",
	"pulp_repository_prefix": "repository_prefix", "pulp_timeout": "timeout", "pulp_retain_versions": "retain_versions",
}

// moved says where a key at the top level has gone to, or what takes the place of one of OSBS's that is about Pulp 2 and version 1 of
// registries; it is empty if nothing has.
func moved(name string) string {
	if key, ok := movedKeys[name]; ok {
		return "write it as pulp.NAME." + key + ", NAME being what pulp_registry_name says"
	}
	return map[string]string{ //nolint:gosec // words about secrets, not secrets
		"source_secret":         "it is called pulp_secret",
		"registry_api_versions": "leave it out: images are pushed and synced in version 2, the only one that registries and Pulp 3 have",
		"prefer_schema1_digest": "leave it out: manifests have schema 2, or are OCI's",
	}[name]
}

// pulpHost is the address of a Pulp: its path is a setting of its own.
var pulpHost = regexp.MustCompile(`^https?://[^\s@/?#]+/?$`)

// checkPulpURL does not repeat a URL that holds credentials.
func checkPulpURL(text string) error {
	if err := checkURL(text); err != nil {
		return err
	}
	if u, err := url.Parse(text); err == nil && !pulpHost.MatchString(text) {
		return fmt.Errorf("%.60q has the path %.60q, and what Pulp's administrator has set API_ROOT to belongs in api_prefix", text, u.Path)
	}
	return nil
}
