package osbsconf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/configparser"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// write makes a file osbs.conf and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "osbs.conf")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, content string, o Options) (*Config, []string, error) {
	t.Helper()
	o.Path = write(t, content)
	c, warnings, err := Load(o)
	for i := range warnings {
		warnings[i] = strings.ReplaceAll(warnings[i], o.Path, "FILE")
	}
	return c, warnings, err
}

func TestWithoutFile(t *testing.T) {
	got, warnings, err := Load(Options{Home: t.TempDir(), System: filepath.Join(t.TempDir(), "none")})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if diff := cmp.Diff(&Config{Instance: Local, VerifySSL: true, Pipeline: "osbs", LayerCache: true, EarlyCutoff: true}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverySetting(t *testing.T) {
	got, warnings, err := load(t, `
# a comment
[general]
verbose = On
registry_uri = ignored.example.com

[prod]
namespace: builds
openshift_uri = https://api.example.com:6443
kubeconfig = ~/kube
context = c
username = u
password = p%%ss
token = %(password)s-token
token_file = /run/token
client_cert = c.pem
client_key = k.pem
ca_file = ca.pem
verify_ssl = FALSE
pipeline = builder
git_url = https://git.example.com/x
git_branch = main
git_commit = abc
user = me
component = x
koji_target = f42
architecture = x86_64
platform = linux/amd64
scratch = 1
cpu_limit = 500m
memory_limit = 4Gi
git_secret = git
git_ca_file = gca.pem
submodules = yes
registry_uri =
  https://r1.example.com/v2,
  http://r2.example.com:5000
registry_secret = s1, s2
registry_ca_file = rca.pem
registry_insecure = r2.example.com:5000
source_registry_uri = https://source.example.com
home_registry = a.example.com b.example.com
pulp_registry_name = old
pulp_sync_registry_name = sync
source_secret = pulp
mirror_registry_uri = mirror.example.com
archive_dir = /mnt/nfs
archive_format = oci
repo_config = .osbs
bump_release = before-build
early_cutoff = no
lock_policy = wait
lock_timeout = 15m
layer_cache = no
format = docker
compression = zstd
build_secret = a=/x b=y
isolation = chroot
jobs = 3
[pulp.old]
nonsense = x
[pulp.sync]
url = https://pulp.example.com
api_prefix = /pulp/team/
ca_file = ~/pca.pem
registry = registry.pulp.example.com:5000
repository_prefix = redhat-
timeout = 600
retain_versions = 3
`, Options{Instance: "prod", Home: "/home/me"})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	dir := filepath.Dir(got.File)
	want := &Config{
		Instance: "prod", File: got.File, Verbose: true,
		Namespace: "builds", OpenshiftURL: "https://api.example.com:6443", Kubeconfig: "/home/me/kube", Context: "c",
		Username: "u", Password: "p%ss", Token: "p%ss-token", TokenFile: "/run/token", ClientCert: dir + "/c.pem", ClientKey: dir + "/k.pem", CAFile: dir + "/ca.pem",
		Pipeline: "builder",
		GitURL:   "https://git.example.com/x", GitBranch: "main", GitCommit: "abc", User: "me", Component: "x", Target: "f42",
		Architecture: "x86_64", Platform: "linux/amd64", Scratch: true, CPULimit: "500m", MemoryLimit: "4Gi",
		GitSecret: "git", GitCAFile: dir + "/gca.pem", Submodules: true,
		RegistryURI:    []registry.URI{{Host: "r1.example.com"}, {Host: "r2.example.com:5000", Insecure: true}},
		RegistrySecret: []string{"s1", "s2"}, RegistryCAFile: dir + "/rca.pem", RegistryInsecure: []string{"r2.example.com:5000"},
		SourceRegistryURI: &registry.URI{Host: "source.example.com"}, HomeRegistry: []string{"a.example.com", "b.example.com"},
		PulpRegistryName: "sync", PulpSecret: "pulp",
		Pulp: Pulp{
			Name: "sync", URL: "https://pulp.example.com", APIPrefix: "/pulp/team/", Secret: "pulp", CAFile: "/home/me/pca.pem",
			Registry: "registry.pulp.example.com:5000", RepositoryPrefix: "redhat-", Timeout: 10 * time.Minute, RetainVersions: 3,
		},
		MirrorRegistryURI: []registry.URI{{Host: "mirror.example.com"}},
		ArchiveDir:        "/mnt/nfs", ArchiveFormat: "oci", RepoConfig: ".osbs", BumpRelease: "before-build", LockPolicy: "wait",
		LockTimeout: 15 * time.Minute, Format: "docker", Compression: "zstd", BuildSecret: []string{"a=/x", "b=" + dir + "/y"}, Isolation: "chroot", Jobs: 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"p%ss", "p%ss-token"}, got.Secrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}

func TestEverySettingIsTested(t *testing.T) {
	data, err := os.ReadFile("osbsconf_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append(keys(), pulpKeys()...) {
		if !strings.Contains(string(data), `\n`+k.name) && !strings.Contains(string(data), "\n"+k.name) && !strings.Contains(string(data), "\n"+strings.Join(k.older, "")) {
			t.Errorf("no test sets %s", k.name)
		}
	}
}

func TestOrder(t *testing.T) {
	const content = "[general]\nuser = general\ntarget = general\ncomponent = general\n[local]\nuser = local\ntarget = local\nstorage_driver = vfs\nparallel = 2\nkeep_builds = 0\ndata_dir = data\nregistry_secret = secret\n"
	env := map[string]string{"OSBS_USER": "environment"}
	got, _, err := load(t, content, Options{Getenv: func(k string) string { return env[k] }, Flags: map[string]string{"user": "flag"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.User != "flag" || got.Target != "local" || got.Component != "general" {
		t.Errorf("got %q %q %q", got.User, got.Target, got.Component)
	}
	if dir := filepath.Dir(got.File); got.DataDir != dir+"/data" || got.RegistrySecret[0] != dir+"/secret" {
		t.Errorf("paths are relative to the file: %q %q", got.DataDir, got.RegistrySecret)
	}
	if got, _, err = load(t, content, Options{Getenv: func(k string) string { return env[k] }}); err != nil || got.User != "environment" {
		t.Errorf("got %q, %v", got.User, err)
	}
}

func TestInstance(t *testing.T) {
	for name, c := range map[string]struct{ content, ask, want string }{
		"built in":            {"", "", Local},
		"OSBS's default":      {"[default]\nopenshift_url = x\n", "", "default"},
		"named in general":    {"[general]\ninstance = a\n[a]\n[default]\n", "", "a"},
		"asked for":           {"[general]\ninstance = a\n[a]\n[b]\n", "b", "b"},
		"local without":       {"[default]\n", "local", Local},
		"Python's is no one":  {"[DEFAULT]\nx = y\n[a]\nuser = %(x)s\n", "a", "a"},
		"cluster keys for it": {"[general]\nnamespace = n\nuse_kerberos = 1\n", "", Local},
	} {
		got, _, err := load(t, c.content, Options{Instance: c.ask})
		if err != nil || got.Instance != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLookup(t *testing.T) {
	home, system := t.TempDir(), write(t, "[general]\nuser = system\n")
	for _, want := range []string{"system", "home"} {
		got, _, err := Load(Options{Home: home, System: system})
		if err != nil || got.User != want {
			t.Errorf("got %v, %v, want %s", got, err, want)
		}
		if err := os.WriteFile(filepath.Join(home, userFile), []byte("[general]\nuser = home\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct{ content, instance, want string }{
		"no such instance":      {"[a]\n[general]\n[b]\n", "c", "FILE has no section [c]\nhint: instances are: local, cluster, a, b"},
		"general is none":       {"[general]\n", "general", "the section [general] is no instance\nhint: instances are: local, cluster"},
		"unknown key":           {"[general]\nregistry_url = x\n", "", "FILE:2: unknown key \"registry_url\" in [general]\nhint: did you mean registry_uri?"},
		"far from any":          {"[local]\n\nfoo = x\n", "", "FILE:3: unknown key \"foo\" in [local]\nhint: docs/coming-from-osbs.md lists the keys"},
		"boolean":               {"[general]\nverbose = maybe\n", "", "FILE:2: verbose: \"maybe\" is no boolean: accepted are 0, 1, true, false, yes, no, on and off in any case\nhint: a comment needs a line of its own"},
		"v1":                    {"[local]\nregistry_uri = r.example.com/v1\n", "", "FILE:2: registry_uri: Invalid API version requested in URI \"r.example.com/v1\": v1 registries are not supported\nhint: leave the suffix out, or write /v2"},
		"choice":                {"[local]\nlock_policy = queue\n", "", `FILE:2: lock_policy: "queue" is not accepted: accepted are fail and wait`},
		"quantity":              {"[local]\nmemory_limit = a lot\n", "", `FILE:2: memory_limit: "a lot" is no quantity, such as 512Mi or 4Gi`},
		"number":                {"[local]\njobs = -1\n", "", `FILE:2: jobs: "-1" is no number from 0 to 100000`},
		"one choice":            {"[local]\nisolation = vm\n", "", `FILE:2: isolation: "vm" is not accepted: accepted are chroot`},
		"duration":              {"[local]\nlock_timeout = soon\n", "", `FILE:2: lock_timeout: "soon" is no duration: write seconds, or a number with a unit such as 90s, 15m or 2h`},
		"long duration":         {"[local]\nlock_timeout = 99999999999\n", "", `FILE:2: lock_timeout: "99999999999" is no duration: write seconds, or a number with a unit such as 90s, 15m or 2h`},
		"cluster key":           {"[local]\nopenshift_url = x\n", "", "FILE:2: openshift_url has no meaning for the local instance, which has no cluster"},
		"local key":             {"[a]\ndata_dir = x\n", "a", "FILE:2: data_dir has a meaning for the local instance only"},
		"path as secret":        {"[a]\nregistry_secret = /x\n", "a", `FILE:2: registry_secret: "/x" is not the name of a Secret: only the local instance has a directory here`},
		"path as secret, one":   {"[a]\ngit_secret = /x\n", "a", `FILE:2: git_secret: "/x" is not the name of a Secret: only the local instance has a directory here`},
		"lines":                 {"[local]\nuser = a\n b\n", "", "FILE:2: user: the value has more than one line"},
		"lines of a path":       {"[local]\ndata_dir = a\n b\n", "", "FILE:2: data_dir: the value has more than one line"},
		"lines of a secret":     {"[local]\ngit_secret = a\n b\n", "", "FILE:2: git_secret: the value has more than one line"},
		"build secret":          {"[local]\nbuild_secret = a\n", "", `FILE:2: build_secret: "a" is not id=path`},
		"no section":            {"verbose = 1\n", "", "FILE:1: key verbose belongs to no section: put it below a [section]"},
		"section twice":         {"[a]\n[a]\n", "", "FILE:2: section [a] is there twice, first in line 1"},
		"key twice":             {"[a]\nx=1\nX=2\n", "", "FILE:3: key x is there twice in [a], first in line 2"},
		"open section":          {"[a\n", "", `FILE:1: "[a" is no section: a section is written [name]`},
		"no delimiter":          {"[a]\nverbose\n", "", `FILE:2: "verbose" is neither a section nor a setting: a setting is written key = value`},
		"no key":                {"[a]\n= x\n", "", `FILE:2: there is no key before the "="`},
		"control character":     {"[a]\nx = \x1b[2J\n", "", `FILE:2: the line has control characters: "x = \x1b[2J"`},
		"not UTF-8":             {"[a]\nx = \xff\n", "", "FILE:2: the line is not UTF-8"},
		"long line":             {"[a]\nx = " + strings.Repeat("x", configparser.MaxLine), "", "FILE:2: the line is longer than 16384 bytes"},
		"long value":            {"[a]\nx = " + strings.Repeat("\n "+strings.Repeat("x", 9000), 9), "", "FILE:10: the value of x is longer than 65536 bytes"},
		"long file":             {strings.Repeat("#\n", maxFile), "", "reading osbs.conf: FILE is larger than 1048576 bytes\nhint: --config names another file"},
		"circle":                {"[local]\nuser = %(component)s\ncomponent = %(user)s\n", "", "FILE:2: user: values refer to each other more than 10 deep"},
		"reference to none":     {"[local]\nuser = %(x)s\n", "", "FILE:2: user: %(x)s refers to a key that is neither in [local] nor in [DEFAULT]; a plain % is written %%"},
		"growing":               {"[DEFAULT]\na=" + strings.Repeat("x", 9000) + "\nb=" + strings.Repeat("%(a)s", 9) + "\n[local]\nuser = %(b)s\n", "", "FILE:5: user: the value is longer than 65536 bytes after substitution"},
		"wide and deep growing": {"[DEFAULT]\na=%(b)s%(b)s%(b)s%(b)s\nb=%(c)s%(c)s%(c)s%(c)s\nc=%(d)s%(d)s%(d)s%(d)s\nd=%(e)s%(e)s%(e)s%(e)s\ne=%(f)s%(f)s%(f)s%(f)s\nf=%(g)s%(g)s%(g)s%(g)s\ng=%(h)s%(h)s%(h)s%(h)s\nh=%(i)s%(i)s%(i)s%(i)s\ni=%(j)s%(j)s\nj=\n[local]\nuser = %(a)s\n", "", "FILE:13: user: the value is longer than 65536 bytes after substitution"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.content)
			_, _, err := Load(Options{Path: path, Instance: c.instance})
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(c.want, strings.ReplaceAll(err.Error(), path, "FILE")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if failure.KindOf(err) != failure.Usage {
				t.Errorf("kind %s", failure.KindOf(err))
			}
		})
	}
}

func TestErrorsOutsideTheFile(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for want, o := range map[string]Options{
		`--registry-uri: invalid registry URI "r/foo": only /v2 may follow the host`: {Flags: map[string]string{"registry_uri": "r/foo"}},
		`environment variable OSBS_VERBOSE: "x" is no boolean`:                       {Getenv: func(k string) string { return map[string]string{"OSBS_VERBOSE": "x"}[k] }},
		"reading osbs.conf: open " + none + ": no such file or directory":            {Path: none},
		`there is no instance "prod": there is no osbs.conf`:                         {Instance: "prod"},
	} {
		o.System = none
		if _, _, err := Load(o); err == nil || !strings.HasPrefix(err.Error(), want) || failure.KindOf(err) != failure.Usage {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestGoneKeys(t *testing.T) {
	_, warnings, err := load(t, "[general]\nbuild_json_dir = /usr/share/osbs\n[prod]\nuse_kerberos = true\nkoji_anything = x\nnode_selector.ppc64le = x\n", Options{Instance: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"FILE:4: use_kerberos has no meaning any more: log in with `oc login`, which knows Kerberos, and set kubeconfig, or set token_file",
		"FILE:5: koji_anything has no meaning any more: builds are not registered in Koji",
		"FILE:6: node_selector.ppc64le has no meaning any more: on a cluster, set stages.build.node_selector in the generator's configuration",
		"FILE:2: build_json_dir has no meaning any more: builds are described by Tekton tasks, not by JSON templates; the generator renders them, and an overlay customises them",
	}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGoneKeysAreNotKnown(t *testing.T) {
	for _, k := range keys() {
		for _, name := range append([]string{k.name}, k.older...) {
			if why, ok := gone(name); ok && !strings.HasPrefix(name, "koji_") {
				t.Errorf("%s is a key, but also gone: %s", name, why)
			}
		}
	}
}

func TestPython(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"colon":                 {"[local]\nuser: a=b\n", "a=b"},
		"upper case":            {"[local]\nUSER = a\n", "a"},
		"indented keys":         {"[local]\n  user = a\n  target = b\n", "a"},
		"comment in a value":    {"[local]\nuser =\n# no\n  a\n", "a"},
		"windows and a mark":    {"\ufeff[local]\r\nuser = a\r\n", "a"},
		"hash is no comment":    {"[local]\nuser = a #b\n", "a #b"},
		"quotes stay":           {"[local]\nuser = \"a\"\n", `"a"`},
		"backquote is a letter": {"[local]\nuser = `a\n", "`a"},
		"percent alone":         {"[local]\nuser = 5% of %(it\n", "5% of %(it"},
		"comment after section": {"[local] # here\nuser = a\n", "a"},
		"empty goes before":     {"[general]\nuser = a\n[local]\nuser =\n", ""},
	} {
		got, _, err := load(t, c.content, Options{Instance: Local})
		if err != nil || got.User != c.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		"[general]\nverbose = 1\n[local]\nregistry_uri = a, b\n", "[local]\nuser = %(a)s\na = %(user)s\n", "[x", "a = b", "[local]\n a:b\n  c\n",
		"[local]\nkoji_hub = 1\nregistry_url = 2\n", "[local]\nuser = %%%(x\n", "\ufeff[general]\r\n", "[DEFAULT]\na = %(a)s%(a)s\n[local]\nuser=%(a)s",
		"[local]\nbuild_secret = a=b c=~\nlock_timeout = 5\nmemory_limit=4Gi\narchive_dir = ~/x\n",
		"[local]\npulp_registry_name = p\n[pulp.p]\nurl = https://p\nca_file = ~/x\nsecret = y\ntimeout = -1s\n",
	} {
		f.Add(s)
	}
	path := filepath.Join(f.TempDir(), "osbs.conf")
	f.Fuzz(func(t *testing.T, content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := Load(Options{Path: path, Instance: Local, Home: "/home/me"})
		if err != nil {
			if k := failure.KindOf(err); k != failure.Usage {
				t.Errorf("kind %s: %v", k, err)
			}
			return
		}
		if strings.ContainsAny(c.User+c.GitURL+c.Namespace, "\n\x00\x1b") || len(c.User) > configparser.MaxValue {
			t.Errorf("hostile value came through: %q", c.User)
		}
		for _, p := range []string{c.DataDir, c.ArchiveDir, c.RegistryCAFile, c.Pulp.CAFile, c.Pulp.Secret} {
			if p != "" && !filepath.IsAbs(p) {
				t.Errorf("path %q is relative", p)
			}
		}
	})
}
