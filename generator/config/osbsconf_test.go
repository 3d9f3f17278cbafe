package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// convert converts files that have no faults, and loads what came of them.
func convert(t *testing.T, conf, instance, customize string) (*Conversion, *Config) {
	t.Helper()
	got, err := FromOSBSConf("osbs.conf", []byte(conf), instance, "prod_customize.json", []byte(customize))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load("osbs.yaml", []byte(got.Config))
	if err != nil {
		t.Fatalf("%s\n%v", got.Config, err)
	}
	return got, c
}

func TestFromOSBSConf(t *testing.T) {
	for name, c := range map[string]struct{ conf, customize string }{
		"prod": {"prod.conf", "prod.json"}, "prod-without-customize": {conf: "prod.conf"}, "local": {conf: "local.conf"},
		"pulp": {"pulp.conf", "pulp.json"},
	} {
		t.Run(name, func(t *testing.T) {
			read := func(file string) string {
				if file == "" {
					return ""
				}
				data, err := os.ReadFile("testdata/osbsconf/" + file)
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
			got, _ := convert(t, read(c.conf), "", read(c.customize))
			text := got.Config + "--- overlay\n" + got.Overlay + "--- notes\n" + strings.Join(got.Notes, "\n") + "\n"
			golden.Check(t, *update, "testdata/osbsconf/"+name+".txt", text)
			if strings.Contains(text, "secret-password") {
				t.Error("an argument's value is told")
			}
		})
	}
}

// value is one that a key accepts.
func value(key string) string {
	values := map[string]string{
		"verify_ssl": "true", "verbose": "true", "scratch": "true", "submodules": "false", "layer_cache": "false", "cpu_limit": "2", "memory_limit": "4Gi",
		"registry_uri": "r.example.com", "registry_insecure": "r.example.com", "source_registry_uri": "r.example.com", "home_registry": "r.example.com",
		"mirror_registry_uri": "r.example.com", "archive_format": "oci", "bump_release": "never",
		"lock_policy": "wait", "lock_timeout": "600", "format": "oci", "compression": "zstd", "build_secret": "a=b", "storage_driver": "vfs", "isolation": "chroot",
		"early_cutoff": "false", "jobs": "2", "parallel": "2", "keep_builds": "2", "platform": "linux/arm64", "registry_secret": "s", "registry_api_versions": "v1,v2",
		"platforms": "x86_64", "storage_limit": "20Gi", "worker_max_run_hours": "3", "orchestrator_max_run_hours": "3",
		"nfs_server_path": "nfs.example.com:/a", "node_selector.": "a=b",
	}
	if v, ok := values[key]; ok {
		return v
	}
	if strings.HasSuffix(key, "_node_selector") {
		return "pool=builds"
	}
	return "value"
}

// TestNoKeyIsDroppedSilently wants each key of osbs.conf, of today and of OSBS, in the configuration or in the notes.
func TestNoKeyIsDroppedSilently(t *testing.T) {
	_, nothing := convert(t, "[prod]\n", "prod", "")
	for _, key := range append(osbsconf.Keys(), osbsconf.GoneKeys()...) {
		instance, name := "prod", key
		if strings.HasSuffix(key, "_") || strings.HasSuffix(key, ".") {
			name += "x86_64"
		}
		if key == "storage_driver" || key == "parallel" || key == "keep_builds" || key == "data_dir" {
			instance = "local"
		}
		got, c := convert(t, fmt.Sprintf("[%s]\n%s = %s\n", instance, name, value(key)), instance, "")
		noted := false
		for _, n := range got.Notes {
			noted = noted || strings.HasPrefix(n, "osbs.conf:2: "+name+": ")
		}
		carried := strings.Contains(got.Config, "# osbs.conf:2: "+name+"\n")
		if same := cmp.Diff(nothing.withoutFile(), c.withoutFile()) == ""; same == carried && key != "lock_policy" || !noted && !carried {
			t.Errorf("%s: noted %v, carried %v, the configuration is that without it: %v\n%s%v", name, noted, carried, same, got.Config, got.Notes)
		}
	}
	for _, key := range osbsconf.Keys() {
		if conversions[key] == nil {
			t.Errorf("nobody has thought of %s", key)
		}
	}
}

func (c *Config) withoutFile() Config {
	out := *c
	out.File = ""
	return out
}

func TestUnknownKeysAreNoted(t *testing.T) {
	got, _ := convert(t, "[prod]\nregistry_url = x\nqqqqqqqqqqqqqqqqqqqq = y\n", "prod", "")
	want := []string{
		"osbs.conf:2: registry_url: is no key that OSBS or osbs know: it is not carried over; did you mean registry_uri?",
		"osbs.conf:3: qqqqqqqqqqqqqqqqqqqq: is no key that OSBS or osbs know: it is not carried over",
	}
	if diff := cmp.Diff(want, got.Notes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCarriedValues(t *testing.T) {
	for name, c := range map[string]struct {
		conf, customize string
		want            func(*Config) any
		value           any
	}{
		"registries":        {"registry_uris = a.example.com, http://b.example.com", "", func(c *Config) any { return c.RegistryURI }, List{"a.example.com", "http://b.example.com"}},
		"no TLS":            {"registry_uris = a.example.com, http://b.example.com", "", func(c *Config) any { return c.RegistryInsecure }, List{"b.example.com"}},
		"seconds":           {"lock_timeout = 5400\nlock_policy = wait", "", func(c *Config) any { return c.LockTimeout }, "1h30m"},
		"fail has no limit": {"lock_timeout = 5400\nlock_policy = fail", "", func(c *Config) any { return c.LockTimeout }, ""},
		"Pulp's name alone": {"pulp_registry_name = prod", "", func(c *Config) any { return c.PulpRegistryName }, ""},
		"secrets too few":   {"registry_uri = a, b, c\nregistry_secret = x, y", "", func(c *Config) any { return c.RegistrySecret }, List{"osbs-registry"}},
		"secret twice":      {"registry_uri = a, b\nregistry_secret = x, x", "", func(c *Config) any { return c.RegistrySecret }, List{"x"}},
		"architectures":     {"platforms = x86_64 ppc64le", "", func(c *Config) any { return c.Platforms }, List{"linux/amd64", "linux/ppc64le"}},
		"node selector":     {"low_priority_node_selector = a=b", "", func(c *Config) any { return c.Stages["build"].NodeSelector }, map[string]string{"a": "b"}},
		"of one platform":   {"platforms = s390x\nnode_selector.s390x = a=b", "", func(c *Config) any { return c.Stages["build"].NodeSelector }, map[string]string{"a": "b"}},
		"proxy":             {"proxy = http://p.example.com", "", func(c *Config) any { return c.Proxy.HTTPS }, "http://p.example.com"},
		"proxy's password":  {"proxy = http://a:b@p.example.com", "", func(c *Config) any { return c.Proxy.HTTP }, ""},
		"NFS":               {"nfs_server_path = n.example.com:/x/\nnfs_dest_dir = /a/../b/", "", func(c *Config) any { return c.ArchiveDir }, "b"},
		"no autorebuild":    {"", `{"disable_plugins": [{"plugin_type": "prebuild_plugins", "plugin_name": "check_and_set_rebuild"}]}`, func(c *Config) any { return *c.Autorebuild.Enabled }, false},
		"parent registry": {"", `{"enable_plugins": [{"plugin_type": "prebuild_plugins", "plugin_name": "pull_base_image", "plugin_args": {"parent_registry": "s.example.com", "parent_registry_insecure": true}}]}`,
			func(c *Config) any { return c.SourceRegistryURI + strings.Join(c.RegistryInsecure, "") }, "s.example.coms.example.com"},
		"inner": {"", `{"source_registry": {"uri": "s.example.com"}, "postbuild_plugins": [{"name": "tag_and_push", "args": {"registries": {"r.example.com": {"insecure": true}}}}]}`,
			func(c *Config) any { return c.RegistryURI }, List{"r.example.com"}},
		"archive": {"", `{"enable_plugins": [{"plugin_type": "postbuild_plugins", "plugin_name": "cp_built_image_to_nfs", "plugin_args": {"nfs_server_path": "n.example.com:/x", "dest_dir": "d"}}]}`,
			func(c *Config) any { return c.ArchiveVolume.NFS.Path + " " + c.ArchiveDir }, "/x d"},
		"archive off": {"nfs_server_path = n.example.com:/x\nnfs_dest_dir = d", `{"disable_plugins": [{"plugin_type": "postbuild_plugins", "plugin_name": "cp_built_image_to_nfs"}]}`,
			func(c *Config) any { return c.ArchiveVolume == nil && c.ArchiveDir == "" }, true},
	} {
		_, got := convert(t, "[prod]\n"+c.conf+"\n", "prod", c.customize)
		if diff := cmp.Diff(c.value, c.want(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEveryPluginHasAFate wants a word about each plugin, on and off, and none that says that nobody knows it.
func TestEveryPluginHasAFate(t *testing.T) {
	var names []string
	for name := range pluginFates {
		names = append(names, name)
	}
	for name := range pluginConversions {
		if _, both := pluginFates[name]; both {
			t.Errorf("%s is in both tables", name)
		}
		names = append(names, name)
	}
	for _, name := range append(names, "koji_tag_build") {
		for _, list := range []string{"disable_plugins", "enable_plugins"} {
			text := fmt.Sprintf(`{%q: [{"plugin_type": "exit_plugins", "plugin_name": %q}]}`, list, name)
			got, _ := convert(t, "[prod]\n", "prod", text)
			all := got.Config + strings.Join(got.Notes, "\n")
			if !strings.Contains(all, "prod_customize.json:1: "+name) || strings.Contains(all, "no plugin of OSBS") {
				t.Errorf("%s in %s:\n%s", name, list, all)
			}
		}
	}
}

func TestOverlayOfTheConversion(t *testing.T) {
	got, _ := convert(t, "[prod]\n", "prod", `{"disable_plugins": [{"plugin_type": "postbuild_plugins", "plugin_name": "import_image"}]}`)
	want := "# The overlay of the pipeline, made from prod_customize.json.\n# prod_customize.json:1: import_image\n- disable: import\n"
	if diff := cmp.Diff(want, got.Overlay); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMalformed(t *testing.T) {
	for name, c := range map[string]struct{ conf, instance, customize, want string }{
		"not INI":         {conf: "[x\n", want: `osbs.conf:1: "[x" is no section: a section is written [name]`},
		"no instance":     {conf: "[prod]\n", instance: "stage", want: `osbs.conf has no section [stage]`},
		"bad values":      {conf: "[prod]\nlock_policy = maybe\njobs = x\n", instance: "prod", want: "osbs.conf:2: lock_policy: \"maybe\" is not accepted: accepted are fail and wait\nosbs.conf:3: jobs: \"x\" is no number from 0 to 100000"},
		"not JSON":        {customize: "{\n\"a\": }", want: "prod_customize.json:2: not JSON: invalid character '}' looking for beginning of value"},
		"cut off":         {customize: "{\n\"a\": [1,\n", want: "prod_customize.json:2: not JSON: the file ends too early"},
		"more":            {customize: "{}\n{}", want: "prod_customize.json:2: not JSON: there is more after the end of the object"},
		"twice":           {customize: "{\"a\": 1,\n\"a\": 2}", want: `prod_customize.json:2: not JSON: the field "a" is there twice`},
		"no object":       {customize: "[]", want: "prod_customize.json:1: the file is no object with disable_plugins and enable_plugins"},
		"no list":         {customize: `{"disable_plugins": {}}`, want: "prod_customize.json:1: disable_plugins is no list"},
		"source registry": {customize: `{"source_registry": {}}`, want: "prod_customize.json:1: source_registry has no uri that is a registry; the form is [https://|http://]host[:port]"},
		"entries": {customize: "{\"disable_plugins\": [\n1,\n{\"plugin_type\": \"exit_plugins\"},\n{\"plugin_name\": \"a\", \"plugin_type\": \"x\"},\n" +
			"{\"plugin_name\": \"a\", \"plugin_type\": \"exit_plugins\", \"plugin_args\": {}},\n{\"plugin_name\": \"a\", \"plugin_type\": \"exit_plugins\", \"arg\": {}}]}",
			want: strings.Join([]string{
				`prod_customize.json:2: disable_plugins[0] is no object; accepted is {"plugin_type": "...", "plugin_name": "..."}`,
				`prod_customize.json:3: disable_plugins[1] has no plugin_name that is a text`,
				`prod_customize.json:4: disable_plugins[2] has no plugin_type that is one of prebuild_plugins, buildstep_plugins, prepublish_plugins, postbuild_plugins and exit_plugins`,
				`prod_customize.json:5: disable_plugins[3].plugin_args is not accepted: arguments are an object, and of a plugin that is switched on`,
				`prod_customize.json:6: disable_plugins[4] has an unknown field "arg"; accepted are plugin_type, plugin_name and plugin_args`,
			}, "\n")},
	} {
		_, err := FromOSBSConf("osbs.conf", []byte(c.conf), c.instance, "prod_customize.json", []byte(c.customize))
		if failure.KindOf(err) != failure.Usage {
			t.Errorf("%s: kind of %v", name, err)
		}
		got, _, _ := strings.Cut(fmt.Sprint(err), "\nhint: ")
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzFromOSBSConf(f *testing.F) {
	for _, name := range []string{"prod", "local"} {
		conf, err := os.ReadFile("testdata/osbsconf/" + name + ".conf")
		if err != nil {
			f.Fatal(err)
		}
		customize, _ := os.ReadFile("testdata/osbsconf/" + name + ".json")
		f.Add(conf, customize)
	}
	f.Add([]byte("[local]\nregistry_uri = http://x\npulp_registry_name = p\n[pulp.p]\nurl = https://p\n"), []byte(`{"source_registry": {"uri": "a.b"}, "prebuild_plugins": [{"name": "bump_release", "args": {}}]}`))
	f.Fuzz(func(t *testing.T, conf, customize []byte) {
		got, err := FromOSBSConf("osbs.conf", conf, "", "prod_customize.json", customize)
		if err != nil {
			if failure.KindOf(err) != failure.Usage {
				t.Error(err)
			}
			return
		}
		if _, err := Load("osbs.yaml", []byte(got.Config)); err != nil {
			t.Errorf("%v\n%s", err, got.Config)
		}
		for _, n := range got.Notes {
			if strings.ContainsAny(n, "\n\r\x00\x1b") {
				t.Errorf("note %q", n)
			}
		}
	})
}
