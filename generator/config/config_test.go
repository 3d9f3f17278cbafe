package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

var update = golden.Flag()

// files are the contents of the files that a pattern below testdata matches, by their names.
func files(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", filepath.FromSlash(pattern)))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(name)] = data
	}
	return out
}

func TestFaults(t *testing.T) {
	for name, data := range files(t, "bad/*.yaml") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			c, err := Load("osbs.yaml", data)
			if err == nil || c != nil {
				t.Fatalf("no fault was found: %v", c)
			}
			if k := failure.KindOf(err); k != failure.Usage {
				t.Errorf("kind %s", k)
			}
			golden.Check(t, *update, strings.TrimSuffix(name, ".yaml")+".txt", err.Error()+"\n")
			if strings.Contains(err.Error(), ":secret@") {
				t.Error("a password is told")
			}
		})
	}
}

func TestLoadEverything(t *testing.T) {
	data := files(t, "good/full.yaml")["testdata/good/full.yaml"]
	got, err := Load("full.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	large := &Resources{Requests: map[string]string{"cpu": "2", "memory": "4Gi"}, Limits: map[string]string{"memory": "16Gi", "example.com/device": "1"}}
	no, yes := false, true
	stage := Pulp{
		URL: "https://stage.example.com:24817/", APIPrefix: "/pulp/team/", Secret: "stage-pulp", CA: &Source{ConfigMap: "site-ca", Key: "pulp.crt"},
		Registry: "registry.stage.example.com:5000", RepositoryPrefix: "site-", Timeout: "1h", RetainVersions: 3,
	}
	want := &Config{
		File: "full.yaml", Name: "images", Namespace: "builds",
		Labels:      map[string]string{"app.kubernetes.io/instance": "prod", "team": "containers"},
		Annotations: map[string]string{"example.com/contact": "containers@example.com"},
		Layout:      Layout{Pods: [][]string{{"clone", "detect-base", "lock", "prepare"}, {"build"}, {"push", "sync", "import"}}},
		Platforms:   List{"linux/amd64", "linux/arm64"}, GitSecret: "git", GitCA: &Source{ConfigMap: "site-ca"}, Submodules: &no,
		CommitterName: "Image builder", CommitterEmail: "images@example.com",
		RegistryURI:    List{"https://registry.example.com/v2", "http://second.example.com:5000"},
		RegistrySecret: List{"registry", "second", "sources"}, RegistryCA: &Source{Secret: "registry-ca", Key: "bundle.pem"},
		PullSecret: List{"pull"}, Proxy: Proxy{HTTP: "http://proxy.example.com:3128", HTTPS: "http://proxy.example.com:3128", NoProxy: List{".example.com", "10.0.0.0/8"}},
		RegistryInsecure: List{"second.example.com:5000"}, SourceRegistryURI: "sources.example.com", HomeRegistry: List{"old.example.com"},
		PulpRegistryName: "prod", PulpSyncRegistryName: "stage", PulpSecret: "pulp",
		Pulp:              map[string]Pulp{"prod": {URL: "https://pulp.example.com"}, "stage": stage},
		MirrorRegistryURI: List{"mirror.example.com"}, ArchiveVolume: &Volume{NFS: &NFSVolume{Server: "nfs.example.com", Path: "/exports/images"}},
		ArchiveDir: "builds/prod", ArchiveFormat: "docker", RepoConfig: ".osbs-repo-config", BumpRelease: "before-build", EarlyCutoff: &no, LockPolicy: "wait",
		LockTimeout: "90m", LayerCache: &yes, Format: "oci", Compression: "zstd", Isolation: "chroot",
		BuildSecret: []BuildSecret{{ID: "pip", Secret: "pip-conf", Key: "pip.conf"}}, Jobs: 4,
		Workspace: Workspace{Size: "40Gi", StorageClass: "shared", AccessMode: "ReadWriteMany"}, Storage: &Volume{Claim: "layers"},
		BuildSecurity: Capabilities, Timeout: "6h",
		Stages: map[string]Stage{
			"clone": {Env: map[string]string{"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": ""}},
			"build": {Image: "registry.example.com/osbs/build:1.0", Resources: large, Timeout: "3h", Retries: 2, ServiceAccount: "builder",
				NodeSelector: map[string]string{"example.com/pool": "builds"},
				Tolerations:  []map[string]any{{"key": "example.com/builds", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 600}},
				PodTemplate:  map[string]any{"priorityClassName": "builds", "securityContext": map[string]any{"supplementalGroups": []any{1000}}}},
			"sync": {Resources: large},
		},
		Autorebuild: Autorebuild{Enabled: &yes, WebhookSecret: "webhook", MaxConcurrent: 2, Rate: 10, WatchNamespaces: List{"bases", "other-bases"},
			ScheduledImports: &no, Image: "ko://github.com/osbs-tekton/osbs/cmd/imagewatch",
			Env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.observability.svc:4318"}, Resources: &Resources{Limits: map[string]string{"memory": "128Mi"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(stage, got.NamedPulp()); diff != "" {
		t.Errorf("the Pulp that is named (-want +got):\n%s", diff)
	}
	for _, f := range fieldsOf(reflect.TypeFor[Config]()) {
		if !bytes.Contains(data, []byte("\n"+f.name+":")) && !bytes.HasPrefix(data, []byte(f.name+":")) {
			t.Errorf("%s is not tested", f.name)
		}
	}
}

func TestDefaults(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"nothing": "", "comment": "# x\n", "document": "---\n", "braces": "{}"} {
		got, err := Load("", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(Default(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestConfigured(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "{pulp_registry_name: a, pulp: {a: {url: https://pulp.example.com}}}": true, "mirror_registry_uri: m.example.com": true, "archive_volume: {claim: x}": true,
	} {
		c, err := Load("", []byte(text))
		if err != nil || c.Configured("sync") != want || !c.Configured("push") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestValidate finds in a changed configuration what Load finds in a file.
func TestValidate(t *testing.T) {
	c := Default()
	c.Layout = Layout{Name: "fused"}
	c.Platforms = List{"linux/amd64", "linux/arm64"}
	c.PulpRegistryName = "prod"
	c.Pulp = map[string]Pulp{"prod": {Timeout: "5h"}}
	c.Name = ""
	c.Workspace.Size = "10GB"
	want := strings.Join([]string{
		`configuration: layout: puts build into a pod with other stages, and with several platforms it runs once for each; put build into a pod of its own, as chained and balanced do`,
		`configuration: name: is empty`,
		`configuration: pulp.prod.timeout: 5h is more than a whole build may take, 4h; raise timeout, or lower this`,
		`configuration: pulp.prod.url: is missing`,
		`configuration: workspace.size: "10GB" is not accepted; accepted is a quantity such as 500m, 2, 512Mi or 4Gi`,
	}, "\n")
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, fmt.Sprint(err)))
	}
}

func TestTooLarge(t *testing.T) {
	if _, err := Load("x", bytes.Repeat([]byte("#"), maxFile+1)); err == nil || err.Error() != "x: the file is larger than 1048576 bytes" {
		t.Error(err)
	}
	if _, err := Load("x", bytes.Repeat([]byte("# comment of a line\n"), maxFile/20)); err != nil {
		t.Error(err)
	}
}

func TestManyFaults(t *testing.T) {
	var b strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&b, "wrong-key-%d: 1\n", i)
	}
	_, err := Load("x", []byte(b.String()))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != maxFaults+1 || lines[maxFaults] != "x: and 39900 more" {
		t.Errorf("%d lines, the last: %s", len(lines), lines[len(lines)-1])
	}
}
