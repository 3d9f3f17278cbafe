// Command release makes everything that a release consists of in one directory: images of the step binaries in a registry, the objects of
// an installation and the Tasks with these images by digest, their SBOMs, the programs for people, and checksums: `make release`.
//
// The same sources, Go, base image and registry give the same bytes. Nothing but the registry and the base image is asked over the network.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// release is what the command line says.
type release struct {
	version, registry string
	// base is the image that the step binaries are put on; empty means that of ko.yaml, madeBase one that is made here.
	base string
	// ca is the file of certificates that a base made here gets.
	ca        string
	platforms []string
	// root is the directory of the sources, out the one that is made, ko the program.
	root, out, ko string
	// config is the configuration of release.yaml; empty means the defaults.
	config string
	log    io.Writer
}

// madeBase stands for a base image that is made here.
const madeBase = "static"

func main() {
	r := &release{log: os.Stderr}
	var platforms string
	flag.StringVar(&r.version, "version", "", "version, such as v1.2.3")
	flag.StringVar(&r.registry, "registry", "", "HOST/PATH for the images")
	flag.StringVar(&r.base, "base", "", "base image with digest; static makes one; empty means that of ko.yaml")
	flag.StringVar(&r.ca, "ca-file", "/etc/ssl/certs/ca-certificates.crt", "certificates for the base image static")
	flag.StringVar(&platforms, "platforms", "linux/amd64,linux/arm64", "platforms of images and programs")
	flag.StringVar(&r.root, "root", ".", "directory of the sources")
	flag.StringVar(&r.out, "out", "", "directory to make; by default dist/osbs-VERSION")
	flag.StringVar(&r.ko, "ko", "ko", "the program ko")
	flag.StringVar(&r.config, "config", "", "configuration of release.yaml; empty means the defaults")
	flag.Parse()
	r.platforms = strings.Split(platforms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := r.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run makes the release beside its place, and moves it there when it is complete.
func (r *release) run(ctx context.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	final := r.out
	r.out = final + ".partial"
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.out, sbomDir), 0o755); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"base image", r.makeBase}, {"images", r.images}, {"programs", r.programs}, {"objects", r.objects}, {"Tasks", r.tasks}, {"checksums", r.checksums},
	} {
		fmt.Fprintln(r.log, "release:", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	if err := os.Rename(r.out, final); err != nil {
		return err
	}
	fmt.Fprintln(r.log, "release:", final)
	return nil
}

func (r *release) check() error {
	switch {
	case r.version == "" || strings.ContainsAny(r.version, "/:@ "):
		return fmt.Errorf("a version is needed that can be a tag, such as v1.2.3: %q is none", r.version)
	case !strings.Contains(r.registry, "/"):
		return fmt.Errorf("a registry is needed, HOST/PATH such as registry.example.com/osbs: %q is none", r.registry)
	}
	if r.out == "" {
		r.out = filepath.Join(r.root, "dist", "osbs-"+r.version)
	}
	return nil
}
