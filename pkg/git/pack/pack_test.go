package pack

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/osbs-tekton/osbs/internal/gittest"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// realPack is the pack of all of a repository's history, by git, with differences of both forms.
func realPack(t testing.TB, repo *gittest.Repo, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", repo.Dir, "pack-objects", "--all", "--stdout", "-q"}, args...)...)
	cmd.Stdin = strings.NewReader("")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func history(t testing.TB) *gittest.Repo {
	t.Helper()
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "line %d of a file with a history\n", i*i)
	}
	repo := gittest.New(t, map[string]string{"a": text.String(), "d/b": "b", "large": strings.Repeat("0123456789abcdef", inline/16+1)})
	for i := range 30 {
		repo.Commit("again", map[string]string{"a": strings.Replace(text.String(), "line 4 ", fmt.Sprint("line ", i, " "), 1), fmt.Sprint("d/", i): "x"})
	}
	return repo
}

// TestReceive compares what is received with what git says of the same objects.
func TestReceive(t *testing.T) {
	repo := history(t)
	for name, args := range map[string][]string{
		"offsets": {"--delta-base-offset"}, "names": {}, "no differences": {"--depth=0"}, "deep": {"--delta-base-offset", "--depth=50", "--window=50"},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target.git")
			gittest.RunIn(t, "", "init", "-q", "--bare", target)
			var mu sync.Mutex
			seen, structure := map[Hash]bool{}, 0
			p, err := Receive(t.Context(), bytes.NewReader(realPack(t, repo, args...)), filepath.Join(target, "objects", "pack"), Limits{}, Visitor{
				Structure: func(typ Type, h Hash, data []byte) error {
					structure++
					if plumbing.ComputeHash(typ, data) != h {
						t.Errorf("%s is wrong", h)
					}
					return nil
				},
				Blobs: func() (bool, error) { return true, nil },
				Blob: func(h Hash, data []byte) error {
					mu.Lock()
					defer mu.Unlock()
					if seen[h] || plumbing.ComputeHash(plumbing.BlobObject, data) != h {
						t.Errorf("%s is wrong, or came twice", h)
					}
					seen[h] = true
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			gittest.RunIn(t, target, "update-ref", "refs/heads/main", repo.Head())
			gittest.RunIn(t, target, "fsck", "--full", "--strict")
			files, _ := filepath.Glob(filepath.Join(target, "objects", "pack", "*.pack"))
			gittest.RunIn(t, target, "verify-pack", files[0])
			objects := strings.Split(repo.Bare("rev-list", "--objects", "--all", "--no-object-names"), "\n")
			if len(objects) != p.Len() || len(seen)+structure != p.Len()-1 { // the large one is not shown
				t.Errorf("%d objects, %d shown, of %d", p.Len(), len(seen)+structure, len(objects))
			}
			for _, o := range objects {
				h := plumbing.NewHash(o)
				typ, data, err := p.Object(h)
				if err != nil || plumbing.ComputeHash(typ, data) != h {
					t.Errorf("Object(%s): %v", h, err)
				}
				var b bytes.Buffer
				if err := p.WriteTo(&b, h); err != nil || !bytes.Equal(b.Bytes(), data) {
					t.Errorf("WriteTo(%s): %v", h, err)
				}
			}
			if _, _, err := p.Object(Hash{1}); !errors.Is(err, ErrNotFound) {
				t.Errorf("an object that is not there: %v", err)
			}
		})
	}
}

// TestCutShort ends the stream at every length, and flips bytes. Nothing may be left behind.
func TestCutShort(t *testing.T) {
	repo := gittest.New(t, map[string]string{"a": strings.Repeat("some text\n", 100), "b": strings.Repeat("some text\n", 100) + "x"})
	whole := realPack(t, repo, "--delta-base-offset")
	receive := func(name string, r io.Reader) error {
		dir := t.TempDir()
		p, err := Receive(t.Context(), r, dir, Limits{}, Visitor{})
		if err == nil {
			t.Errorf("%s was accepted", name)
			_ = p.Close()
			return nil
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %v was left", name, left)
		}
		return err
	}
	for n := range whole {
		if err := receive(fmt.Sprint(n, " bytes"), bytes.NewReader(whole[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
		broken := bytes.Clone(whole)
		broken[n] ^= 0x55
		_ = receive(fmt.Sprint("broken at ", n), bytes.NewReader(broken))
	}
	_ = receive("more at the end", bytes.NewReader(append(bytes.Clone(whole), 0)))
	fails := errors.New("connection lost")
	if err := receive("error", io.MultiReader(bytes.NewReader(whole[:100]), failing{fails})); !errors.Is(err, fails) {
		t.Errorf("error %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// packOf builds a pack of the given objects as they are stored: header byte(s), then data that is compressed.
func packOf(count uint32, objects ...[]byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)
	for _, o := range objects {
		b = append(b, o...)
	}
	sum := sha1.Sum(b)
	return append(b, sum[:]...)
}

func stored(typ plumbing.ObjectType, size int64, extra, data []byte) []byte {
	b := []byte{byte(typ)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	b = append(b, extra...)
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(data)
	_ = w.Close()
	return append(b, z.Bytes()...)
}

// TestFullDisk: what is wrong with the disk is not said of the pack.
func TestFullDisk(t *testing.T) {
	full := failure.New(failure.Storage, "storing the pack: %w", syscall.ENOSPC)
	if err := malformed("object at %d: %w", 12, full); failure.KindOf(err) != failure.Storage || strings.Contains(err.Error(), "malformed") {
		t.Errorf("full disk: %v", err)
	}
	if err := malformed("object at %d: %w", 12, io.ErrUnexpectedEOF); !strings.Contains(err.Error(), "the pack is malformed: object at 12") {
		t.Errorf("cut short: %v", err)
	}
}

func TestHostilePacks(t *testing.T) {
	blob := stored(plumbing.BlobObject, 5, nil, []byte("hello"))
	delta := []byte{5, 5, 0x90, 5}
	bomb := []byte{5, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x90, 5}
	for name, tc := range map[string]struct {
		pack   []byte
		limits Limits
		kind   failure.Kind
	}{
		"count":                 {packOf(1<<31, blob), Limits{}, failure.InvalidInput},
		"count is a lie":        {packOf(1<<20, blob), Limits{}, failure.Internal},
		"version":               {[]byte("PACK\x00\x00\x00\x09\x00\x00\x00\x00"), Limits{}, failure.Internal},
		"size is a lie":         {packOf(1, stored(plumbing.BlobObject, 4, nil, []byte("hello"))), Limits{}, failure.Internal},
		"size is a larger lie":  {packOf(1, stored(plumbing.BlobObject, 1<<20, nil, []byte("hello"))), Limits{}, failure.Internal},
		"huge size":             {packOf(1, stored(plumbing.BlobObject, 1<<50, nil, []byte("hello"))), Limits{}, failure.InvalidInput},
		"huge tree":             {packOf(1, stored(plumbing.TreeObject, 1<<30, nil, []byte("hello"))), Limits{}, failure.InvalidInput},
		"type":                  {packOf(1, stored(5, 5, nil, []byte("hello"))), Limits{}, failure.Internal},
		"base before the pack":  {packOf(2, blob, stored(plumbing.OFSDeltaObject, int64(len(delta)), []byte{0xff, 0x7f}, delta)), Limits{}, failure.Internal},
		"base is itself":        {packOf(2, blob, stored(plumbing.OFSDeltaObject, int64(len(delta)), []byte{0}, delta)), Limits{}, failure.Internal},
		"base in the middle":    {packOf(2, blob, stored(plumbing.OFSDeltaObject, int64(len(delta)), []byte{2}, delta)), Limits{}, failure.Internal},
		"base is not there":     {packOf(1, stored(plumbing.REFDeltaObject, int64(len(delta)), make([]byte, 20), delta)), Limits{}, failure.Internal},
		"delta bomb":            {packOf(2, blob, stored(plumbing.OFSDeltaObject, int64(len(bomb)), []byte{byte(len(blob))}, bomb)), Limits{}, failure.InvalidInput},
		"limit of the pack":     {packOf(1, blob), Limits{Pack: 20}, failure.InvalidInput},
		"limit of all objects":  {packOf(2, blob, blob), Limits{Unpacked: 9}, failure.InvalidInput},
		"limit with difference": {packOf(2, blob, stored(plumbing.OFSDeltaObject, int64(len(delta)), []byte{byte(len(blob))}, delta)), Limits{Unpacked: 9}, failure.InvalidInput},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := Receive(t.Context(), bytes.NewReader(tc.pack), dir, tc.limits, Visitor{})
			if failure.KindOf(err) != tc.kind {
				t.Errorf("kind %s, want %s: %v", failure.KindOf(err), tc.kind, err)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%v was left", left)
			}
		})
	}
	good := packOf(2, blob, stored(plumbing.OFSDeltaObject, int64(len(delta)), []byte{byte(len(blob))}, delta))
	if p, err := Receive(t.Context(), bytes.NewReader(good), t.TempDir(), Limits{}, Visitor{}); err != nil {
		t.Errorf("the pack that the others are made from: %v", err)
	} else {
		_ = p.Close()
	}
}

// TestVisitorErrors stop the reception.
func TestVisitorErrors(t *testing.T) {
	whole := realPack(t, gittest.New(t, map[string]string{"a": "x"}))
	stop := failure.New(failure.Storage, "disk full")
	for name, v := range map[string]Visitor{
		"structure": {Structure: func(Type, Hash, []byte) error { return stop }},
		"blobs":     {Blobs: func() (bool, error) { return false, stop }},
		"blob":      {Blobs: func() (bool, error) { return true, nil }, Blob: func(Hash, []byte) error { return stop }},
	} {
		if _, err := Receive(t.Context(), bytes.NewReader(whole), t.TempDir(), Limits{}, v); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	blob := stored(plumbing.BlobObject, 5, nil, []byte("hello"))
	f.Add(packOf(1, blob))
	f.Add(packOf(2, blob, stored(plumbing.OFSDeltaObject, 4, []byte{byte(len(blob))}, []byte{5, 5, 0x90, 5})))
	f.Add(packOf(1, stored(plumbing.REFDeltaObject, 4, make([]byte, 20), []byte{5, 5, 0x90, 5})))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 20 { // a right checksum lets the fuzzer get further
			sum := sha1.Sum(data[:len(data)-20])
			copy(data[len(data)-20:], sum[:])
		}
		p, err := Receive(t.Context(), bytes.NewReader(data), t.TempDir(), Limits{Objects: 1000, Unpacked: 1 << 20, Memory: 1 << 20, Pack: 1 << 20}, Visitor{})
		if err == nil {
			_ = p.Close()
		}
	})
}

func FuzzApplyDelta(f *testing.F) {
	f.Add([]byte("hello"), []byte{5, 5, 0x90, 5})
	f.Add([]byte("hello"), []byte{5, 3, 3, 'a', 'b', 'c'})
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		out, err := applyDelta(base, delta, 1<<20)
		if err == nil && len(out) > 1<<20 {
			t.Fatal("the limit does not hold")
		}
	})
}
