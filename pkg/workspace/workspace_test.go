package workspace

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestWriteRead(t *testing.T) {
	d := Dir(t.TempDir())
	if _, err := Read[Clone](d); failure.KindOf(err) != failure.NotFound {
		t.Errorf("before the stage ran: %v", err)
	}
	want := Clone{URL: "https://git.example.com/x", Branch: "main", Commit: strings.Repeat("a", 40), CommitTime: time.Unix(1, 0).UTC()}
	if err := Write(d, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read[Clone](d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read differs (-want +got):\n%s", diff)
	}
}

func TestReadRefusesMalformed(t *testing.T) {
	d := Dir(t.TempDir())
	for name, content := range map[string]string{"not JSON": "x", "too large": `"` + strings.Repeat("x", maxRecord) + `"`} {
		if err := os.WriteFile(filepath.Join(string(d), "build.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read[Build](d); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBlobStaysInside(t *testing.T) {
	d := Dir("/ws")
	for in, want := range map[string]string{"sha256:ab": "/ws/bases/sha256:ab", "../../etc/passwd": "/ws/bases/passwd"} {
		if got := d.Blob(in); got != want {
			t.Errorf("Blob(%q) = %q, want %q", in, got, want)
		}
	}
}
