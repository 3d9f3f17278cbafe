package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names of what is compared.
const (
	plainTwo      = "plain, two Tasks (vfs)"
	plainOne      = "plain, one Task (vfs)"
	shipOverlay   = "Shipwright (overlay)"
	shipVFS       = "Shipwright (vfs)"
	osbsPrefix    = "osbs "
	pipelineOfTwo = "plain-two"
	pipelineOfOne = "plain-one"
)

func layouts() []string { return []string{"fused", "balanced", "chained"} }

// systems are all that build, what the ratios compare with last.
func (s *site) systems() []system {
	var all []system
	for _, layout := range layouts() {
		all = append(all, system{osbsPrefix + layout, func(c buildCase, n int) string { return s.osbsRun(layout, c, n) }})
	}
	all = append(all, system{plainTwo, func(c buildCase, n int) string { return s.plainRun(pipelineOfTwo, c, n) }},
		system{plainOne, func(c buildCase, n int) string { return s.plainRun(pipelineOfOne, c, n) }})
	if _, err := os.Stat(filepath.Join(s.peers, "shipwright.yaml")); err == nil {
		all = append(all, system{shipOverlay, func(c buildCase, _ int) string { return shipwrightRun(c, "overlay") }},
			system{shipVFS, func(c buildCase, _ int) string { return shipwrightRun(c, "vfs") }})
	}
	return all
}

// osbsRun is the sample that osbs generate makes, for a repository. Each build has a release of its own, as the primary tag must be new.
func (s *site) osbsRun(layout string, c buildCase, n int) string {
	release := fmt.Sprintf("%d.%s", n+1, layout)
	var b strings.Builder
	for line := range strings.Lines(s.samples[layout]) {
		switch {
		case strings.Contains(line, "https://git.example.com/"):
			line = "    value: " + c.url + "\n"
		case line == "  params:\n":
			line += "  - name: release\n    value: \"" + release + "\"\n  - name: log-level\n    value: debug\n"
		}
		b.WriteString(line)
	}
	return b.String()
}

// plainTasks are the usual Tasks of Tekton's catalogue, git-clone and buildah, in one image that has both.
const plainTasks = `apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: plain-clone
spec:
  params:
  - name: url
  workspaces:
  - name: source
  steps:
  CLONE
---
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: plain-buildah
spec:
  params:
  - name: image
  workspaces:
  - name: source
  steps:
  BUILD
---
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: plain-all
spec:
  params:
  - name: url
  - name: image
  workspaces:
  - name: source
  steps:
  CLONE
  BUILD
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata:
  name: plain-two
spec:
  params:
  - name: url
  - name: image
  workspaces:
  - name: source
  tasks:
  - name: clone
    taskRef: {name: plain-clone}
    params:
    - {name: url, value: $(params.url)}
    workspaces:
    - {name: source, workspace: source}
  - name: build
    runAfter: [clone]
    taskRef: {name: plain-buildah}
    params:
    - {name: image, value: $(params.image)}
    workspaces:
    - {name: source, workspace: source}
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata:
  name: plain-one
spec:
  params:
  - name: url
  - name: image
  workspaces:
  - name: source
  tasks:
  - name: build
    taskRef: {name: plain-all}
    params:
    - {name: url, value: $(params.url)}
    - {name: image, value: $(params.image)}
    workspaces:
    - {name: source, workspace: source}
`

// The steps of these Tasks. Those with buildah have the privileges of the catalogue's Task, storage and credentials.
const (
	plainClone = `- name: clone
    image: IMAGE
    command: [git]
    args: [clone, --depth=1, --branch=main, $(params.url), $(workspaces.source.path)/source]
    securityContext: {runAsUser: 0}`
	plainBuild = `- name: build
    image: IMAGE
    workingDir: $(workspaces.source.path)/source
    command: [buildah]
    args: [--storage-driver=vfs, bud, --tag=$(params.image), .]
    PRIVILEGES
  - name: push
    image: IMAGE
    command: [buildah]
    args: [--storage-driver=vfs, push, $(params.image)]
    PRIVILEGES
  volumes:
  - name: storage
    emptyDir: {}
  - name: docker
    secret:
      secretName: osbs-registry
      items:
      - {key: .dockerconfigjson, path: config.json}`
	plainPrivileges = `env:
    - {name: DOCKER_CONFIG, value: /docker}
    securityContext: {privileged: true}
    volumeMounts:
    - {name: storage, mountPath: /var/lib/containers}
    - {name: docker, mountPath: /docker}`
)

func (s *site) installPlain(ctx context.Context) error {
	image, err := os.ReadFile(filepath.Join(s.peers, "image"))
	if err != nil {
		return err
	}
	steps := strings.NewReplacer("CLONE", plainClone, "BUILD", plainBuild).Replace(plainTasks)
	objects := strings.NewReplacer("IMAGE", strings.TrimSpace(string(image)), "PRIVILEGES", plainPrivileges).Replace(steps)
	_, err = s.kubectl(ctx, objects, "apply", "-f", "-")
	return err
}

// plainRun has a volume for the two Tasks, and an emptyDir for the one.
func (s *site) plainRun(pipeline string, c buildCase, n int) string {
	workspace := "emptyDir: {}"
	if pipeline == pipelineOfTwo {
		workspace = "volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}}"
	}
	return fmt.Sprintf(`apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  generateName: %s-
spec:
  pipelineRef: {name: %[1]s}
  params:
  - {name: url, value: %q}
  - {name: image, value: %q}
  workspaces:
  - name: source
    %s
`, pipeline, c.url, variable("REGISTRY")+"/"+s.namespace+"/"+pipeline+"-"+c.name+fmt.Sprintf(":%d", n), workspace)
}

// shipwrightBuilds makes a Build for each case and storage driver.
func (s *site) shipwrightBuilds(ctx context.Context) error {
	for _, c := range s.cases {
		for _, driver := range []string{"overlay", "vfs"} {
			build := fmt.Sprintf(`apiVersion: shipwright.io/v1beta1
kind: Build
metadata:
  name: %s-%s
spec:
  source:
    type: Git
    git: {url: %q}
  strategy: {name: buildah-shipwright-managed-push, kind: ClusterBuildStrategy}
  paramValues:
  - {name: storage-driver, value: %[2]s}
  output:
    image: %[4]q
    pushSecret: osbs-registry
`, c.name, driver, c.url, variable("REGISTRY")+"/"+s.namespace+"/ship-"+driver+"-"+c.name+":1")
			if _, err := s.kubectl(ctx, build, "apply", "-f", "-"); err != nil {
				return err
			}
		}
	}
	return nil
}

func shipwrightRun(c buildCase, driver string) string {
	return fmt.Sprintf(`apiVersion: shipwright.io/v1beta1
kind: BuildRun
metadata:
  generateName: %s-%s-
spec:
  build: {name: %[1]s-%[2]s}
`, c.name, driver)
}
