package chain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/tasks"
)

// load makes the chain of a configuration.
func load(t *testing.T, text string) *chain.Chain {
	t.Helper()
	cfg, err := config.Load("osbs.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(c *chain.Chain) string {
	var out []string
	for _, l := range c.Links {
		out = append(out, l.Name)
	}
	return strings.Join(out, " ")
}

func TestStages(t *testing.T) {
	for text, want := range map[string]string{
		"": "clone detect-base lock prepare build push import",
		"mirror_registry_uri: mirror.example.com":                                                            "clone detect-base lock prepare build push sync import",
		"{archive_volume: {claim: images}, archive_dir: images}":                                             "clone detect-base lock prepare build push sync import",
		"{pulp_registry_name: a, pulp: {a: {url: https://pulp.example.com}}}":                                "clone detect-base lock prepare build push sync import",
		"platforms: [linux/arm64]":                                                                           "clone detect-base lock prepare build push import",
		"{platforms: [linux/amd64, linux/arm64], workspace: {access_mode: ReadWriteMany, storage_class: s}}": "clone detect-base lock prepare build-linux-amd64 build-linux-arm64 push import",
	} {
		if diff := cmp.Diff(want, names(load(t, text))); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

// step is the YAML of a part of the step that has the name of its stage.
func step(t *testing.T, c *chain.Chain, link, stage string, path ...string) string {
	t.Helper()
	return tree.Canonical(tree.Get(tree.Named(tree.Items(c.Link(link).Spec(), "steps"), stage), path...))
}

func TestSettings(t *testing.T) {
	c := load(t, `
registry_uri: one.example.com, two.example.com
registry_secret: [one, two]
registry_ca: {config_map: site-ca}
git_ca: {secret: git-ca, key: tls.crt}
mirror_registry_uri: mirror.example.com
archive_volume: {nfs: {server: nfs.example.com, path: /images}}
archive_dir: builds
build_secret: [{id: token, secret: npm, key: npm.token}]
storage: {claim: layers}
build_security: capabilities
platforms: [linux/arm64]
format: oci
stages:
  prepare: {image: "registry.example.com/prepare:1"}
  build:
    env: {HTTPS_PROXY: "http://proxy.example.com", HOME: /root}
    timeout: 2h
    retries: 1
    resources: {limits: {memory: 8Gi}}
    node_selector: {disk: fast}
    pod_template: {priorityClassName: low, nodeSelector: {zone: a}}
    service_account: builder
`)
	build := c.Link("build")
	for name, tc := range map[string]struct{ got, want string }{
		"default":        {tree.Text(c.Link("push").Param("registry-uri"), "default"), "one.example.com,two.example.com"},
		"first secret":   {tree.Text(c.Link("push").Param("registry-secret"), "default"), "one"},
		"empty agreed":   {tree.Text(c.Link("detect-base").Param("dockerfile"), "default"), ""},
		"set agreed":     {tree.Text(c.Link("lock").Param("format"), "default"), "oci"},
		"CA":             {tree.Text(c.Link("detect-base").Param("registry-ca-file"), "default"), "/etc/osbs/registry-ca/ca.crt"},
		"CA of git":      {tree.Canonical(tree.Named(tree.Items(c.Link("clone").Spec(), "volumes"), "git-ca")), `{"name":"git-ca","secret":{"items":[{"key":"tls.crt","path":"ca.crt"}],"secretName":"git-ca"}}`},
		"CA not there":   {tree.Canonical(tree.Named(tree.Items(c.Link("clone").Spec(), "volumes"), "registry-ca")), ""},
		"second secret":  {tree.Text(tree.Named(tree.Items(c.Link("push").Spec(), "volumes"), "registry-secret-2"), "secret", "secretName"), "two"},
		"archive":        {tree.Text(c.Link("sync").Param("archive-dir"), "default"), "/var/lib/osbs/archive/builds"},
		"archive volume": {tree.Text(tree.Named(tree.Items(c.Link("sync").Spec(), "volumes"), "archive"), "nfs", "server"), "nfs.example.com"},
		"storage":        {tree.Text(tree.Named(tree.Items(build.Spec(), "volumes"), "storage"), "persistentVolumeClaim", "claimName"), "layers"},
		"no workspace":   {tree.Canonical(tree.Named(tree.Items(build.Spec(), "workspaces"), "storage")), ""},
		"capabilities":   {step(t, c, "build", "build", "securityContext", "capabilities", "add"), `["SETUID","SETGID","SETFCAP"]`},
		"profile":        {step(t, c, "build", "build", "securityContext", "seccompProfile"), `{"localhostProfile":"osbs/build.json","type":"Localhost"}`},
		"memory":         {step(t, c, "build", "build", "computeResources", "limits", "memory"), `"8Gi"`},
		"cpu stays":      {step(t, c, "build", "build", "computeResources", "requests", "cpu"), `"500m"`},
		"image":          {step(t, c, "prepare", "prepare", "image"), `"registry.example.com/prepare:1"`},
		"image of push":  {step(t, c, "push", "push", "image"), `"ko://github.com/osbs-tekton/osbs/cmd/push"`},
		"timeout":        {build.Timeout, "2h"},
		"account":        {build.Pod.ServiceAccount, "builder"},
		"node":           {tree.Canonical(tree.Get(build.Pod.Template.YNode(), "nodeSelector")), `{"disk":"fast","kubernetes.io/arch":"arm64","zone":"a"}`},
		"priority":       {tree.Text(build.Pod.Template.YNode(), "priorityClassName"), "low"},
		"token":          {tree.Text(build.Pod.Template.YNode(), "automountServiceAccountToken"), "false"},
		"users":          {tree.Text(build.Pod.Template.YNode(), "hostUsers"), ""},
		"token of lock":  {tree.Text(c.Link("lock").Pod.Template.YNode(), "automountServiceAccountToken"), "true"},
		"platform":       {build.Binding("platform").Value, "linux/arm64"},
		"holder":         {c.Link("lock").Binding("holder").Value, "$(context.pipelineRun.name)"},
	} {
		if diff := cmp.Diff(tc.want, tc.got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	args := step(t, c, "build", "build", "args")
	for _, want := range []string{`"-build-secret=token=/etc/osbs/build-secret-1/npm.token","-layer-cache`, `"-storage-dir=/workspace/storage"`,
		`"-registry-secret-dir=/etc/osbs/registry-secret,/etc/osbs/registry-secret-2"`} {
		if !strings.Contains(args, want) {
			t.Errorf("%s lacks %s", args, want)
		}
	}
	if env := step(t, c, "build", "build", "env"); !strings.Contains(env, `{"name":"HOME","value":"/root"}`) || !strings.Contains(env, "HTTPS_PROXY") {
		t.Errorf("environment %s", env)
	}
}

// TestSecretsAreMountedWhereUsed checks that a step has only the secrets of which its arguments name the directory.
func TestSecretsAreMountedWhereUsed(t *testing.T) {
	c := load(t, "{registry_secret: [a, b], registry_ca: {config_map: ca}, git_ca: {config_map: ca}, pulp_registry_name: a, pulp: {a: {url: https://pulp.example.com, ca: {config_map: ca}}}}")
	for _, l := range c.Links {
		for _, s := range tree.Items(l.Spec(), "steps") {
			args := tree.Canonical(tree.Get(s, "args"))
			for _, m := range tree.Items(s, "volumeMounts") {
				dir := tree.Text(m, "mountPath")
				if strings.HasPrefix(dir, "/etc/osbs/") && !strings.Contains(args, dir) && !strings.Contains(args, strings.TrimPrefix(dir, "/etc/osbs/")+"-file=") {
					t.Errorf("step %s has %s, and no use for it", tree.Text(s, "name"), dir)
				}
			}
		}
	}
}

// TestProxies: the stages that reach out have the proxies that they do not have already, and never for what is inside the cluster.
func TestProxies(t *testing.T) {
	c := load(t, `
mirror_registry_uri: mirror.example.com
proxy: {https: "http://proxy.example.com:3128", no_proxy: [.example.com]}
stages: {push: {env: {https_proxy: "http://other.example.com:1"}}, sync: {env: {NO_PROXY: x}}}
`)
	const noProxy = ".example.com,kubernetes.default.svc,.svc,.cluster.local,$(KUBERNETES_SERVICE_HOST)"
	for _, l := range c.Links {
		env := map[string]string{}
		for _, e := range tree.Items(tree.Named(tree.Items(l.Spec(), "steps"), l.Stage), "env") {
			if name := tree.Text(e, "name"); strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
				env[name] = tree.Text(e, "value")
			}
		}
		want := map[string]string{"HTTPS_PROXY": "http://proxy.example.com:3128", "NO_PROXY": noProxy}
		switch l.Stage {
		case "lock":
			want = map[string]string{}
		case "push":
			want = map[string]string{"https_proxy": "http://other.example.com:1", "NO_PROXY": noProxy}
		case "sync":
			want["NO_PROXY"] = "x"
		}
		if diff := cmp.Diff(want, env); diff != "" {
			t.Errorf("%s (-want +got):\n%s", l.Stage, diff)
		}
	}
}

func TestPullSecrets(t *testing.T) {
	c := load(t, "pull_secret: [one, two]")
	push := c.Link("push")
	if got := tree.Text(push.Param("pull-secret"), "default"); got != "one" {
		t.Errorf("the param is %q", got)
	}
	if got := tree.Text(tree.Named(tree.Items(push.Spec(), "volumes"), "pull-secret-2"), "secret", "secretName"); got != "two" {
		t.Errorf("the second volume is of %q", got)
	}
	if args := step(t, c, "push", "push", "args"); !strings.Contains(args, `"-pull-secret-dir=/etc/osbs/pull-secret,/etc/osbs/pull-secret-2"`) {
		t.Errorf("arguments %s", args)
	}
}

func TestConditionsAndResults(t *testing.T) {
	c := load(t, "{pulp_registry_name: a, pulp: {a: {url: https://pulp.example.com}}}")
	for _, l := range c.Links {
		want := 0
		if slices.Index(tasks.Stages(), l.Stage) > slices.Index(tasks.Stages(), "prepare") {
			want = 1
		}
		if len(l.When) != want {
			t.Errorf("%s has %d conditions", l.Name, len(l.When))
		}
	}
	var got []string
	for _, r := range c.Results {
		got = append(got, r.Name)
	}
	want := []string{"IMAGE_URL", "IMAGE_DIGEST", "CHAINS-GIT_URL", "CHAINS-GIT_COMMIT", "BASE_IMAGES", "BUILD_CONFIG", "STATE", "TAGS", "UNCHANGED"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := c.CheckReferences(); err != nil {
		t.Error(err)
	}
}

func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"stage":          {func(c *config.Config) { c.Stages = map[string]config.Stage{"cook": {}} }, `there is no stage "cook"`},
		"token":          {template("automountServiceAccountToken", true), "stages.build.pod_template.automountServiceAccountToken: this is not a site's to say"},
		"users":          {template("hostUsers", true), "stages.build.pod_template.hostUsers: this is not a site's to say"},
		"no such field":  {template("hostUser", true), `stages.build.pod_template: it is not a pod template of Tekton: error unmarshaling JSON: while decoding JSON: json: unknown field "hostUser"`},
		"wrong template": {template("nodeSelector", "fast"), "stages.build.pod_template: it is not a pod template of Tekton"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.File = "osbs.yaml"
			tc.change(cfg)
			_, err := chain.New(cfg)
			if failure.KindOf(err) != failure.Usage || !strings.HasPrefix(err.Error(), "osbs.yaml: ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func template(key string, value any) func(*config.Config) {
	return func(c *config.Config) {
		c.Stages = map[string]config.Stage{"build": {PodTemplate: map[string]any{key: value}}}
	}
}
