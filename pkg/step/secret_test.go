package step

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMountedSecret(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"empty", "kubelet/..2026_01_01", "full"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("..2026_01_01", filepath.Join(root, "kubelet", "..data")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"full/.dockercfg", "file"} {
		if err := os.WriteFile(filepath.Join(root, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for dir, mounted := range map[string]bool{"empty": false, "kubelet": false, "missing": false, "full": true, "file": true} {
		dir = filepath.Join(root, dir)
		if got := (Env{}).WithDefaults().MountedSecret(dir); (got == dir) != mounted || !mounted && got != "" {
			t.Errorf("MountedSecret(%s) = %q", dir, got)
		}
	}
	if got := (Env{}).MountedSecret(""); got != "" {
		t.Errorf("MountedSecret of nothing is %q", got)
	}
}
