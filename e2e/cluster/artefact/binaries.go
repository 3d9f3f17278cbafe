package artefact

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Versions of what is not pinned by a go.mod below modules/.
const (
	KubernetesVersion = "v1.35.4"
	PipelinesVersion  = "v1.15.1"
	TriggersVersion   = "v0.37.0"
	TknVersion        = "v0.46.0"
	ContainerdVersion = "v2.2.1"
	RuncVersion       = "v1.3.4"
)

// program is one module below modules/, and the commands that are built from it.
type program struct {
	module   string
	packages []string
	tags     string
	ldflags  string
	cgo      bool
	// api says that the API server cannot do without it.
	api bool
}

// programs are in the order in which they are built: what takes longest first.
func programs() []program {
	const containerd, version = "github.com/containerd/containerd/v2/", "github.com/containerd/containerd/v2/version.Version="
	return []program{
		{module: "kubernetes", packages: []string{"./hyperkube", "./kubectl"}, ldflags: kubernetesVersionFlags(), api: true},
		{module: "imageapi", packages: []string{"."}, api: true},
		{module: "imagecontrollers", packages: []string{"."}, api: true},
		{module: "containerd", packages: []string{containerd + "cmd/containerd", containerd + "cmd/containerd-shim-runc-v2", containerd + "cmd/ctr"},
			ldflags: "-X " + version + ContainerdVersion},
		{module: "runc", packages: []string{"github.com/opencontainers/runc"}, tags: "seccomp", cgo: true, ldflags: "-X main.version=" + RuncVersion},
		{module: "coredns", packages: []string{"."}, api: true},
		{module: "tools", packages: []string{"github.com/google/go-containerregistry/cmd/crane"}, api: true},
		{module: "ko", packages: []string{"github.com/google/ko"}},
	}
}

// kubernetesVersionFlags are what the Kubernetes build scripts set: without them the API server calls itself v0.0.0.
func kubernetesVersionFlags() string {
	minor, _, _ := strings.Cut(strings.TrimPrefix(KubernetesVersion, "v1."), ".")
	flags := make([]string, 0, 10)
	for _, p := range []string{"k8s.io/component-base/version.", "k8s.io/client-go/pkg/version."} {
		flags = append(flags, "-X "+p+"gitVersion="+KubernetesVersion, "-X "+p+"gitMajor=1", "-X "+p+"gitMinor="+minor,
			"-X "+p+"gitTreeState=clean", "-X "+p+"buildDate=1970-01-01T00:00:00Z")
	}
	return strings.Join(flags, " ")
}

// Programs are the artefacts of the commands that the cluster consists of. Each has its commands at the top of its directory.
// modules is the directory of the modules that pin them. For the API only, what runs pods is left out, and Tekton's.
func Programs(modules string, apiOnly bool) ([]Artefact, error) {
	var all []Artefact
	for _, p := range programs() {
		if apiOnly && !p.api {
			continue
		}
		dir := filepath.Join(modules, p.module)
		sources, err := texts(dir)
		if err != nil {
			return nil, fmt.Errorf("reading the module of %s: %w", p.module, err)
		}
		all = append(all, Artefact{
			Name:   p.module,
			Inputs: append([]string{strings.Join(p.packages, " "), p.tags, p.ldflags, fmt.Sprint(p.cgo)}, sources...),
			Make: func(ctx context.Context, out string, log io.Writer) error {
				return build(ctx, log, dir, out, p)
			},
		})
	}
	if apiOnly {
		return all, nil
	}
	return append(all, tkn()), nil
}

// texts are the names and contents of all files below a directory.
func texts(dir string) ([]string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var all []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := root.ReadFile(name)
		all = append(all, "/"+name, string(text))
		return err
	})
	return all, err
}

func build(ctx context.Context, log io.Writer, dir, out string, p program) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", strings.TrimSpace("-s -w " + p.ldflags), "-o", out + "/"}
	if p.tags != "" {
		args = append(args, "-tags", p.tags)
	}
	cgo := "CGO_ENABLED=0"
	if p.cgo {
		cgo = "CGO_ENABLED=1"
	}
	return goCommand(ctx, log, dir, []string{cgo}, append(args, p.packages...)...)
}

// goCommand runs go with flags of its own only, and leaves the processors to whoever else needs them.
func goCommand(ctx context.Context, log io.Writer, dir string, env []string, args ...string) error {
	return run(ctx, log, dir, env, "nice", append([]string{"-n", "10", "go"}, args...)...)
}

// GoEnvironment is what every go command of this package runs with: nothing that the caller's environment may want of its own builds.
func GoEnvironment() []string { return append(os.Environ(), "GOFLAGS=", "GOWORK=off") }

func run(ctx context.Context, log io.Writer, dir string, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(GoEnvironment(), env...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
