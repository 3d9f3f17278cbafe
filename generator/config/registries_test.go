package config

import (
	"os"
	"regexp"
	"testing"
)

// TestRegistriesDocument reads each configuration that docs/registries.md shows.
func TestRegistriesDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 5 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, block := range blocks {
		if _, err := Load("osbs.yaml", []byte(block[1])); err != nil {
			t.Errorf("%s\n%v", block[1], err)
		}
	}
}
