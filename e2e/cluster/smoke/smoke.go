// Package smoke tries whether a cluster can do what builds of images need: pods, claims, pipelines, events, image streams, registries, git.
package smoke

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

//go:embed manifests
var manifests embed.FS

// Cluster is what is tried.
type Cluster struct {
	// Run runs a command in the cluster's namespaces, in a directory and with an input, and returns what it prints.
	Run func(ctx context.Context, dir, input string, args ...string) (string, error)
	// Environment is what the cluster says of itself.
	Environment map[string]string
	Progress    io.Writer
}

// trial is one run of all checks in a namespace of its own.
type trial struct {
	*Cluster
	namespace string
}

// Try runs every check, and reports the first that fails. The namespace of a failed trial stays, to be looked at.
func (c *Cluster) Try(ctx context.Context) error {
	t := &trial{Cluster: c, namespace: fmt.Sprintf("smoke-%d", time.Now().UnixNano()%1e9)}
	if _, err := t.kubectl(ctx, "", "create", "namespace", t.namespace); err != nil {
		return err
	}
	checks := []struct {
		what string
		do   func(context.Context) error
	}{
		{"pods run, names are known, user namespaces work, claims are served", t.pods},
		{"git over https and ssh", t.git},
		{"an image is pushed to the registry, imported by an ImageStream, and runs as a pod", t.image},
		{"a PipelineRun of two Tasks succeeds", t.pipeline},
		{"an event starts a PipelineRun", t.event},
	}
	for _, check := range checks {
		start := time.Now()
		if err := check.do(ctx); err != nil {
			return fmt.Errorf("%s: %w (see the namespace %s)", check.what, err, t.namespace)
		}
		fmt.Fprintf(c.Progress, "ok %5.1f s  %s\n", time.Since(start).Seconds(), check.what)
	}
	_, err := t.kubectl(ctx, "", "delete", "--wait=false", "clusterrolebinding/"+t.namespace, "namespace/"+t.namespace)
	return err
}

func (t *trial) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	return t.Run(ctx, "/", input, append([]string{"kubectl", "-n", t.namespace}, args...)...)
}

// apply applies a manifest with the trial's names.
func (t *trial) apply(ctx context.Context, name string) error {
	text, err := t.manifest(name)
	if err != nil {
		return err
	}
	_, err = t.kubectl(ctx, text, "apply", "-f", "-")
	return err
}

func (t *trial) manifest(name string) (string, error) {
	text, err := manifests.ReadFile("manifests/" + name)
	replace := strings.NewReplacer("BUSYBOX", t.Environment["OSBS_E2E_BUSYBOX_IMAGE"], "REGISTRY", t.Environment["OSBS_E2E_REGISTRY"],
		"NAMESPACE", t.namespace)
	return replace.Replace(string(text)), err
}

// said waits until a pod has succeeded, and returns its log.
func (t *trial) said(ctx context.Context, pod string) (string, error) {
	if _, err := t.kubectl(ctx, "", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/"+pod, "--timeout=120s"); err != nil {
		return "", err
	}
	return t.kubectl(ctx, "", "logs", pod)
}

func (t *trial) pods(ctx context.Context) error {
	// Pods are refused before the namespace has its service account.
	if _, err := t.kubectl(ctx, "", "wait", "--for=create", "serviceaccount/default", "--timeout=60s"); err != nil {
		return err
	}
	if err := t.apply(ctx, "pods.yaml"); err != nil {
		return err
	}
	const allUsers = "0          0 4294967295"
	plain, err := t.said(ctx, "plain")
	if err != nil {
		return err
	}
	if !strings.Contains(plain, allUsers) || !strings.Contains(plain, "10.96.0.1") || !strings.Contains(plain, "10.100.0.3") {
		return fmt.Errorf("a plain pod says:\n%s", plain)
	}
	mapped, err := t.said(ctx, "user-namespace")
	if err != nil {
		return err
	}
	if strings.Contains(mapped, allUsers) || !strings.HasPrefix(strings.TrimSpace(mapped), "0 ") {
		return fmt.Errorf("hostUsers: false makes no user namespace: %s", mapped)
	}
	written, err := t.said(ctx, "volume")
	if err == nil && strings.TrimSpace(written) != "written" {
		err = fmt.Errorf("the volume says %q", written)
	}
	return err
}

