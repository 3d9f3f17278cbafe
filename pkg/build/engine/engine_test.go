package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestDescribe(t *testing.T) {
	exit := exec.Command("sh", "-c", "exit 9").Run()
	for name, tc := range map[string]struct {
		err  error
		want wire.Fault
	}{
		"classified":       {failure.New(failure.Untrusted, "layer"), wire.Fault{Kind: "Untrusted", Message: "layer"}},
		"disk full":        {fmt.Errorf("building at STEP \"RUN x\": %w", unix.ENOSPC), wire.Fault{Kind: "Storage", Message: "building at STEP \"RUN x\": no space left on device"}},
		"disk full, text":  {errors.New("write: no space left on device"), wire.Fault{Kind: "Storage", Message: "write: no space left on device"}},
		"exit status":      {fmt.Errorf("building at STEP \"RUN x\": while running runtime: %w", exit), wire.Fault{Kind: "BuildFailed", Step: "RUN x", Message: "while running runtime: exit status 9", Exit: 9}},
		"exit status text": {errors.New("building at STEP \"RUN a\nb\": x: exit status 4"), wire.Fault{Kind: "BuildFailed", Step: "RUN a\nb", Message: "x: exit status 4", Exit: 4}},
		"not pinned":       {errors.New("source \"x\" denied by source policy: rule"), wire.Fault{Kind: "InvalidInput", Message: "source \"x\" denied by source policy: rule"}},
		"missing file":     {errors.New("building at STEP \"COPY a b\": no such file"), wire.Fault{Kind: "BuildFailed", Step: "COPY a b", Message: "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := *describe(tc.err); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestPipeline(t *testing.T) {
	content := strings.Repeat("content of a layer ", 100_000)
	want := digest.FromString(content)
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, blob := range map[string][]byte{"gzip": gz.Bytes(), "zstd": zs.Bytes(), "none": []byte(content)} {
		plain, err := decompress(bytes.NewReader(blob))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(newPipeline(t.Context(), plain, want))
		if err != nil || string(got) != content {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if _, err := io.ReadAll(newPipeline(t.Context(), strings.NewReader("x"), want)); failure.KindOf(err) != failure.Untrusted {
			t.Errorf("%s: other content: %v", name, err)
		}
		if plain, err = decompress(bytes.NewReader(blob[:len(blob)/2])); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(newPipeline(t.Context(), plain, want)); err == nil {
			t.Errorf("%s: half of it is taken for the whole", name)
		}
	}
}

// FuzzDecompress: whatever a registry sends, it is refused or it is what it should be.
func FuzzDecompress(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Add([]byte("plain"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		plain, err := decompress(bytes.NewReader(data))
		if err != nil {
			return
		}
		p := newPipeline(t.Context(), io.LimitReader(plain, 1<<20), "sha256:"+digest.Digest(strings.Repeat("0", 64)))
		defer p.Close()
		if got, err := io.ReadAll(p); err == nil {
			t.Errorf("%d bytes were taken for content that nobody knows", len(got))
		}
	})
}

// FuzzParseBase: manifests and configurations come from registries.
func FuzzParseBase(f *testing.F) {
	d := "sha256:" + strings.Repeat("a", 64)
	f.Add([]byte(`{"layers":[{"digest":"`+d+`","size":3}]}`), []byte(`{"rootfs":{"diff_ids":["`+d+`"]}}`))
	f.Add([]byte(`{"layers":[{"digest":"../../etc"}]}`), []byte(`{"rootfs":{"diff_ids":["x"]}}`))
	f.Add([]byte(`[]`), []byte(`null`))
	f.Fuzz(func(t *testing.T, manifest, config []byte) {
		layers, id, err := parseBase(wire.Base{Manifest: manifest, Config: config})
		if err != nil {
			return
		}
		if len(layers.blobs) != len(layers.diffs) || id.Validate() != nil {
			t.Errorf("%d blobs, %d diff IDs, id %s", len(layers.blobs), len(layers.diffs), id)
		}
	})
}

// The compressed bytes of a layer depend on nothing but its content: not on how it arrives, nor on chance.
func TestCompressionIsReproducible(t *testing.T) {
	content := make([]byte, 5<<20)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	for _, kind := range []string{"gzip", "zstd", "none"} {
		seen := map[[32]byte]bool{}
		for _, piece := range []int{1 << 10, 1 << 20, 7777} {
			var out bytes.Buffer
			w, err := compressor(&out, kind)
			if err != nil {
				t.Fatal(err)
			}
			for rest := content; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				if _, err := w.Write(rest[:min(piece, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			seen[sha256.Sum256(out.Bytes())] = true
		}
		if len(seen) != 1 {
			t.Errorf("%s: %d different results", kind, len(seen))
		}
	}
}

func TestChainID(t *testing.T) {
	a, b := digest.FromString("a"), digest.FromString("b")
	if got := chainID("", a); got != a.Encoded() {
		t.Errorf("lowest layer: %s", got)
	}
	if got, want := chainID(a.Encoded(), b), digest.FromString(a.Encoded()+"+"+b.Encoded()).Encoded(); got != want {
		t.Errorf("second layer: %s, want %s", got, want)
	}
}
