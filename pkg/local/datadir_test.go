package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestDefaultDataDir(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
		kind failure.Kind
	}{
		"named":        {env: map[string]string{"OSBS_DATA_DIR": "/data", "XDG_DATA_HOME": "/x", "HOME": "/h"}, want: "/data"},
		"xdg":          {env: map[string]string{"XDG_DATA_HOME": "/x", "HOME": "/h"}, want: "/x/osbs"},
		"relative xdg": {env: map[string]string{"XDG_DATA_HOME": "x", "HOME": "/h"}, want: "/h/.local/share/osbs"},
		"home":         {env: map[string]string{"HOME": "/h"}, want: "/h/.local/share/osbs"},
		"nothing":      {kind: failure.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DefaultDataDir(func(k string) string { return c.env[k] })
			if got != c.want || failure.KindOf(err) != c.kind {
				t.Errorf("got %q, %v, want %q, %q", got, err, c.want, c.kind)
			}
		})
	}
}

func TestDataDirVersion(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		want    string
	}{
		"ours":      {"1\n", ""},
		"later":     {"2\n", "has layout 2, this program knows layout 1"},
		"malformed": {"x\n", "is no version"},
		"endless":   {strings.Repeat("1", 100), "larger than 16 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "version"), []byte(c.version), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Open(t.Context(), Config{DataDir: dir})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestDataDirIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{DataDir: filepath.Join(file, "data")}); failure.KindOf(err) != failure.Storage {
		t.Errorf("error: %v", err)
	}
}