func (t *trial) git(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "smoke-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	const script = `set -e
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=smoke GIT_AUTHOR_EMAIL=smoke@example.com GIT_COMMITTER_NAME=smoke GIT_COMMITTER_EMAIL=smoke@example.com
git init --quiet --initial-branch=main source && cd source && echo hello >file && git add file && git commit --quiet -m 'Add a file'
git -c credential.helper='!f() { echo username=$OSBS_E2E_GIT_USER; echo password=$OSBS_E2E_GIT_PASSWORD; }; f' \
  push --quiet "$OSBS_E2E_GIT_HTTPS/private/$1.git" main
cd .. && git clone --quiet "$OSBS_E2E_GIT_SSH/private/$1.git" copy && cat copy/file
if GIT_TERMINAL_PROMPT=0 git ls-remote "$OSBS_E2E_GIT_HTTPS/private/$1.git" >/dev/null 2>&1; then echo 'no credentials were asked for'; fi
`
	out, err := t.Run(ctx, dir, "", "sh", "-c", script, "sh", t.namespace)
	if err == nil && strings.TrimSpace(out) != "hello" {
		err = fmt.Errorf("git says %q", out)
	}
	return err
}

func (t *trial) image(ctx context.Context) error {
	target := t.Environment["OSBS_E2E_REGISTRY"] + "/" + t.namespace + "/busybox:latest"
	if _, err := t.Run(ctx, "/", "", "crane", "copy", t.Environment["OSBS_E2E_BUSYBOX_IMAGE"], target); err != nil {
		return err
	}
	_, err := t.kubectl(ctx, "", "create", "secret", "docker-registry", "registry", "--docker-server="+t.Environment["OSBS_E2E_REGISTRY"],
		"--docker-username="+t.Environment["OSBS_E2E_REGISTRY_USER"], "--docker-password="+t.Environment["OSBS_E2E_REGISTRY_PASSWORD"])
	if err != nil {
		return err
	}
	request, err := t.manifest("import.yaml")
	if err != nil {
		return err
	}
	answer, err := t.kubectl(ctx, request, "create", "-f", "-", "-o", "jsonpath={.status.images[0].status.status} {.status.images[0].image.metadata.name}")
	if err != nil {
		return err
	}
	digest, err := t.Run(ctx, "/", "", "crane", "digest", target)
	if err != nil {
		return err
	}
	if answer != "Success "+strings.TrimSpace(digest) {
		return fmt.Errorf("the import says %q, the registry %q", answer, digest)
	}
	if err := t.apply(ctx, "private-pod.yaml"); err != nil {
		return err
	}
	said, err := t.said(ctx, "private-image")
	if err == nil && strings.TrimSpace(said) != "pulled" {
		err = fmt.Errorf("the pod says %q", said)
	}
	return err
}

func (t *trial) pipeline(ctx context.Context) error {
	if err := t.apply(ctx, "pipeline.yaml"); err != nil {
		return err
	}
	return t.succeeds(ctx, "by-hand")
}

func (t *trial) succeeds(ctx context.Context, run string) error {
	if _, err := t.kubectl(ctx, "", "wait", "--for=condition=Succeeded", "pipelinerun/"+run, "--timeout=240s"); err != nil {
		return err
	}
	digest, err := t.kubectl(ctx, "", "get", "pipelinerun", run, "-o", "jsonpath={.status.results[0].value}")
	if err == nil && len(digest) != 64 {
		err = fmt.Errorf("the result of %s is %q", run, digest)
	}
	return err
}

func (t *trial) event(ctx context.Context) error {
	if err := t.apply(ctx, "triggers.yaml"); err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, "", "wait", "--for=create", "deployment/el-smoke", "--timeout=60s"); err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, "", "rollout", "status", "deployment/el-smoke", "--timeout=120s"); err != nil {
		return err
	}
	if err := t.post(ctx, "/api/v1/namespaces/"+t.namespace+"/services/http:el-smoke:8080/proxy/"); err != nil {
		return err
	}
	if _, err := t.kubectl(ctx, "", "wait", "--for=create", "pipelinerun/by-event", "--timeout=60s"); err != nil {
		return err
	}
	return t.succeeds(ctx, "by-event")
}

// post sends the event, through the API server, until it is taken: the Service can need a moment more than the Deployment.
func (t *trial) post(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		_, err := t.kubectl(ctx, `{"who": "event"}`, "create", "--raw", path, "-f", "-")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}
