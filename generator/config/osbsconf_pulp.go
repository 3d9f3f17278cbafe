package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// pulpConversions are those of the keys of a section [pulp.NAME].
var pulpConversions = map[string]carrier{
	"url":        pulpText(func(p *Pulp) *string { return &p.URL }),
	"api_prefix": pulpText(func(p *Pulp) *string { return &p.APIPrefix }),
	"secret":     pulpCarrier(func(p *Pulp) carrier { return secretText("osbs-pulp", func(*Config) *string { return &p.Secret }) }),
	"ca_file": pulpCarrier(func(p *Pulp) carrier {
		return func(c *converter, s osbsconf.Setting) {
			certificates("pulp", "osbs-pulp-"+objectName(s.Pulp)+"-ca", func(*Config) **Source { return &p.CA })(c, s)
		}
	}),
	"registry":          pulpText(func(p *Pulp) *string { return &p.Registry }),
	"repository_prefix": pulpText(func(p *Pulp) *string { return &p.RepositoryPrefix }),
	"timeout":           pulpCarrier(func(p *Pulp) carrier { return durationText(func(*Config) *string { return &p.Timeout }) }),
	"retain_versions":   pulpVersions,
}

// objectName is the name of an entry as a part of the name of an object of Kubernetes.
func objectName(name string) string {
	return strings.Trim(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)), "-")
}

// pulpCarrier carries a setting into an entry of pulp; the configuration says that in one place, above the key pulp.
func pulpCarrier(carry func(*Pulp) carrier) carrier {
	return func(c *converter, s osbsconf.Setting) {
		if c.config.Pulp == nil {
			c.config.Pulp = map[string]Pulp{}
		}
		p := c.config.Pulp[s.Pulp]
		s.Key = "pulp"
		carry(&p)(c, s)
		c.config.Pulp[s.Pulp] = p
	}
}

func pulpText(into func(*Pulp) *string) carrier {
	return pulpCarrier(func(p *Pulp) carrier {
		return func(c *converter, s osbsconf.Setting) { *into(p) = s.Value; c.from(s.Key, s) }
	})
}

func pulpVersions(c *converter, s osbsconf.Setting) {
	n, err := strconv.Atoi(s.Value)
	if err != nil || n == 0 {
		c.note(c.where(s), "is left out: 0 leaves to Pulp what it does")
		return
	}
	pulpCarrier(func(p *Pulp) carrier {
		return func(c *converter, s osbsconf.Setting) { p.RetainVersions = n; c.from(s.Key, s) }
	})(c, s)
}

// unnamedPulps leaves out the names of Pulps that no section describes, as those that OSBS had in dockpulp's configuration.
func (c *converter) unnamedPulps() {
	for _, one := range []struct {
		key  string
		name *string
	}{{"pulp_registry_name", &c.config.PulpRegistryName}, {"pulp_sync_registry_name", &c.config.PulpSyncRegistryName}} {
		name := *one.name
		if _, ok := c.config.Pulp[name]; ok || name == "" || pulpName.text(name) != nil {
			continue
		}
		why := "dockpulp's configuration is not read: set it, and " + pulpOf(name)
		if one.key == "pulp_registry_name" && c.config.PulpSyncRegistryName != "" {
			why = "pulp_sync_registry_name goes before it"
		}
		for _, where := range c.comments[one.key] {
			c.note(where, "is not carried over: %s", why)
		}
		c.rest = append(c.rest, oneLine(fmt.Sprintf("%s: %s (%s)", one.key, name, why)))
		delete(c.comments, one.key)
		*one.name = ""
	}
}

// pulpPlugins are the plugins of atomic-reactor that spoke to Pulp 2, and what became of their work.
var pulpPlugins = map[string]string{
	"pulp_sync":    "stage sync has the Pulp that pulp_registry_name names take the image over, and publish it",
	"pulp_push":    "it was for version 1 of registries, which Pulp 3 does not have; stage sync has Pulp take the image over in version 2",
	"pulp_tag":     "stage sync has Pulp take the image's tags over",
	"pulp_publish": "what stage sync has brought into Pulp is published",
	"pulp_pull":    "stage sync compares the digest of each tag at Pulp with what was pushed",
}

