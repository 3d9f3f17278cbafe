package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/osbs-tekton/osbs/pkg/workspace"
)

type side = func(ctx context.Context, b *bench, dir string) (usage, error)

// comparisons are all rows, in the order in which they are printed.
func comparisons() []comparison {
	var all []comparison
	for _, c := range buildCases() {
		all = append(all, c.comparison())
	}
	return append(all,
		comparison{
			name: "second push, 1 small file changed on 500 MB", aim: 0.5, prepare: prepareLayouts,
			ours: pushChanged(pushOurs), peers: map[string]side{"skopeo copy": pushChanged(pushSkopeo)},
		},
		comparison{
			name: "copy 500 MB, 5 layers, registry to registry", aim: 0.9, prepare: prepareCopy,
			ours: copyImage(copyOurs), peers: copyPeers(),
		},
		comparison{
			name: "clone 20,000 files", aim: 1.2, keep: true, prepare: prepareRepository,
			ours: cloneOurs, peers: map[string]side{"git clone --depth 1": cloneGit},
		})
}

// prepareLayouts makes two OCI layouts: a 500 MB layer, and the same with one more layer of one small file.
func prepareLayouts(_ context.Context, b *bench) error {
	if err := b.prepareData(500 << 20); err != nil {
		return err
	}
	big, err := fileLayer(b, filepath.Join(b.work, "data.bin"), "data.bin")
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"first": "1", "second": "2"} {
		small := filepath.Join(b.work, name+".txt")
		if err := os.WriteFile(small, []byte(text), 0o600); err != nil {
			return err
		}
		top, err := fileLayer(b, small, "version")
		if err != nil {
			return err
		}
		img, err := mutate.AppendLayers(empty.Image, big, top)
		if err != nil {
			return err
		}
		if err := writeWorkspace(filepath.Join(b.work, name), img); err != nil {
			return err
		}
	}
	return nil
}

// fileLayer is a compressed layer that holds one file. It is made by other programs and read from disk: what a measured program's
// memory is said to be begins with what the process that started it has had.
func fileLayer(b *bench, file, as string) (v1.Layer, error) {
	archive := filepath.Join(b.work, filepath.Base(file)+".tar.gz")
	out, err := exec.Command("tar", "--transform", "s,.*,"+as+",", "-C", filepath.Dir(file), "-I", "gzip -1", "-cf", archive, filepath.Base(file)).CombinedOutput() //nolint:noctx // a local tar, in preparation
	if err != nil {
		return nil, fmt.Errorf("tar: %w\n%s", err, out)
	}
	return tarball.LayerFromFile(archive)
}

