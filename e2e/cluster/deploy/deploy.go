// Package deploy puts into a running Kubernetes what makes it the cluster that osbs needs: volumes, names, ImageStreams, Tekton.
package deploy

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

//go:embed manifests
var manifests embed.FS

// Cluster is what the deployment goes to.
type Cluster struct {
	// Kubectl runs kubectl with an input, and returns what it prints.
	Kubectl func(ctx context.Context, input string, args ...string) (string, error)
	// Start starts components of the node.
	Start func(ctx context.Context, components ...string) error
	// CA is the cluster's CA certificate, in PEM.
	CA []byte
}

// apply applies objects. It is done on the server, because definitions can be larger than the annotation of client-side apply may be.
func (c *Cluster) apply(ctx context.Context, objects string) error {
	_, err := c.Kubectl(ctx, objects, "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

func (c *Cluster) manifest(ctx context.Context, name string, replace ...string) error {
	text, err := manifests.ReadFile("manifests/" + name)
	if err != nil {
		return err
	}
	if err := c.apply(ctx, strings.NewReplacer(replace...).Replace(string(text))); err != nil {
		return fmt.Errorf("applying %s: %w", name, err)
	}
	return nil
}

// Core makes the API server fit for the components that need rights, and the namespace default usable.
func (c *Cluster) Core(ctx context.Context) error {
	return c.manifest(ctx, "core.yaml")
}

// Ready waits until the node takes pods and the namespace default can have some.
func (c *Cluster) Ready(ctx context.Context, node string) error {
	for _, args := range [][]string{
		{"wait", "--for=create", "node/" + node, "--timeout=120s"}, {"wait", "--for=condition=Ready", "node/" + node, "--timeout=120s"},
		{"wait", "--for=create", "serviceaccount/default", "--timeout=60s"},
	} {
		if _, err := c.Kubectl(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// ImageStreams makes the API server serve image.openshift.io.
func (c *Cluster) ImageStreams(ctx context.Context) error {
	if err := c.manifest(ctx, "imagestreams-definitions.yaml"); err != nil {
		return err
	}
	if err := c.established(ctx, "images.config.openshift.io", "imagecontentsourcepolicies.operator.openshift.io"); err != nil {
		return err
	}
	if err := c.manifest(ctx, "imagestreams.yaml"); err != nil {
		return err
	}
	if err := c.Start(ctx, "image-apiserver"); err != nil {
		return err
	}
	if err := c.manifest(ctx, "imagestreams-service.yaml", "CA_BUNDLE", base64.StdEncoding.EncodeToString(c.CA)); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "", "wait", "--for=condition=Available", "apiservice/v1.image.openshift.io", "--timeout=120s"); err != nil {
		return err
	}
	return c.Start(ctx, "image-controllers")
}

func (c *Cluster) established(ctx context.Context, definitions ...string) error {
	args := append([]string{"wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinition"}, definitions...)
	_, err := c.Kubectl(ctx, "", args...)
	return err
}

// Tekton deploys Pipelines and Triggers from the objects in the directory of the artefact images, and waits until they work.
func (c *Cluster) Tekton(ctx context.Context, images string) error {
	for _, file := range []string{"pipelines-first.yaml", "triggers-first.yaml"} {
		if err := c.file(ctx, filepath.Join(images, file)); err != nil {
			return err
		}
	}
	if err := c.trust(ctx); err != nil {
		return err
	}
	if err := c.file(ctx, filepath.Join(images, "pipelines.yaml")); err != nil {
		return err
	}
	// Without it Tekton's own init containers pass no level of Pod Security but privileged and baseline.
	flags := []string{"-n", "tekton-pipelines", "patch", "configmap", "feature-flags", "--type=merge", `--patch={"data": {"set-security-context": "true"}}`}
	if _, err := c.Kubectl(ctx, "", flags...); err != nil {
		return err
	}
	if err := c.established(ctx, "clusterinterceptors.triggers.tekton.dev", "eventlisteners.triggers.tekton.dev"); err != nil {
		return err
	}
	if err := c.triggers(ctx, filepath.Join(images, "triggers.yaml")); err != nil {
		return err
	}
	for _, namespace := range []string{"tekton-pipelines", "tekton-pipelines-resolvers"} {
		if err := c.rollout(ctx, namespace); err != nil {
			return err
		}
	}
	return c.interceptors(ctx)
}

// interceptorServer is the Deployment that the ClusterInterceptors of Triggers itself are served by.
const interceptorServer = "tekton-triggers-core-interceptors"

// triggers applies Triggers. ClusterInterceptors are refused, or stored without defaults, until the webhook answers that is applied with them:
// so all comes twice. What serves them comes the second time only, since it writes its certificate into those that are there when it starts.
func (c *Cluster) triggers(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var first []string
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		if !strings.Contains(document, "kind: Deployment\n") || !strings.Contains(document, "\n  name: "+interceptorServer+"\n") {
			first = append(first, document)
		}
	}
	refused := c.apply(ctx, strings.Join(first, "\n---\n"))
	if err := c.rollout(ctx, "tekton-pipelines", "tekton-triggers-webhook"); err != nil {
		return errors.Join(refused, err)
	}
	return c.retry(ctx, func() error { return c.file(ctx, file) })
}

// interceptors makes sure that every ClusterInterceptor has the certificate of its server. The server writes it when it starts, into those that
// it finds then, and gives up when it fails once.
func (c *Cluster) interceptors(ctx context.Context) error {
	const certificates = `jsonpath={range .items[*]}{.metadata.name}{"="}{.spec.clientConfig.caBundle}{"\n"}{end}`
	var missing []string
	for range 5 {
		out, err := c.Kubectl(ctx, "", "get", "clusterinterceptors", "-o", certificates)
		if err != nil {
			return err
		}
		missing = nil
		for line := range strings.Lines(out) {
			if name, certificate, _ := strings.Cut(strings.TrimSpace(line), "="); certificate == "" {
				missing = append(missing, name)
			}
		}
		if len(missing) == 0 {
			return nil
		}
		if _, err := c.Kubectl(ctx, "", "-n", "tekton-pipelines", "rollout", "restart", "deployment", interceptorServer); err != nil {
			return err
		}
		if err := c.rollout(ctx, "tekton-pipelines", interceptorServer); err != nil {
			return err
		}
	}
	return fmt.Errorf("ClusterInterceptors without a certificate: %s", strings.Join(missing, ", "))
}

// trust lets Tekton's controller ask the registries for the entrypoints of images. It comes before the controller, which reads it once, and
// under a name of its own, so that Tekton's own ConfigMap without a certificate does not take it away.
func (c *Cluster) trust(ctx context.Context) error {
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "config-registry-cert", "namespace": "tekton-pipelines"},
		"data":     map[string]string{"cert": string(c.CA)},
	})
	if err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, string(object), "apply", "--server-side", "--field-manager=osbs-cluster", "-f", "-")
	return err
}

// rollout waits until Deployments of a namespace, or all, are there.
func (c *Cluster) rollout(ctx context.Context, namespace string, names ...string) error {
	args := []string{"-n", namespace, "rollout", "status", "--timeout=300s", "deployment"}
	_, err := c.Kubectl(ctx, "", append(args, names...)...)
	return err
}

func (c *Cluster) file(ctx context.Context, name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := c.apply(ctx, string(text)); err != nil {
		return fmt.Errorf("applying %s: %w", filepath.Base(name), err)
	}
	return nil
}

// retry does something until it works: a webhook's Deployment is there before its Service has an address.
func (c *Cluster) retry(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}
