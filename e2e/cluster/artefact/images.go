package artefact

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/e2e/cluster/image"
)

// ImageRegistry is the name under which the cluster's own images are known inside it.
const ImageRegistry = "images.example.com:5000"

// The images that everything else is based on, in ImageRegistry.
const (
	PauseImage   = ImageRegistry + "/pause:latest"
	StaticImage  = ImageRegistry + "/static:latest"
	BusyboxImage = ImageRegistry + "/busybox:latest"
)

// imagesRecipe is raised when the images are made in another way.
const imagesRecipe = "1"

const (
	certificatesFile = "/etc/ssl/certs/ca-certificates.crt"
	busyboxFile      = "/usr/bin/busybox"
	oldBusyboxFile   = "/bin/busybox"
	tiniFile         = "/usr/bin/tini-static"
)

// Images is a registry's storage directory with all images of the cluster (storage/), and the objects of Tekton that name them by digest
// (pipelines-first.yaml, pipelines.yaml and the same for triggers; what is in the first must be served before the others are applied).
// ko is the directory of the artefact ko; modules is that of the modules.
func Images(modules, ko string) (Artefact, error) {
	pause, err := texts(filepath.Join(modules, "pause"))
	if err != nil {
		return Artefact{}, fmt.Errorf("reading the module of pause: %w", err)
	}
	return Artefact{
		Name:   "images",
		Inputs: append([]string{imagesRecipe, PipelinesVersion, TriggersVersion, filepath.Base(ko)}, pause...),
		Make: func(ctx context.Context, out string, log io.Writer) error {
			b := &imageBuild{out: out, ko: filepath.Join(ko, "ko"), modules: modules, log: log}
			return b.run(ctx)
		},
	}, nil
}

// imageBuild fills a registry that runs for the time of the build, on a free port of the loopback interface.
type imageBuild struct {
	out, ko, modules string
	log              io.Writer
	// work is removed afterwards.
	work string
	// address is the registry's while it runs.
	address string
}

func (b *imageBuild) run(ctx context.Context) error {
	var err error
	if b.work, err = os.MkdirTemp("", "images-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	shell, err := b.bases(ctx)
	if err != nil {
		return err
	}
	if err := b.tekton(ctx, "pipelines", "github.com/tektoncd/pipeline", PipelinesVersion, shell); err != nil {
		return err
	}
	return b.tekton(ctx, "triggers", "github.com/tektoncd/triggers", TriggersVersion, shell)
}

// serve runs Debian's registry until stop is called.
func (b *imageBuild) serve(ctx context.Context) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b.address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	config := filepath.Join(b.work, "registry.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n",
		filepath.Join(b.out, "storage"), b.address)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "docker-registry", "serve", config)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the registry for the build: %w", err)
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for range 100 {
		if answers(ctx, "http://"+b.address+"/v2/") {
			return stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return nil, fmt.Errorf("the registry for the build does not answer at %s", b.address)
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// bases makes and pushes the base images, and returns the reference of the one with a shell.
func (b *imageBuild) bases(ctx context.Context) (shell string, err error) {
	certificates, err := os.ReadFile(certificatesFile)
	if err != nil {
		return "", err
	}
	tini, err := os.ReadFile(tiniFile)
	if err != nil {
		return "", err
	}
	pause := filepath.Join(b.work, "pause")
	if err := build(ctx, b.log, filepath.Join(b.modules, "pause"), b.work, program{packages: []string{"."}}); err != nil {
		return "", err
	}
	busybox := busyboxFile
	if !exists(busybox) {
		busybox = oldBusyboxFile
	}
	for name, make := range map[string]func() (v1.Image, error){
		"pause":  func() (v1.Image, error) { return image.Program(pause, "/pause", 65535) },
		"static": func() (v1.Image, error) { return image.Static(certificates) },
		"tini":   func() (v1.Image, error) { return image.Tini(certificates, tini) },
	} {
		made, err := make()
		if err != nil {
			return "", fmt.Errorf("making the image %s: %w", name, err)
		}
		if _, err := image.Push(ctx, made, b.address+"/"+name+":latest", nil); err != nil {
			return "", err
		}
	}
	made, err := image.Busybox(ctx, busybox, certificates)
	if err != nil {
		return "", fmt.Errorf("making the image busybox: %w", err)
	}
	return image.Push(ctx, made, b.address+"/busybox:latest", nil)
}

// tekton builds a component's images with ko in a copy of its module, and writes its objects.
func (b *imageBuild) tekton(ctx context.Context, name, module, version, shell string) error {
	source := filepath.Join(b.work, name)
	if err := moduleCopy(ctx, b.log, module, version, source); err != nil {
		return err
	}
	config := fmt.Sprintf("defaultBaseImage: %[1]s/static:latest\nbaseImageOverrides:\n  github.com/tektoncd/pipeline/cmd/resolvers: %[1]s/tini:latest\n", b.address)
	if err := os.WriteFile(filepath.Join(source, ".ko.yaml"), []byte(config), 0o644); err != nil {
		return err
	}
	// A tool for documents, whose replacement cannot always be had; no program needs it.
	const documents = "github.com/ahmetb/gen-crd-api-reference-docs"
	if err := goCommand(ctx, b.log, source, nil, "mod", "edit", "-droprequire", documents, "-dropreplace", documents); err != nil {
		return err
	}
	args := []string{"-n", "10", b.ko, "resolve", "--insecure-registry", "--sbom=none", "--base-import-paths", "--platform=linux/" + runtime.GOARCH, "-j", "2", "-R", "-f", "config"}
	cmd := exec.CommandContext(ctx, "nice", args...)
	cmd.Dir, cmd.Stderr = source, b.log
	cmd.Env = append(GoEnvironment(), "GOFLAGS=-mod=mod -trimpath -buildvcs=false", "CGO_ENABLED=0", "KO_DOCKER_REPO="+b.address+"/tekton-"+name)
	objects, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("building the images of %s: %w", name, err)
	}
	return b.write(name, objects, shell)
}

// upstreamShell is the image that Tekton's own release names for scripts.
var upstreamShell = regexp.MustCompile(`cgr\.dev/chainguard/busybox@sha256:[0-9a-f]+`)

// write splits the objects into those that others need to be there, and the rest. The registry gets the name that it has in the cluster.
func (b *imageBuild) write(name string, objects []byte, shell string) error {
	objects = upstreamShell.ReplaceAll(objects, []byte(shell))
	objects = bytes.ReplaceAll(objects, []byte(b.address), []byte(ImageRegistry))
	var first, rest []string
	for document := range strings.SplitSeq(string(objects), "\n---\n") {
		if strings.Contains(document, "\nkind: HorizontalPodAutoscaler\n") {
			continue // there are no metrics for it to scale by
		}
		if strings.Contains(document, "\nkind: CustomResourceDefinition\n") || strings.Contains(document, "\nkind: Namespace\n") {
			first = append(first, document)
		} else {
			rest = append(rest, document)
		}
	}
	for file, documents := range map[string][]string{name + "-first.yaml": first, name + ".yaml": rest} {
		if err := os.WriteFile(filepath.Join(b.out, file), []byte(strings.Join(documents, "\n---\n")), 0o644); err != nil {
			return err
		}
	}
	return nil
}