// pulpArguments are arguments of these plugins that another setting takes the place of.
var pulpArguments = map[string]string{ //nolint:gosec // words about secrets, not secrets
	"pulp_secret_path":     "name the Secret in pulp_secret; it may hold pulp.cer and pulp.key, as OSBS's did, or tls.crt and tls.key, or username and password",
	"username":             "it belongs into the Secret that pulp_secret names",
	"password":             "it belongs into the Secret that pulp_secret names",
	"docker_registry":      "Pulp takes images from the first of registry_uri",
	"registry_secret_path": "Pulp is given the credentials that registry_secret has for the first of registry_uri",
	"insecure_registry":    "name the registry in registry_insecure",
	"insecure":             "name the host in registry_insecure",
	"pulp_repo_prefix":     "set pulp.NAME.repository_prefix",
}

// pulpPlugin leaves Pulp out if a site has switched the sync off, and takes the name of the Pulp if it is on.
func pulpPlugin(c *converter, p plugin) {
	fate := pulpPlugins[p.name]
	switch {
	case p.enabled:
		pulpOn(c, p, fate)
	case p.name == "pulp_sync":
		pulpOff(c, p)
	case p.name == "pulp_push":
		c.note(c.plugin(p), "needs nothing: it is not done anyway: %s", fate)
	default:
		c.note(c.plugin(p), "cannot be switched off: %s; without Pulp's name there is no Pulp in the Pipeline", fate)
	}
}

func pulpOn(c *converter, p plugin, fate string) {
	name := p.arg("pulp_registry_name").text()
	named := cmp.Or(c.config.PulpSyncRegistryName, c.config.PulpRegistryName)
	switch {
	case name == "" || name == named:
	case named != "":
		c.note(c.plugin(p), "the argument pulp_registry_name is not carried over: osbs.conf names another Pulp, %.60s", named)
	case pulpName.text(name) != nil:
		c.note(c.plugin(p), "the argument pulp_registry_name is not carried over: it is no name; set pulp_registry_name")
	default:
		c.config.PulpRegistryName = name
		c.fromPlugin("pulp_registry_name", p)
	}
	if c.config.NamedPulp().URL == "" {
		c.note(c.plugin(p), "needs pulp_registry_name, and an entry of pulp with a url: where Pulp is was in dockpulp's configuration, which is not read; it must be Pulp 3. %s", fate)
	} else {
		c.note(c.plugin(p), "needs nothing: %s", fate)
	}
	carried := []string{"pulp_registry_name"}
	for _, a := range p.args {
		if why, ok := pulpArguments[a.name]; ok {
			c.note(c.plugin(p), "the argument %s is not carried over: %s", a.name, why)
			carried = append(carried, a.name)
		}
	}
	c.arguments(p, carried)
}

func pulpOff(c *converter, p plugin) {
	k := c.config
	if k.PulpRegistryName+k.PulpSyncRegistryName+k.PulpSecret == "" && k.Pulp == nil {
		c.note(c.plugin(p), "needs nothing: Pulp is not configured, so it is not in the Pipeline")
		return
	}
	for _, key := range []string{"pulp_registry_name", "pulp_sync_registry_name", "pulp_secret", "pulp"} {
		for _, where := range c.comments[key] {
			c.note(where, "is not carried over, because %s switches %s off: leave Pulp out, or set pulp_registry_name and pulp", c.customizeFile, p.name)
		}
		delete(c.comments, key)
	}
	k.PulpRegistryName, k.PulpSyncRegistryName, k.PulpSecret, k.Pulp = "", "", "", nil
	c.note(c.plugin(p), "is carried over: no key of Pulp is set, so Pulp is not in the Pipeline")
}
