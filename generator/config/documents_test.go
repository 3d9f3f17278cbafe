package config

import (
	"os"
	"regexp"
	"testing"
)

// TestConfigurationsOfTheDocuments reads each configuration that the documents about registries and syncing show.
func TestConfigurationsOfTheDocuments(t *testing.T) {
	for document, least := range map[string]int{"registries.md": 5, "sync.md": 3} {
		text, err := os.ReadFile("../../docs/" + document)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
		if len(blocks) < least {
			t.Fatalf("%s has %d blocks", document, len(blocks))
		}
		for _, block := range blocks {
			if _, err := Load("osbs.yaml", []byte(block[1])); err != nil {
				t.Errorf("%s: %s\n%v", document, block[1], err)
			}
		}
	}
}
