package config

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/osbs-tekton/osbs/pkg/registry"
)

// checkRegistries finds registries that are named twice, or spoken to without TLS unasked, and secrets that cannot be paired.
func checkRegistries(c *Config, f *faults) {
	insecure := hostsOf(f, "registry_insecure", c.RegistryInsecure)
	hosts := hostsOf(f, "registry_uri", c.RegistryURI)
	hostsOf(f, "home_registry", c.HomeRegistry)
	plain := func(key, text string) {
		if u, err := registry.ParseURI(text); err == nil && u.Insecure && !slices.Contains(insecure, u.Host) {
			f.add(key, fmt.Sprintf("%.60q has no TLS", text), "write https://, or name the host in registry_insecure", "registry_insecure")
		}
	}
	for i, text := range c.RegistryURI {
		plain(place{key: "registry_uri"}.element(i).key, text)
	}
	plain("source_registry_uri", c.SourceRegistryURI)
	mirrors := hostsOf(f, "mirror_registry_uri", c.MirrorRegistryURI)
	for i, text := range c.MirrorRegistryURI {
		plain(place{key: "mirror_registry_uri"}.element(i).key, text)
	}
	for _, name := range sorted(c.Pulp) {
		if u, err := url.Parse(c.Pulp[name].URL); err == nil && u.User == nil && u.Scheme == "http" && !slices.Contains(insecure, u.Host) {
			f.add(pulpEntry(name).field("url").key, fmt.Sprintf("%.60q has no TLS", u), "write https://, or name the host in registry_insecure", "registry_insecure")
		}
	}
	for _, mirror := range mirrors {
		if slices.Contains(hosts, mirror) {
			f.add("mirror_registry_uri", fmt.Sprintf("%.60q is a registry that images are pushed to", mirror), "name another one than registry_uri does", "registry_uri")
		}
	}
	for i, secret := range c.RegistrySecret {
		if slices.Contains(c.RegistrySecret[:i], secret) {
			f.add(place{key: "registry_secret"}.element(i).key, fmt.Sprintf("%.60q is there twice", secret), "a Secret serves all hosts that it names")
		}
	}
	if s, r := len(c.RegistrySecret), len(c.RegistryURI); s > 1 && s < r {
		f.add("registry_secret", fmt.Sprintf("has %d Secrets for %d registries, and they are paired by position", s, r),
			"accepted is one for all, or one for each, and further ones for other hosts", "registry_uri")
	}
}

// checkReach finds pull secrets that are named twice, and exceptions to a proxy that is not there.
func checkReach(c *Config, f *faults) {
	for i, secret := range c.PullSecret {
		if slices.Contains(c.PullSecret[:i], secret) {
			f.add(place{key: "pull_secret"}.element(i).key, fmt.Sprintf("%.60q is there twice", secret), "")
		}
	}
	if len(c.Proxy.NoProxy) > 0 && c.Proxy.HTTP+c.Proxy.HTTPS == "" {
		f.add("proxy.no_proxy", "makes no sense without a proxy", "set proxy.http or proxy.https, or leave this key out", "proxy")
	}
}

// hostsOf are the hosts of a list of registries; one that is there twice is a fault.
func hostsOf(f *faults, key string, list List) []string {
	var hosts []string
	for i, text := range list {
		u, err := registry.ParseURI(text)
		if err != nil { // its rule has said so
			continue
		}
		if slices.Contains(hosts, u.Host) {
			f.add(place{key: key}.element(i).key, fmt.Sprintf("the host %.100q is there twice", u.Host), "")
		}
		hosts = append(hosts, u.Host)
	}
	return hosts
}

// checkBuild finds settings of the build that exclude each other.
func checkBuild(c *Config, f *faults) {
	if c.Format == "docker" && c.Compression == "zstd" {
		f.add("compression", "Docker's format has no zstd layers", "use gzip, or format oci", "format")
	}
	ids := map[string]bool{}
	for i, s := range c.BuildSecret {
		if s.ID != "" && ids[s.ID] {
			f.add(place{key: "build_secret"}.element(i).key+".id", fmt.Sprintf("%.60q is there twice", s.ID), "")
		}
		ids[s.ID] = true
	}
	if c.LockTimeout != "" && c.LockPolicy == "fail" {
		f.add("lock_timeout", "has no meaning where nothing waits", "set lock_policy to wait, or leave this key out", "lock_policy")
	}
}

// checkTimes finds what may last longer than the whole build.
func checkTimes(c *Config, f *faults) {
	whole, err := time.ParseDuration(c.Timeout)
	if err != nil || whole <= 0 {
		return
	}
	check := func(key, text string) {
		if d, err := time.ParseDuration(text); err == nil && d > whole {
			f.add(key, fmt.Sprintf("%.40s is more than a whole build may take, %.40s", text, c.Timeout), "raise timeout, or lower this", "timeout")
		}
	}
	check("lock_timeout", c.LockTimeout)
	for _, name := range sorted(c.Pulp) {
		check(pulpEntry(name).field("timeout").key, c.Pulp[name].Timeout)
	}
	for _, name := range sorted(c.Stages) {
		check(place{key: "stages"}.field(name).key+".timeout", c.Stages[name].Timeout)
	}
}
