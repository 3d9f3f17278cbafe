package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// buildCase is a Dockerfile and its context: built and pushed by both sides.
type buildCase struct {
	name  string
	files map[string]string // of the context; %s is the registry's host
	data  int64             // bytes of the file data.bin in the context; 0 for none
	aim   float64
	warm  bool // measure the second build of the same context, with layers cached
}

var labels = map[string]string{"name": "bench", "version": "1", "release": "1", "com.redhat.component": "bench-container"}

const labelLine = `LABEL name=bench version=1 release=1 com.redhat.component=bench-container` + "\n"

const threeRuns = "FROM %s/base130:1\n" + labelLine + `
RUN find /usr -type f | sort > /files && wc -l /files
RUN mkdir -p /app && for i in 1 2 3 4 5 6 7 8 9; do cp /usr/bin/perl /app/perl$i; done
RUN cd /app && sha256sum * > SHA256SUMS
`

func buildCases() []buildCase {
	return []buildCase{
		{name: "build+push COPY-only", aim: 0.8, files: map[string]string{"Dockerfile": "FROM scratch\n" + labelLine + "COPY hello /hello\n", "hello": "hello\n"}},
		{name: "build+push 3 RUN, 130 MB base", aim: 0.8, files: map[string]string{"Dockerfile": threeRuns}},
		{name: "build+push multi-stage compile", aim: 0.8, files: map[string]string{
			"Dockerfile": "FROM %[1]s/gcc:1 AS build\nCOPY main.c /src/\nRUN gcc -O2 -o /main /src/main.c\nFROM %[1]s/base130:1\n" + labelLine + "COPY --from=build /main /usr/bin/main\nRUN main\n",
			"main.c":     "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n",
		}},
		{name: "build+push 500 MB COPY", aim: 0.8, data: 500 << 20, files: map[string]string{"Dockerfile": "FROM scratch\n" + labelLine + "COPY data.bin /data.bin\n"}},
		{name: "again, nothing changed: 3 RUN", aim: 0.5, warm: true, files: map[string]string{"Dockerfile": threeRuns}},
		{name: "again, nothing changed: 500 MB", aim: 0.5, warm: true, data: 500 << 20, files: map[string]string{"Dockerfile": "FROM scratch\n" + labelLine + "COPY data.bin /data.bin\n"}},
	}
}

func (c buildCase) comparison() comparison {
	return comparison{
		name: c.name, aim: c.aim,
		prepare: func(ctx context.Context, b *bench) error {
			if c.data == 0 {
				return b.prepareBases(ctx)
			}
			return b.prepareData(c.data)
		},
		ours:  c.run(buildOurs),
		peers: map[string]func(context.Context, *bench, string) (usage, error){"buildah": c.run(buildPeer)},
	}
}

// builder builds the context and pushes the image; dir keeps its storage.
type builder func(ctx context.Context, b *bench, c buildCase, dir, source, host string) (usage, error)

// run gives a side a registry of its own that holds the bases, and a context.
func (c buildCase) run(build builder) func(context.Context, *bench, string) (usage, error) {
	return func(ctx context.Context, b *bench, dir string) (usage, error) {
		if c.data == 0 {
			if err := os.CopyFS(filepath.Join(dir, "registry"), os.DirFS(filepath.Join(b.work, "bases", "registry"))); err != nil {
				return usage{}, err
			}
		}
		registry, err := startRegistry(ctx, dir)
		if err != nil {
			return usage{}, err
		}
		defer registry.stop()
		source := filepath.Join(dir, "source")
		files := map[string]string{}
		for path, text := range c.files {
			if path == "Dockerfile" && c.data == 0 && c.name != "build+push COPY-only" {
				text = fmt.Sprintf(text, registry.host)
			}
			files[path] = text
		}
		if err := writeFiles(source, files); err != nil {
			return usage{}, err
		}
		if c.data > 0 {
			if err := os.Link(filepath.Join(b.work, "data.bin"), filepath.Join(source, "data.bin")); err != nil {
				return usage{}, err
			}
		}
		if c.warm {
			if _, err := build(ctx, b, c, dir, source, registry.host); err != nil {
				return usage{}, err
			}
		}
		return build(ctx, b, c, dir, source, registry.host)
	}
}

// buildOurs is detect-base, build and push; what clone and prepare leave is made beforehand.
func buildOurs(ctx context.Context, b *bench, _ buildCase, dir, source, host string) (usage, error) {
	w := filepath.Join(dir, "workspace")
	if err := os.RemoveAll(w); err != nil {
		return usage{}, err
	}
	if err := newWorkspace(w, source, labels); err != nil {
		return usage{}, err
	}
	common := []string{"--workspace", w, "--registry-insecure", host, "--log-level", "warn"}
	return sequence(ctx, dir, nil,
		append([]string{filepath.Join(b.bin, "detect-base")}, common...),
		append([]string{filepath.Join(b.bin, "build"), "--storage-dir", filepath.Join(dir, "storage")}, common...),
		append([]string{filepath.Join(b.bin, "push"), "--registry-uri", "http://" + host, "--scratch"}, common...))
}

// buildPeer is Debian's buildah, with the same isolation and the same kind of storage.
func buildPeer(ctx context.Context, _ *bench, c buildCase, dir, source, host string) (usage, error) {
	global := []string{"buildah", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--storage-driver", "overlay"}
	layers := "--layers=false"
	if c.warm {
		layers = "--layers=true"
	}
	build := append(append([]string{}, global...), "build", "--isolation", "chroot", "--format", "oci", layers, "--tls-verify=false", "-t", "localhost/bench", source)
	push := append(append([]string{}, global...), "push", "--tls-verify=false", "localhost/bench", "docker://"+host+"/bench:peer")
	return sequence(ctx, dir, []string{"BUILDAH_ISOLATION=chroot", "HOME=" + dir}, build, push)
}

// prepareBases makes the two base images, once, in a registry directory that every run copies.
func (b *bench) prepareBases(ctx context.Context) error {
	dir := filepath.Join(b.work, "bases")
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	registry, err := startRegistry(ctx, dir)
	if err != nil {
		return err
	}
	defer registry.stop()
	for name, packages := range map[string][]string{
		"base130": {"bash", "dash", "coreutils", "findutils", "grep", "sed", "tar", "gzip", "perl", "git", "openssl", "ca-certificates", "libc-bin"},
		"gcc":     {"bash", "dash", "coreutils", "gcc", "g++", "libc6-dev", "make"},
	} {
		tar := filepath.Join(dir, name+".tar")
		if err := rootfs(ctx, tar, packages...); err != nil {
			return err
		}
		img, err := image(tar)
		if err != nil {
			return err
		}
		if err := pushImage(ctx, registry.host+"/"+name+":1", img); err != nil {
			return err
		}
		info, err := os.Stat(tar)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "  base image %s: %d MB\n", name, info.Size()>>20)
	}
	return nil
}

func (b *bench) prepareData(size int64) error {
	path := filepath.Join(b.work, "data.bin")
	if exists(path) {
		return nil
	}
	return writeData(path, size, 1)
}
