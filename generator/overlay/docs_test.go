package overlay_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/overlay"
)

var block = regexp.MustCompile("(?ms)^```yaml *(\\S*)\n(.*?)^```$")

// TestDocs generates everything with each overlay that docs/overlays.md shows, in several layouts, so that Tekton's own validation sees
// it. A block whose first line names a file is that file, beside the overlays.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/overlays.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var overlays []string
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		if m[1] == "" {
			overlays = append(overlays, m[2])
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, m[1]), []byte(m[2]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(overlays) < 10 {
		t.Fatalf("the document has only %d overlays", len(overlays))
	}
	for _, shown := range overlays {
		name, _, _ := strings.Cut(strings.TrimLeft(shown, "#- "), "\n")
		t.Run(name, func(t *testing.T) {
			entries, err := overlay.Read(filepath.Join(dir, "overlay.yaml"), []byte(shown))
			if err != nil {
				t.Fatal(err)
			}
			for _, layout := range []string{config.Chained, config.Balanced, config.Fused} {
				cfg := config.Default()
				cfg.RegistryURI = config.List{"registry.example.com"}
				cfg.PulpRegistryName, cfg.Pulp = "prod", map[string]config.Pulp{"prod": {URL: "https://pulp.example.com"}}
				cfg.Layout = config.Layout{Name: layout}
				out, err := generator.Generate(context.Background(), generator.Input{Config: cfg, Overlays: entries})
				if err != nil {
					t.Errorf("%s: %v", layout, err)
					continue
				}
				if len(out.Changes) < len(entries) {
					t.Errorf("%s: %d entries have made %d changes", layout, len(entries), len(out.Changes))
				}
			}
		})
	}
}