// writeWorkspace leaves img as the build stage would.
func writeWorkspace(dir string, img v1.Image) error {
	if err := newWorkspace(dir, "", labels); err != nil {
		return err
	}
	w := workspace.Dir(dir)
	path, err := layout.Write(w.Image(), empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendImage(img); err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	record := workspace.Build{Digest: digest.String(), MediaType: string(manifest.MediaType), Platform: "linux/amd64", Labels: labels}
	for i, l := range manifest.Layers {
		record.Layers = append(record.Layers, workspace.Layer{Digest: l.Digest.String(), DiffID: config.RootFS.DiffIDs[i].String(), MediaType: string(l.MediaType), Size: l.Size})
	}
	return workspace.Write(w, record)
}

// pusher pushes the image of a workspace.
type pusher func(ctx context.Context, b *bench, dir, workspace, host string) (usage, error)

// pushChanged measures the push of the second image into a registry that holds the first.
func pushChanged(push pusher) side {
	return func(ctx context.Context, b *bench, dir string) (usage, error) {
		registry, err := startRegistry(ctx, dir)
		if err != nil {
			return usage{}, err
		}
		defer registry.stop()
		if _, err := push(ctx, b, dir, filepath.Join(b.work, "first"), registry.host); err != nil {
			return usage{}, err
		}
		return push(ctx, b, dir, filepath.Join(b.work, "second"), registry.host)
	}
}

func pushOurs(ctx context.Context, b *bench, dir, w, host string) (usage, error) {
	return command(ctx, dir, nil, filepath.Join(b.bin, "push"), "--workspace", w, "--registry-uri", "http://"+host, "--registry-insecure", host, "--scratch", "--log-level", "warn")
}

func pushSkopeo(ctx context.Context, _ *bench, dir, w, host string) (usage, error) {
	return command(ctx, dir, []string{"HOME=" + dir}, "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "oci:"+workspace.Dir(w).Image(), "docker://"+host+"/bench:peer")
}

// prepareCopy makes an image of five layers of 100 MB each.
func prepareCopy(_ context.Context, b *bench) error {
	img := empty.Image
	for i := range 5 {
		file := filepath.Join(b.work, fmt.Sprintf("part%d.bin", i))
		if err := writeData(file, 100<<20, uint64(i+10)); err != nil {
			return err
		}
		l, err := fileLayer(b, file, filepath.Base(file))
		if err != nil {
			return err
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			return err
		}
	}
	return writeWorkspace(filepath.Join(b.work, "five"), img)
}

// copier copies the image bench:1 from one registry into another.
type copier func(ctx context.Context, b *bench, dir, workspace, from, to string) (usage, error)

func copyImage(cp copier) side {
	return func(ctx context.Context, b *bench, dir string) (usage, error) {
		var hosts [2]string
		for i := range hosts {
			sub := filepath.Join(dir, fmt.Sprint(i))
			if err := os.Mkdir(sub, 0o755); err != nil {
				return usage{}, err
			}
			registry, err := startRegistry(ctx, sub)
			if err != nil {
				return usage{}, err
			}
			defer registry.stop()
			hosts[i] = registry.host
		}
		w := filepath.Join(dir, "workspace")
		if err := os.CopyFS(w, os.DirFS(filepath.Join(b.work, "five"))); err != nil {
			return usage{}, err
		}
		push := []string{"--workspace", w, "--registry-uri", "http://" + hosts[0], "--registry-insecure", hosts[0], "--log-level", "warn"}
		if _, err := command(ctx, dir, nil, filepath.Join(b.bin, "push"), push...); err != nil {
			return usage{}, err
		}
		return cp(ctx, b, dir, w, hosts[0], hosts[1])
	}
}

func copyOurs(ctx context.Context, b *bench, dir, w, from, to string) (usage, error) {
	return command(ctx, dir, nil, filepath.Join(b.bin, "sync"), "--workspace", w, "--mirror-registry-uri", "http://"+to, "--registry-insecure", from, "--registry-insecure", to, "--log-level", "warn")
}

func copyPeers() map[string]side {
	return map[string]side{
		"skopeo copy": copyImage(func(ctx context.Context, _ *bench, dir, _, from, to string) (usage, error) {
			return command(ctx, dir, []string{"HOME=" + dir}, "skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+from+"/bench:1-1", "docker://"+to+"/bench:1")
		}),
		"crane copy": copyImage(func(ctx context.Context, b *bench, dir, _, from, to string) (usage, error) {
			return command(ctx, dir, []string{"HOME=" + dir}, b.crane, "copy", "--insecure", from+"/bench:1-1", to+"/bench:1")
		}),
	}
}

// prepareRepository makes a bare repository whose head has 20,000 files.
func prepareRepository(ctx context.Context, b *bench) error {
	bare, work := filepath.Join(b.work, "files.git"), filepath.Join(b.work, "files")
	if exists(bare) {
		return nil
	}
	r := seeded(20)
	for i := range 20_000 {
		text := ""
		for range 20 + r.IntN(100) {
			text += fmt.Sprintf("line %x of file %d\n", r.Uint32(), i)
		}
		if err := writeFiles(work, map[string]string{fmt.Sprintf("dir%02d/sub%02d/file%05d.txt", i%40, i%25, i): text}); err != nil {
			return err
		}
	}
	_, err := sequence(ctx, b.work, nil,
		[]string{"git", "init", "-q", "--bare", "-b", "main", bare},
		[]string{"git", "-C", work, "init", "-q", "-b", "main"},
		[]string{"git", "-C", work, "add", "-A"},
		[]string{"git", "-C", work, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "-q", "-m", "files"},
		[]string{"git", "-C", work, "push", "-q", bare, "HEAD:main"})
	return err
}

func cloneOurs(ctx context.Context, b *bench, dir string) (usage, error) {
	return command(ctx, dir, nil, filepath.Join(b.bin, "clone"), "--workspace", filepath.Join(dir, "workspace"), "--git-url", "file://"+filepath.Join(b.work, "files.git"), "--git-branch", "main", "--log-level", "warn")
}

func cloneGit(ctx context.Context, b *bench, dir string) (usage, error) {
	return command(ctx, dir, nil, "git", "clone", "-q", "--depth", "1", "-b", "main", "file://"+filepath.Join(b.work, "files.git"), filepath.Join(dir, "source"))
}
