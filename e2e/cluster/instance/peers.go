package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/osbs-tekton/osbs/e2e/cluster/artefact"
)

// peerImage is Debian with buildah and git.
const peerImage = artefact.ImageRegistry + "/peers/debian:latest"

// upstreamBuildah is the image that Shipwright's strategy names.
const upstreamBuildah = "quay.io/containers/buildah:v1.42.2"

// Peers puts what builds are compared with into the cluster's registry, and writes into a directory what is to be applied: the reference of
// the image with buildah and git (image), Shipwright (shipwright.yaml), and its strategy for buildah (strategies.yaml).
func (i *Instance) Peers(ctx context.Context, dir string) error {
	if err := i.install(ctx, "mmdebstrap"); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	cache := &artefact.Cache{Dir: filepath.Join(i.Cache, "artefacts"), Progress: i.Progress}
	debian, err := cache.Ensure(ctx, artefact.Debian())
	if err != nil {
		return err
	}
	shipwright, err := cache.Ensure(ctx, artefact.Shipwright())
	if err != nil {
		return err
	}
	image, err := i.pushDebian(ctx, filepath.Join(debian, "rootfs.tar"))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "image"), []byte(image+"\n")); err != nil {
		return err
	}
	return i.writeShipwright(ctx, shipwright, image, dir)
}

// pushDebian makes an image of a root directory, which trusts the cluster's CA.
func (i *Instance) pushDebian(ctx context.Context, rootfs string) (string, error) {
	work, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	bundle, err := os.ReadFile(i.path("pki/bundle.crt"))
	if err != nil {
		return "", err
	}
	if err := writeFile(filepath.Join(work, "etc/ssl/certs/ca-certificates.crt"), bundle); err != nil {
		return "", err
	}
	trust := filepath.Join(work, "trust.tar")
	for _, args := range [][]string{
		{"tar", "--numeric-owner", "--owner=0", "--group=0", "-cf", trust, "-C", work, "etc"},
		{"crane", "append", "--new_layer=" + rootfs + "," + trust, "--new_tag=" + peerImage, "--platform=linux/" + runtime.GOARCH},
		// As the image of buildah that its project publishes has it.
		{"crane", "mutate", "--env=BUILDAH_ISOLATION=chroot", "--env=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--tag=" + peerImage, peerImage},
	} {
		if _, err := i.Run(ctx, "/", "", args...); err != nil {
			return "", err
		}
	}
	digest, err := i.Run(ctx, "/", "", "crane", "digest", peerImage)
	return strings.TrimSuffix(peerImage, ":latest") + "@" + strings.TrimSpace(digest), err
}

// writeShipwright builds Shipwright's images, and writes its objects.
func (i *Instance) writeShipwright(ctx context.Context, source, debian, dir string) error {
	controller, strategy, err := artefact.ShipwrightObjects(source)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "shipwright-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(filepath.Join(work, "source"), os.DirFS(source)); err != nil {
		return err
	}
	work = filepath.Join(work, "source")
	// What pushes must trust the cluster's CA as well.
	config := fmt.Sprintf("defaultBaseImage: %s\nbaseImageOverrides:\n  github.com/shipwright-io/build/cmd/git: %s\n  github.com/shipwright-io/build/cmd/image-processing: %[2]s\n",
		artefact.StaticImage, debian)
	if err := writeFile(filepath.Join(work, ".ko.yaml"), []byte(config)); err != nil {
		return err
	}
	objects, err := i.Run(ctx, work, controller, "env", "GOFLAGS=-mod=mod -buildvcs=false -trimpath", "CGO_ENABLED=0", "GOPROXY=off",
		"ko", "resolve", "--sbom=none", "--base-import-paths", "--platform=linux/"+runtime.GOARCH, "-f", "-")
	if err != nil {
		return fmt.Errorf("building Shipwright's images: %w", err)
	}
	if !strings.Contains(strategy, upstreamBuildah) {
		return errors.New("Shipwright's strategy names another image of buildah than it did")
	}
	// The image is on the node, and no limit slows it down: what is compared is at its best.
	strategy = strings.NewReplacer(upstreamBuildah, debian, "imagePullPolicy: Always", "imagePullPolicy: IfNotPresent",
		"        limits:\n          cpu: \"1\"\n          memory: 2Gi\n", "").Replace(strategy)
	if err := writeFile(filepath.Join(dir, "shipwright.yaml"), []byte(objects)); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "strategies.yaml"), []byte(strategy))
}
