package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	module = "github.com/osbs-tekton/osbs"
	// The files and directories of a release.
	sbomDir    = "sbom"
	imagesFile = "images.yaml"
)

// images builds and pushes an image for each program of ko.yaml, and writes down which they are.
func (r *release) images(ctx context.Context) error {
	mains, err := r.mains()
	if err != nil {
		return err
	}
	refs := filepath.Join(r.out, ".refs")
	defer os.Remove(refs)
	sboms, err := filepath.Abs(filepath.Join(r.out, sbomDir))
	if err != nil {
		return err
	}
	absolute, err := filepath.Abs(refs)
	if err != nil {
		return err
	}
	flags := []string{
		"build", "--base-import-paths", "--platform=" + strings.Join(r.platforms, ","), "--tags=" + r.version, "--sbom=spdx", "--sbom-dir=" + sboms,
		"--image-refs=" + absolute, "--jobs=2",
	}
	cmd := exec.CommandContext(ctx, r.ko, slices.Concat(flags, mains)...)
	cmd.Dir, cmd.Stderr = r.root, r.log
	cmd.Env = append(os.Environ(), "KO_DOCKER_REPO="+r.registry, "KO_CONFIG_PATH=ko.yaml", "GOFLAGS=-buildvcs=false")
	if r.base != "" {
		cmd.Env = append(cmd.Env, "KO_DEFAULTBASEIMAGE="+r.base)
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ko build: %w (if the base image cannot be reached: BASE=IMAGE, or BASE=static, which makes one)", err)
	}
	return r.writeImages(refs, mains)
}

// mains are the programs that ko.yaml makes images of, as ./cmd/NAME.
func (r *release) mains() ([]string, error) {
	data, err := os.ReadFile(filepath.Join(r.root, "ko.yaml"))
	if err != nil {
		return nil, err
	}
	var config struct {
		Builds []struct {
			Main string `json:"main"`
		} `json:"builds"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, fmt.Errorf("reading ko.yaml: %w", err)
	}
	var mains []string
	for _, b := range config.Builds {
		mains = append(mains, b.Main)
	}
	return mains, nil
}

// writeImages turns the references that ko has written into the file that osbs generate --images reads.
func (r *release) writeImages(refs string, mains []string) error {
	data, err := os.ReadFile(refs)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString("# The images of this release, for osbs generate --images.\n")
	lines := strings.Fields(string(data))
	for _, main := range mains {
		repository := r.registry + "/" + path.Base(main)
		at := slices.IndexFunc(lines, func(ref string) bool {
			return strings.HasPrefix(ref, repository+":") || strings.HasPrefix(ref, repository+"@")
		})
		if at < 0 {
			return fmt.Errorf("ko has made no image of %s", main)
		}
		_, digest, _ := strings.Cut(lines[at], "@")
		fmt.Fprintf(&out, "ko://%s: %s@%s\n", path.Join(module, main), repository, digest)
	}
	return os.WriteFile(filepath.Join(r.out, imagesFile), out.Bytes(), 0o644)
}
