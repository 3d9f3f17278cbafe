package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/tasks"
)

// programs builds osbs for each platform.
func (r *release) programs(ctx context.Context) error {
	for _, platform := range r.platforms {
		system, architecture, _ := strings.Cut(platform, "/")
		if err := r.build(ctx, system, architecture, filepath.Join(r.out, program(system, architecture))); err != nil {
			return err
		}
	}
	return nil
}

func program(system, architecture string) string {
	return "osbs-" + system + "-" + strings.ReplaceAll(architecture, "/", "")
}

func (r *release) build(ctx context.Context, system, architecture, file string) error {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	architecture, _, _ = strings.Cut(architecture, "/")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-tags=containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper",
		"-ldflags=-s -w -X main.version="+r.version, "-o", absolute, "./cmd/osbs")
	cmd.Dir, cmd.Stderr = r.root, r.log
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+system, "GOARCH="+architecture)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building osbs for %s/%s: %w", system, architecture, err)
	}
	return nil
}

// objects lets the released osbs render the installation.
func (r *release) objects(ctx context.Context) error {
	osbs := filepath.Join(r.out, program(runtime.GOOS, runtime.GOARCH))
	if _, err := os.Stat(osbs); err != nil {
		osbs = filepath.Join(r.out, ".osbs")
		defer os.Remove(osbs)
		if err := r.build(ctx, runtime.GOOS, runtime.GOARCH, osbs); err != nil {
			return err
		}
	}
	args := []string{"generate", "--images", filepath.Join(r.out, imagesFile), "--to", filepath.Join(r.out, "release.yaml")}
	if r.config != "" {
		args = append(args, r.config)
	}
	cmd := exec.CommandContext(ctx, osbs, args...)
	cmd.Stderr = r.log
	return cmd.Run()
}

// tasks writes the Tasks of all stages, for those who make their own Pipeline.
func (r *release) tasks(context.Context) error {
	var all []*yaml.RNode
	for _, stage := range tasks.Stages() {
		data, err := tasks.Read(stage)
		if err != nil {
			return err
		}
		objects, err := manifest.Read("tasks/"+stage+".yaml", bytes.NewReader(data))
		if err != nil {
			return err
		}
		all = append(all, objects...)
	}
	f, err := os.Open(filepath.Join(r.out, imagesFile))
	if err != nil {
		return err
	}
	defer f.Close()
	images, err := manifest.ReadImages(imagesFile, f)
	if err != nil {
		return err
	}
	if err := manifest.Resolve(all, images, "", r.version); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := manifest.Write(&out, all); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "tasks.yaml"), out.Bytes(), 0o644)
}

// checksums writes SHA256SUMS, which `sha256sum --check` reads.
func (r *release) checksums(context.Context) error {
	var out bytes.Buffer
	err := filepath.WalkDir(r.out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // nobody else writes into the directory that is being made
		if err != nil {
			return err
		}
		name, err := filepath.Rel(r.out, path)
		fmt.Fprintf(&out, "%x  %s\n", sha256.Sum256(data), name)
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), out.Bytes(), 0o644)
}
