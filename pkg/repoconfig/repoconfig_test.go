package repoconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                                true,
		"# nothing\n":                                     true,
		"[other]\nenabled=false\n":                        true,
		"[autorebuild]\n":                                 true,
		"[autorebuild]\nother=false\n":                    true,
		"[Autorebuild]\nenabled=false\n":                  true, // sections are case-sensitive
		"[autorebuild]\nenabled=0":                        false,
		"[autorebuild]\nenabled = False\n":                false,
		"[autorebuild]\r\nENABLED: FALSE\r\n":             false,
		"\ufeff[autorebuild]\nenabled=no\n":               false,
		"[autorebuild] ; comment\nenabled=off\n":          false,
		"[a]\nx=1\n y\n[autorebuild]\n; c\nenabled=off\n": false,
		"[autorebuild]\nenabled=1\n":                      true,
		"[autorebuild]\nenabled=TRUE\n":                   true,
		"[autorebuild]\nenabled=Yes\n":                    true,
		"[autorebuild]\nenabled=on\n":                     true,
	} {
		got, err := Parse("f", []byte(text))
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"[autorebuild]\nenabled=flase\n":        `enabled = "flase"`,
		"[autorebuild]\nenabled=\n":             `enabled = ""`,
		"[autorebuild]\nenabled=2\n":            "accepted are 1, true",
		"[autorebuild]\nenabled=0\n 1\n":        "neither",
		"[autorebuild]\nenabled=0\nenabled=1\n": "twice",
		"[autorebuild]\n[autorebuild]\n":        "twice",
		"[autorebuild\nenabled=0\n":             "line 1",
		"[autorebuild] x\nenabled=0\n":          "line 1",
		"[]\n":                                  "line 1",
		"enabled=0\n":                           "belongs to no section",
		"[autorebuild]\nenabled\n":              "line 2",
		"[autorebuild]\n=0\n":                   "line 2",
		" x\n":                                  "line 1",
		"\xff":                                  "UTF-8",
		"a\x00":                                 "control characters",
		strings.Repeat("#", maxSize+1):          "larger",
	} {
		_, err := Parse(".osbs-repo-config", []byte(text))
		if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ".osbs-repo-config") {
			t.Errorf("Parse(%.40q): %v, want InvalidInput with %q", text, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	repository := filepath.Join(dir, "repository")
	if err := os.MkdirAll(filepath.Join(repository, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{outside: "[autorebuild]\nenabled=0\n", filepath.Join(repository, "off"): "[autorebuild]\nenabled=0\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"out": "../outside", "absolute": outside, "in": "off"} {
		if err := os.Symlink(target, filepath.Join(repository, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]struct {
		enabled bool
		kind    failure.Kind
	}{
		"absent": {true, ""}, "off": {false, ""}, "in": {false, ""},
		"out": {false, failure.InvalidInput}, "absolute": {false, failure.InvalidInput}, "directory": {false, failure.InvalidInput},
		"../outside": {false, failure.InvalidInput},
	} {
		got, err := Read(repository, name)
		if failure.KindOf(err) != want.kind || got.Autorebuild != want.enabled {
			t.Errorf("Read(%s) = %v, %v", name, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[autorebuild]\nenabled=0\n", "[a]\nx: y\n z\n", "[", "=", "#", "[a]\n=\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Parse("f", text); err != nil && failure.KindOf(err) != failure.InvalidInput {
			t.Fatalf("kind %s: %v", failure.KindOf(err), err)
		}
	})
}
