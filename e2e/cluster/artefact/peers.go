package artefact

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ShipwrightVersion is that of Shipwright Build, which builds are compared with.
const ShipwrightVersion = "v0.19.0"

const shipwrightModule = "github.com/shipwright-io/build"

// Debian is the root directory of a Debian with buildah and git, as rootfs.tar: what the usual Tasks and strategies build with.
func Debian() Artefact {
	const recipe = "bookworm minbase buildah git lfs ssh 1"
	return Artefact{
		Name:   "debian",
		Inputs: []string{recipe},
		Make: func(ctx context.Context, out string, log io.Writer) error {
			// From where this machine has its packages.
			sources := "/etc/apt/sources.list.d/debian.sources"
			if _, err := os.Stat(sources); err != nil {
				sources = "/etc/apt/sources.list"
			}
			return run(ctx, log, out, nil, "mmdebstrap", "--variant=minbase", "--include=ca-certificates,git,git-lfs,openssh-client,buildah", "bookworm", "rootfs.tar", sources)
		},
	}
}

// Shipwright is a copy of its module, with all modules that it is built from in the module cache. Its images are built in the cluster,
// where ko has a registry.
func Shipwright() Artefact {
	return Artefact{
		Name:   "shipwright",
		Inputs: []string{ShipwrightVersion, "1"},
		Make: func(ctx context.Context, out string, log io.Writer) error {
			if err := moduleCopy(ctx, log, shipwrightModule, ShipwrightVersion, out); err != nil {
				return err
			}
			return goCommand(ctx, log, out, []string{"CGO_ENABLED=0", "GOFLAGS=-mod=mod"}, "build", "-o", "/dev/null", "./cmd/...")
		},
	}
}

// ShipwrightObjects are the texts of Shipwright's objects in a copy of its module: its controller, and its strategy for buildah.
func ShipwrightObjects(dir string) (controller, strategy string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "deploy/crds/*.yaml"))
	if err != nil {
		return "", "", err
	}
	for _, name := range []string{"100-namespace", "200-role", "300-rolebinding", "400-serviceaccount", "500-controller"} {
		files = append(files, filepath.Join(dir, "deploy", name+".yaml"))
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", "", fmt.Errorf("reading Shipwright's objects: %w", err)
		}
		all = append(all, withoutConversion(string(text)))
	}
	text, err := os.ReadFile(filepath.Join(dir, "samples/v1beta1/buildstrategy/buildah/buildstrategy_buildah_shipwright_managed_push_cr.yaml"))
	if err != nil {
		return "", "", fmt.Errorf("reading Shipwright's strategy: %w", err)
	}
	return strings.Join(all, "\n---\n"), string(text), nil
}

// withoutConversion leaves out the webhook that translates objects of older versions: there are none, and it wants a certificate.
func withoutConversion(definition string) string {
	const begin, end = "\n  conversion:\n", "\n  group: "
	from := strings.Index(definition, begin)
	if from < 0 {
		return definition
	}
	to := strings.Index(definition[from:], end)
	return definition[:from] + definition[from+to:]
}
