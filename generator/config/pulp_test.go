package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

func TestNamedPulp(t *testing.T) {
	const entries = "pulp: {a: {url: https://a.example.com}, b: {url: https://b.example.com, secret: own}}\n"
	for text, want := range map[string]Pulp{
		"":                                  {},
		"pulp_registry_name: a\n" + entries: {URL: "https://a.example.com", Secret: "osbs-pulp"},
		"pulp_registry_name: a\npulp_secret: all\n" + entries:             {URL: "https://a.example.com", Secret: "all"},
		"pulp_registry_name: a\npulp_sync_registry_name: b\n" + entries:   {URL: "https://b.example.com", Secret: "own"},
		"pulp_sync_registry_name: b\npulp_secret: all\n" + entries:        {URL: "https://b.example.com", Secret: "own"},
		"pulp_registry_name: a-b_c.D\npulp: {a-b_c.D: {url: https://x/}}": {URL: "https://x/", Secret: "osbs-pulp"},
	} {
		c, err := Load("", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, c.NamedPulp()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestPulpFaults(t *testing.T) {
	for text, want := range map[string]string{
		"pulp_registry_name: prod": "osbs.yaml:1: pulp_registry_name: no entry of pulp is called \"prod\", and dockpulp's configuration is not read; " +
			"write pulp: {prod: {url: https://HOST}}, the address of a Pulp 3 server",
		"pulp_sync_registry_name: prod\npulp: {}": "osbs.yaml:1: pulp_sync_registry_name: no entry of pulp is called \"prod\", and dockpulp's configuration is not read; " +
			"write pulp: {prod: {url: https://HOST}}, the address of a Pulp 3 server",
		"pulp_registry_name: prdo\npulp: {prod: {url: https://x}, stage: {url: https://y}}": `osbs.yaml:1: pulp_registry_name: no entry of pulp is called "prdo"; entries are prod and stage`,
		"pulp: {prod: {url: https://x}}": "osbs.yaml:1: pulp: has entries of which none is named; set pulp_registry_name to prod, or leave this key out",
		// The entry that is broken is told, and nothing else about it.
		"pulp_registry_name: prod\npulp: {prod: {secret: x}}":              "osbs.yaml:2: pulp.prod.url: is missing",
		"pulp_registry_name: prod\npulp: x":                                "osbs.yaml:2: pulp: is the text \"x\"; accepted is a mapping",
		"pulp_secret: x":                                                   "osbs.yaml:1: pulp_secret: makes no sense without pulp; set pulp, or leave this key out",
		"stages: {sync: {retries: 1}}":                                     "osbs.yaml:1: stages.sync: is about a stage that is not configured; sync needs pulp_registry_name, mirror_registry_uri or archive_volume",
		"pulp_registry_name: prod\npulp: {prod: {url: https://x, uri: y}}": "osbs.yaml:2: pulp.prod.uri: unknown key; did you mean pulp.prod.url?",

		"pulp_url: https://x":         "osbs.yaml:1: pulp_url: unknown key; write it as pulp.NAME.url, NAME being what pulp_registry_name says",
		"pulp_ca: {config_map: x}":    "osbs.yaml:1: pulp_ca: unknown key; write it as pulp.NAME.ca, NAME being what pulp_registry_name says",
		"pulp_ca_file: x":             "osbs.yaml:1: pulp_ca_file: unknown key; write it as pulp.NAME.ca, NAME being what pulp_registry_name says",
		"pulp_repository_prefix: x":   "osbs.yaml:1: pulp_repository_prefix: unknown key; write it as pulp.NAME.repository_prefix, NAME being what pulp_registry_name says",
		"pulp_timeout: 1h":            "osbs.yaml:1: pulp_timeout: unknown key; write it as pulp.NAME.timeout, NAME being what pulp_registry_name says",
		"source_secret: x":            "osbs.yaml:1: source_secret: unknown key; it is called pulp_secret",
		"registry_api_versions: v1":   "osbs.yaml:1: registry_api_versions: unknown key; leave it out: images are pushed and synced in version 2, the only one that registries and Pulp 3 have",
		"prefer_schema1_digest: true": "osbs.yaml:1: prefer_schema1_digest: unknown key; leave it out: manifests have schema 2, or are OCI's",
	} {
		_, err := Load("osbs.yaml", []byte(text))
		if got := fmt.Sprint(err); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// TestNoKeyOfPulpIsDroppedSilently wants each key of a section [pulp.NAME] in the configuration or in the notes, wherever builds run.
func TestNoKeyOfPulpIsDroppedSilently(t *testing.T) {
	values := map[string]string{"api_prefix": "/x/", "registry": "r.example.com", "timeout": "600", "retain_versions": "3"}
	for _, instance := range []string{"prod", osbsconf.Local} {
		for _, key := range osbsconf.PulpKeys() {
			value := values[key]
			if value == "" {
				value = "value"
			}
			text := fmt.Sprintf("[%s]\npulp_registry_name = a\n[pulp.a]\nurl = https://x\n%s = %s\n", instance, key, value)
			if key == "url" {
				text = strings.Replace(text, "url = https://x\nurl = value", "\nurl = https://x", 1)
			}
			got, c := convert(t, text, instance, "")
			noted := false
			for _, n := range got.Notes {
				noted = noted || strings.HasPrefix(n, "osbs.conf:5: "+key+": ")
			}
			if carried := strings.Contains(got.Config, "# osbs.conf:5: "+key+"\n"); !noted && !carried {
				t.Errorf("%s, %s: neither noted nor carried\n%s%v", instance, key, got.Config, got.Notes)
			}
			if c.NamedPulp().URL != "https://x" {
				t.Errorf("%s, %s: %+v", instance, key, c.NamedPulp())
			}
		}
	}
	for _, key := range osbsconf.PulpKeys() {
		if pulpConversions[key] == nil {
			t.Errorf("nobody has thought of %s", key)
		}
	}
}

func TestPulpOfTheConversion(t *testing.T) {
	const section = "[pulp.p]\nurl = https://p.example.com\n"
	plugin := func(list, name, args string) string {
		return fmt.Sprintf(`{%q: [{"plugin_type": "postbuild_plugins", "plugin_name": %q%s}]}`, list, name, args)
	}
	for name, c := range map[string]struct {
		conf, customize string
		// named is what is named, url its address; note is in one of the notes.
		named, url, note string
	}{
		"name alone":       {"pulp_registry_name = p\n", "", "", "", "osbs.conf:2: pulp_registry_name: is not carried over: dockpulp's configuration is not read: set it, and pulp: {p: {url: https://HOST}}"},
		"sync alone":       {"pulp_sync_registry_name = p\n", "", "", "", "osbs.conf:2: pulp_sync_registry_name: is not carried over: dockpulp's configuration is not read"},
		"sync goes before": {"pulp_registry_name = crane\npulp_sync_registry_name = p\n" + section, "", "p", "https://p.example.com", "osbs.conf:2: pulp_registry_name: is not carried over: pulp_sync_registry_name goes before it"},
		"secret alone":     {"pulp_secret = s\n", "", "", "", "pulp_secret: is not carried over: it makes no sense without pulp"},
		"not named":        {section, "", "", "", ""},
		"no url":           {"pulp_registry_name = p\n[pulp.p]\nsecret = s\n", "", "", "", "osbs.conf:4: secret: pulp.p.url: is not carried over: it is missing"},
		"no TLS":           {"pulp_registry_name = p\nregistry_insecure = p\n[pulp.p]\nurl = http://p\n", "", "p", "http://p", ""},
		"v1 and v2":        {"registry_api_versions = v1,v2\n", "", "", "", "osbs.conf:2: registry_api_versions: is not carried over: images are pushed and synced in version 2"},
		"off":              {"pulp_registry_name = p\n" + section, plugin("disable_plugins", "pulp_sync", ""), "", "", "is not carried over, because prod_customize.json switches pulp_sync off"},
		"push off":         {"pulp_registry_name = p\n" + section, plugin("disable_plugins", "pulp_push", ""), "p", "https://p.example.com", "pulp_push: needs nothing: it is not done anyway: it was for version 1"},
		"publish off":      {"pulp_registry_name = p\n" + section, plugin("disable_plugins", "pulp_publish", ""), "p", "https://p.example.com", "pulp_publish: cannot be switched off"},
		"push on":          {"pulp_registry_name = p\n" + section, plugin("enable_plugins", "pulp_push", ""), "p", "https://p.example.com", "pulp_push: needs nothing: it was for version 1"},
		"named there":      {section, plugin("enable_plugins", "pulp_sync", `, "plugin_args": {"pulp_registry_name": "q"}`), "", "", "prod_customize.json:1: pulp_sync: is not carried over: dockpulp's configuration is not read: set it, and pulp: {q: {url: https://HOST}}"},
		"no name there":    {"", plugin("enable_plugins", "pulp_sync", `, "plugin_args": {"pulp_registry_name": "a b"}`), "", "", "the argument pulp_registry_name is not carried over: it is no name"},
		"another there":    {"pulp_registry_name = p\n" + section, plugin("enable_plugins", "pulp_sync", `, "plugin_args": {"pulp_registry_name": "q"}`), "p", "https://p.example.com", "osbs.conf names another Pulp, p"},
		"secret there":     {"", plugin("enable_plugins", "pulp_sync", `, "plugin_args": {"pulp_secret_path": "/x"}`), "", "", "the argument pulp_secret_path is not carried over: name the Secret in pulp_secret; it may hold pulp.cer and pulp.key"},
	} {
		got, config := convert(t, "[prod]\n"+c.conf, "prod", c.customize)
		if named := config.PulpSyncRegistryName + config.PulpRegistryName; named != c.named || config.NamedPulp().URL != c.url {
			t.Errorf("%s: named is %q, %+v", name, named, config.NamedPulp())
		}
		if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, c.note) || c.note == "" && notes != "" {
			t.Errorf("%s: notes are\n%s", name, notes)
		}
	}
}
