package osbsconf

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// TestPulp is about which Pulp counts, and where its settings come from.
func TestPulp(t *testing.T) {
	const sections = "[pulp.a]\nurl = https://a.example.com\nsecret = own\nca_file = a.pem\n[pulp.b]\nurl = https://b.example.com\n"
	for name, c := range map[string]struct {
		content string
		env     map[string]string
		want    Pulp
	}{
		"none named":          {"[local]\n" + sections, nil, Pulp{}},
		"named":               {"[local]\npulp_registry_name = a\n" + sections, nil, Pulp{Name: "a", URL: "https://a.example.com", Secret: "DIR/own", CAFile: "DIR/a.pem"}},
		"sync goes before":    {"[local]\npulp_sync_registry_name = b\npulp_registry_name = gone\n" + sections, nil, Pulp{Name: "b", URL: "https://b.example.com"}},
		"empty does not":      {"[local]\npulp_sync_registry_name =\npulp_registry_name = b\n" + sections, nil, Pulp{Name: "b", URL: "https://b.example.com"}},
		"default secret":      {"[general]\npulp_secret = ~/all\npulp_registry_name = b\n" + sections, nil, Pulp{Name: "b", URL: "https://b.example.com", Secret: "/home/me/all"}},
		"own secret":          {"[local]\npulp_secret = all\npulp_registry_name = a\n" + sections, nil, Pulp{Name: "a", URL: "https://a.example.com", Secret: "DIR/own", CAFile: "DIR/a.pem"}},
		"environment":         {"[local]\npulp_registry_name = a\n" + sections, map[string]string{"OSBS_PULP_REGISTRY_NAME": "b"}, Pulp{Name: "b", URL: "https://b.example.com"}},
		"no keys of DEFAULT":  {"[DEFAULT]\nca_file = cluster.pem\n[local]\npulp_registry_name = b\n" + sections, nil, Pulp{Name: "b", URL: "https://b.example.com"}},
		"but its values":      {"[DEFAULT]\ndomain = example.com\n[local]\npulp_registry_name = x\n[pulp.x]\nurl = https://%(domain)s\n", nil, Pulp{Name: "x", URL: "https://example.com"}},
		"an instance's name":  {"[local]\npulp_registry_name = local\n[pulp.local]\nurl = https://x\n", nil, Pulp{Name: "local", URL: "https://x"}},
		"others are not read": {"[local]\npulp_registry_name = b\n[pulp.c]\nurl = nonsense\n" + sections, nil, Pulp{Name: "b", URL: "https://b.example.com"}},
	} {
		got, _, err := load(t, c.content, Options{Instance: Local, Home: "/home/me", Getenv: func(k string) string { return c.env[k] }})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		dir := filepath.Dir(got.File)
		c.want.Secret, c.want.CAFile = strings.ReplaceAll(c.want.Secret, "DIR", dir), strings.ReplaceAll(c.want.CAFile, "DIR", dir)
		if diff := cmp.Diff(c.want, got.Pulp); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPulpErrors(t *testing.T) {
	const named = "[local]\npulp_registry_name = a\n"
	for content, want := range map[string]string{
		named: "FILE:2: pulp_registry_name: no section [pulp.a] describes this Pulp\n" +
			"hint: dockpulp's configuration is not read: write a section [pulp.a] with url = https://HOST, the address of a Pulp 3 server",
		named + "pulp_sync_registry_name = c\n[pulp.a]\n[pulp.b]\n": "FILE:3: pulp_sync_registry_name: no section [pulp.c] describes this Pulp\nhint: sections of Pulps are: [pulp.a], [pulp.b]",
		named + "[pulp.a]\n":                          "FILE:3: [pulp.a] has no url\nhint: url is the address of a Pulp 3 server, https://HOST",
		named + "[pulp.a]\nurl = pulp\n":              "FILE:4: url: the value is no URL: it begins with https:// or http://",
		named + "[pulp.a]\nurll = x\n":                "FILE:4: unknown key \"urll\" in [pulp.a]\nhint: did you mean url?",
		named + "[pulp.a]\nqqqqqqq = x\n":             "FILE:4: unknown key \"qqqqqqq\" in [pulp.a]\nhint: the keys of a Pulp are: url, api_prefix, secret, ca_file, registry, repository_prefix, timeout, retain_versions",
		named + "[pulp.a]\npulp_timeout = 5\n":        "FILE:4: unknown key \"pulp_timeout\" in [pulp.a]\nhint: did you mean timeout?",
		named + "[pulp.a]\napi_prefix = pulp\n":       `FILE:4: api_prefix: "pulp" is no prefix of an API: the form is /pulp/`,
		named + "[pulp.a]\nregistry = https://r/v2\n": "FILE:4: registry: the value is more than host[:port]",
		named + "[pulp.a]\nregistry = r/v1\n":         "FILE:4: registry: Invalid API version requested in URI \"r/v1\": v1 registries are not supported\nhint: leave the suffix out, or write /v2",
		named + "[pulp.a]\nretain_versions = all\n":   `FILE:4: retain_versions: "all" is no number from 0 to 100000`,
		named + "[pulp.a]\nurl = %(x)s\n":             "FILE:4: url: %(x)s refers to a key that is neither in [pulp.a] nor in [DEFAULT]; a plain % is written %%",
		"[local]\npulp_url = https://x\n":             "FILE:2: unknown key \"pulp_url\" in [local]\nhint: did you mean url in a section [pulp.NAME], NAME being what pulp_registry_name says?",
		"[local]\npulp_ca_file = x\n":                 "FILE:2: unknown key \"pulp_ca_file\" in [local]\nhint: did you mean ca_file in a section [pulp.NAME], NAME being what pulp_registry_name says?",
		"[local]\npulp_repository_prefix = x\n":       "FILE:2: unknown key \"pulp_repository_prefix\" in [local]\nhint: did you mean repository_prefix in a section [pulp.NAME], NAME being what pulp_registry_name says?",
		"[local]\npulp_timeout = 5\n":                 "FILE:2: unknown key \"pulp_timeout\" in [local]\nhint: did you mean timeout in a section [pulp.NAME], NAME being what pulp_registry_name says?",
		"[local]\nregistry_api_versions = v1\n": "FILE:2: registry_api_versions: v2 must be present in registry_api_versions: \"v1\" is not supported any more\n" +
			"hint: leave the key out: images are pushed and synced in version 2, the only one that registries and Pulp 3 have",
	} {
		path := write(t, content)
		_, _, err := Load(Options{Path: path, Instance: Local})
		if err == nil || failure.KindOf(err) != failure.Usage {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if diff := cmp.Diff(want, strings.ReplaceAll(err.Error(), path, "FILE")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", content, diff)
		}
	}
}

// TestPulpIsNoInstance: nobody gets at a Pulp's section, or at one of OSBS's about platforms, as an instance.
func TestPulpIsNoInstance(t *testing.T) {
	const content = "[pulp.a]\nurl = https://x\n[platform:x86_64]\nenable_v1 = true\n[prod]\n"
	for instance, want := range map[string]string{
		"pulp.a":          "[pulp.a] describes a Pulp, and is no instance\nhint: instances are: local, cluster, prod",
		"pulp.b":          "[pulp.b] describes a Pulp, and is no instance\nhint: instances are: local, cluster, prod",
		"platform:x86_64": "the section [platform:x86_64] is no instance\nhint: instances are: local, cluster, prod",
	} {
		if _, _, err := load(t, content, Options{Instance: instance}); err == nil || err.Error() != want || failure.KindOf(err) != failure.Usage {
			t.Errorf("%s: %v", instance, err)
		}
		if _, _, err := load(t, content+"[general]\ninstance = "+instance+"\n", Options{}); err == nil || err.Error() != want {
			t.Errorf("%s in [general]: %v", instance, err)
		}
	}
}

// TestPulpOnACluster: an osbs.conf of OSBS has the name alone, and the Pipeline knows its Pulp.
func TestPulpOnACluster(t *testing.T) {
	got, warnings, err := load(t, "[prod]\npulp_registry_name = a\npulp_secret = pulp\nregistry_api_versions = v1,v2\nprefer_schema1_digest = false\n[platform:x86_64]\nenable_v1 = true\n", Options{Instance: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"FILE:6: [platform:x86_64] has no meaning any more: platforms are named in Go's words (linux/amd64), and there is no version 1 that one of them could have (enable_v1)",
		"FILE:4: registry_api_versions has no meaning any more: images are pushed and synced in version 2 of the registry's API, the only one that registries and Pulp 3 have: leave the key out",
		"FILE:5: prefer_schema1_digest has no meaning any more: manifests have schema 2, or are OCI's: nobody is given one of schema 1",
		"FILE:2: pulp_registry_name: no section [pulp.a] describes this Pulp; dockpulp's configuration is not read: write a section [pulp.a] with url = https://HOST, the address of a Pulp 3 server",
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.PulpRegistryName != "a" || got.Pulp != (Pulp{}) {
		t.Errorf("got %q %+v", got.PulpRegistryName, got.Pulp)
	}
	for content, want := range map[string]string{
		"[prod]\npulp_registry_name = a\n[pulp.a]\nurl = https://x\nsecret = /x\n": `FILE:5: secret: "/x" is not the name of a Secret: only the local instance has a directory here`,
		"[prod]\npulp_registry_name = a\n[pulp.a]\nsecret = x\n":                   "FILE:3: [pulp.a] has no url\nhint: url is the address of a Pulp 3 server, https://HOST",
	} {
		path := write(t, content)
		if _, _, err := Load(Options{Path: path, Instance: "prod"}); err == nil || strings.ReplaceAll(err.Error(), path, "FILE") != want {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestSettingsOfPulp(t *testing.T) {
	const content = "[prod]\npulp_registry_name = a\npulp_sync_registry_name = b\npulp_url = x\nregistry_api_versions = v2\n" +
		"[pulp.a]\nurl = https://a\n[pulp.b]\nsecret = s\ntimeuot = 5\n[pulp.c]\nurl = nonsense\n[platform:x86_64]\nenable_v1 = true\n"
	got, _, err := Settings("osbs.conf", []byte(content), "prod")
	if err != nil {
		t.Fatal(err)
	}
	versions, _ := gone("registry_api_versions")
	platforms, _ := goneSection("platform:x86_64")
	want := []Setting{
		{Key: "pulp_registry_name", Name: "pulp_registry_name", Section: "prod", Line: 2, Value: "a"},
		{Key: "pulp_sync_registry_name", Name: "pulp_sync_registry_name", Section: "prod", Line: 3, Value: "b"},
		{Name: "pulp_url", Section: "prod", Line: 4, Value: "x", Unknown: true, Nearest: "url in a section [pulp.NAME], NAME being what pulp_registry_name says"},
		{Name: "registry_api_versions", Section: "prod", Line: 5, Value: "v2", Gone: versions},
		{Name: "[platform:x86_64]", Section: "platform:x86_64", Line: 13, Gone: platforms},
		{Key: "secret", Name: "secret", Section: "pulp.b", Pulp: "b", Line: 9, Value: "s"},
		{Name: "timeuot", Section: "pulp.b", Pulp: "b", Line: 10, Value: "5", Unknown: true, Nearest: "timeout"},
		{Key: "url", Name: "url", Section: "pulp.a", Pulp: "a", Line: 7, Value: "https://a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, _, err = Settings("osbs.conf", []byte("[prod]\npulp_registry_name = a\nregistry_api_versions = v1\n[pulp.a]\nurl = x\ntimeout = soon\n"), "prod")
	for _, line := range []string{"osbs.conf:3: registry_api_versions: v2 must be present", "osbs.conf:5: url: ", "osbs.conf:6: timeout: "} {
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%q is not in %v", line, err)
		}
	}
}
