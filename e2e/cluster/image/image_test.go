package image_test

import (
	"archive/tar"
	"errors"
	"io"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/e2e/cluster/image"
)

func TestStaticIsTheSameEachTime(t *testing.T) {
	one, two := digest(t, "certificates"), digest(t, "certificates")
	if one != two {
		t.Errorf("%s and %s", one, two)
	}
	if other := digest(t, "others"); other == one {
		t.Error("other certificates make no other image")
	}
}

func digest(t *testing.T, certificates string) v1.Hash {
	t.Helper()
	made, err := image.Static([]byte(certificates))
	if err != nil {
		t.Fatal(err)
	}
	d, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStaticHasWhatProgramsNeed(t *testing.T) {
	made, err := image.Static([]byte("certificates"))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := made.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	modes := map[string]int64{"tmp/": 0o1777, "etc/passwd": 0o644, "etc/group": 0o644, "etc/ssl/certs/ca-certificates.crt": 0o644, "home/nonroot/": 0o755}
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := modes[h.Name]; ok && h.Mode != want {
			t.Errorf("%s has the mode %o, want %o", h.Name, h.Mode, want)
		}
		if h.Name == "home/nonroot/" && h.Uid != image.Nonroot {
			t.Errorf("%s belongs to %d", h.Name, h.Uid)
		}
		delete(modes, h.Name)
	}
	for name := range modes {
		t.Errorf("%s is missing", name)
	}
}
