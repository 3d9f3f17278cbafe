package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// site is a namespace in which everything is measured.
type site struct {
	namespace string
	// peers is the directory with the objects of what osbs is compared with.
	peers string
	dir   string
	cases []buildCase
	// samples are PipelineRuns of osbs, by layout.
	samples map[string]string
}

// variable is one of those that docs/cluster.md lists.
func variable(name string) string { return os.Getenv("OSBS_E2E_" + name) }

func newSite(ctx context.Context, peers string) (*site, error) {
	for _, name := range []string{"REGISTRY", "REGISTRY_USER", "REGISTRY_PASSWORD", "IMAGES", "BUSYBOX_IMAGE", "GIT_HTTPS", "GIT_USER", "GIT_PASSWORD", "CA_FILE", "OSBS", "STEP_IMAGES"} {
		if variable(name) == "" {
			return nil, fmt.Errorf("the variable OSBS_E2E_%s is not set: see docs/e2e.md", name)
		}
	}
	dir, err := os.MkdirTemp("", "osbs-bench-")
	if err != nil {
		return nil, err
	}
	s := &site{namespace: fmt.Sprintf("osbs-bench-%d", time.Now().Unix()), peers: peers, dir: dir, samples: map[string]string{}}
	_, err = s.command(ctx, "", "kubectl", "create", "namespace", s.namespace)
	return s, err
}

func (s *site) remove(ctx context.Context) {
	if _, err := s.command(ctx, "", "kubectl", "delete", "namespace", s.namespace, "--wait=false"); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	_ = os.RemoveAll(s.dir)
}

// kubectl runs it in the namespace.
func (s *site) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	return s.command(ctx, input, "kubectl", append([]string{"--namespace", s.namespace}, args...)...)
}

// command runs a program that must succeed, and returns its standard output.
func (s *site) command(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, faults bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &faults
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, strings.TrimSpace(faults.String()))
	}
	return out.String(), nil
}

// prepare makes everything that is there before a build is started.
func (s *site) prepare(ctx context.Context) error {
	for _, do := range []func(context.Context) error{s.secrets, s.sources, s.installOSBS, s.installPlain, s.installShipwright} {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// secrets are the credentials that all systems use: the same Secret and the same CA.
func (s *site) secrets(ctx context.Context) error {
	if _, err := s.kubectl(ctx, "", "create", "secret", "docker-registry", "osbs-registry", "--docker-server="+variable("REGISTRY"),
		"--docker-username="+variable("REGISTRY_USER"), "--docker-password="+variable("REGISTRY_PASSWORD")); err != nil {
		return err
	}
	_, err := s.kubectl(ctx, "", "create", "configmap", "site-ca", "--from-file=ca.crt="+variable("CA_FILE"))
	return err
}

// installOSBS installs a pipeline for each layout, side by side.
func (s *site) installOSBS(ctx context.Context) error {
	for _, layout := range layouts() {
		config := filepath.Join(s.dir, layout+".yaml")
		text := fmt.Sprintf(`name: osbs-%s
namespace: %s
registry_uri: https://%s
registry_ca: {config_map: site-ca}
git_ca: {config_map: site-ca}
layout: %[1]s
workspace: {size: 2Gi}
autorebuild: {enabled: false}
`, layout, s.namespace, variable("REGISTRY"))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return err
		}
		if _, err := s.command(ctx, "", variable("OSBS"), "install", config, "--images", variable("STEP_IMAGES")); err != nil {
			return err
		}
		sample, err := s.command(ctx, "", variable("OSBS"), "generate", config, "--images", variable("STEP_IMAGES"), "--sample")
		if err != nil {
			return err
		}
		s.samples[layout] = sample
	}
	return nil
}

// installShipwright applies what `cluster peers` has made of it.
func (s *site) installShipwright(ctx context.Context) error {
	file := filepath.Join(s.peers, "shipwright.yaml")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "--force-conflicts", "-f", file},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd/builds.shipwright.io", "crd/buildruns.shipwright.io", "crd/clusterbuildstrategies.shipwright.io"},
		{"apply", "--server-side", "--force-conflicts", "-f", filepath.Join(s.peers, "strategies.yaml")},
		{"-n", "shipwright-build", "rollout", "status", "--timeout=180s", "deployment/shipwright-build-controller"},
	} {
		if _, err := s.command(ctx, "", "kubectl", args...); err != nil {
			return err
		}
	}
	return s.shipwrightBuilds(ctx)
}
