package tags

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

var (
	at          = time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	imageLabels = map[string]string{"name": "rhel7/rsyslog", "version": "7.2", "release": "3.1"}
)

func TestCompute(t *testing.T) {
	for name, tc := range map[string]struct {
		in   Options
		want Set
	}{
		"user's build": {
			Options{Labels: imageLabels, Additional: []string{"stable", "7.2", "latest"}},
			Set{"rhel7/rsyslog", "none-abcde-20260304040607", "7.2-3.1", []string{"7.2", "latest", "stable"}},
		},
		"target": {
			Options{Labels: imageLabels, Target: "extras-rhel-7.2"},
			Set{"rhel7/rsyslog", "extras-rhel-7.2-abcde-20260304040607", "7.2-3.1", []string{"7.2", "latest"}},
		},
		"scratch": {
			Options{Labels: imageLabels, Scratch: true, Additional: []string{"stable"}},
			Set{"rhel7/rsyslog", "none-abcde-20260304040607", "", nil},
		},
		"scratch wins over isolated, and needs only a name": {
			Options{Labels: map[string]string{"name": "x"}, Scratch: true, Isolated: true},
			Set{"x", "none-abcde-20260304040607", "", nil},
		},
		"isolated": {
			Options{Labels: imageLabels, Isolated: true, Additional: []string{"stable"}},
			Set{"rhel7/rsyslog", "none-abcde-20260304040607", "7.2-3.1", nil},
		},
		"older spellings": {
			Options{Labels: map[string]string{"Name": "x", "Version": "1", "Release": "2"}},
			Set{"x", "none-abcde-20260304040607", "1-2", []string{"1", "latest"}},
		},
		"newer spelling wins": {
			Options{Labels: map[string]string{"Name": "old", "name": "new", "Version": "0", "version": "1", "release": "2"}},
			Set{"new", "none-abcde-20260304040607", "1-2", []string{"1", "latest"}},
		},
		"no release": {
			Options{Labels: map[string]string{"name": "x", "version": "1"}},
			Set{"x", "none-abcde-20260304040607", "", []string{"1", "latest"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Time, tc.in.Random = at, "abcde"
			got, err := Compute(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("tags differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestComputeRefuses(t *testing.T) {
	with := func(key, value string) map[string]string {
		out := map[string]string{"name": "x", "version": "1", "release": "2"}
		out[key] = value
		return out
	}
	for name, tc := range map[string]struct {
		in   Options
		kind failure.Kind
		text string
	}{
		"no name":             {Options{Labels: with("name", "")}, failure.InvalidInput, "no name label"},
		"no version":          {Options{Labels: with("version", "")}, failure.InvalidInput, "no version label"},
		"upper-case name":     {Options{Labels: with("name", "Foo")}, failure.InvalidInput, `name="Foo"`},
		"name climbs":         {Options{Labels: with("name", "../x")}, failure.InvalidInput, "not the name of a repository"},
		"name with a tag":     {Options{Labels: with("name", "x:1")}, failure.InvalidInput, "not the name of a repository"},
		"long name":           {Options{Labels: with("name", strings.Repeat("a", 256))}, failure.InvalidInput, "not the name of a repository"},
		"space in version":    {Options{Labels: with("version", "1 2")}, failure.InvalidInput, `make the tag "1 2-2"`},
		"unexpanded variable": {Options{Labels: with("release", "$REL")}, failure.InvalidInput, `release="$REL"`},
		"version begins with .": {Options{Labels: map[string]string{"name": "x", "version": ".1"}}, failure.InvalidInput,
			"not a valid tag"},
		"long version":       {Options{Labels: with("version", strings.Repeat("1", 128))}, failure.InvalidInput, "not a valid tag"},
		"target":             {Options{Labels: imageLabels, Target: "a/b"}, failure.Usage, `target "a/b"`},
		"long target":        {Options{Labels: imageLabels, Target: strings.Repeat("t", 120)}, failure.Usage, "not a valid tag"},
		"control characters": {Options{Labels: with("version", "1\x1b[2J\n")}, failure.InvalidInput, `1\x1b[2J\n`},
		"isolated release":   {Options{Labels: with("release", "2"), Isolated: true}, failure.InvalidInput, `release "2" is not one for an isolated build`},
		"isolated, none":     {Options{Labels: with("release", ""), Isolated: true}, failure.InvalidInput, "isolated"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Time, tc.in.Random = at, "abcde"
			_, err := Compute(tc.in)
			if failure.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v (%s), want %s with %q", err, failure.KindOf(err), tc.kind, tc.text)
			}
		})
	}
}

func TestRandom(t *testing.T) {
	got, err := Random(bytes.NewReader([]byte{0, 31, 32, 63, 255}))
	if err != nil || got != "a9a99" {
		t.Errorf("Random = %q, %v", got, err)
	}
	if _, err := Random(bytes.NewReader(nil)); err == nil {
		t.Error("no error without random bytes")
	}
}

func TestParseAdditional(t *testing.T) {
	found, warnings, err := ParseAdditional(strings.NewReader("stable\r\n\n  7 \nstable\nno-dash\n.dot\nx y\n# note\nlast_one"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"stable", "7", "last_one"}, found); diff != "" {
		t.Errorf("tags differ (-want +got):\n%s", diff)
	}
	if len(warnings) != 4 || !strings.Contains(warnings[0], `additional-tags, line 5: "no-dash" is ignored`) {
		t.Errorf("warnings = %q", warnings)
	}
	_, warnings, err = ParseAdditional(strings.NewReader(strings.Repeat("a-b\n", 50)))
	if err != nil || len(warnings) != maxWarnings+1 {
		t.Errorf("%d warnings, error %v", len(warnings), err)
	}
}

func TestParseAdditionalRefuses(t *testing.T) {
	var many strings.Builder
	for i := range maxAdditional + 1 {
		many.WriteString(strings.Repeat("t", i+1) + "\n")
	}
	for text, in := range map[string]string{
		"larger than": strings.Repeat("a\n", maxAdditionalFile),
		"not a text":  "\xff\xfe",
		"not a text ": "a\x00b",
		"names 101":   many.String(),
	} {
		_, _, err := ParseAdditional(strings.NewReader(in))
		if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestReadAdditional(t *testing.T) {
	dir := t.TempDir()
	if found, warnings, err := ReadAdditional(dir); found != nil || warnings != nil || err != nil {
		t.Errorf("without the file: %v, %v, %v", found, warnings, err)
	}
	file := filepath.Join(dir, AdditionalFile)
	if err := os.Symlink("/etc/hostname", file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadAdditional(dir); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("symbolic link: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("stable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, _, err := ReadAdditional(dir); err != nil || !cmp.Equal(found, []string{"stable"}) {
		t.Errorf("read %v, %v", found, err)
	}
}

func FuzzParseAdditional(f *testing.F) {
	for _, seed := range []string{"", "stable\n", "a-b\n\x00", "\xff", strings.Repeat("x\n", 200), "..\n-\n_"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		found, warnings, err := ParseAdditional(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(warnings) > maxWarnings+1 || len(found) > maxAdditional {
			t.Errorf("%d tags, %d warnings", len(found), len(warnings))
		}
		for _, tag := range found {
			if !valid.MatchString(tag) || strings.Contains(tag, "-") {
				t.Errorf("accepted %q", tag)
			}
		}
	})
}

func FuzzCompute(f *testing.F) {
	f.Add("name", "1", "2", "target", false)
	f.Add("a/b", "1.0", "1.1", "", true)
	f.Fuzz(func(t *testing.T, name, version, release, target string, isolated bool) {
		s, err := Compute(Options{Labels: map[string]string{"name": name, "version": version, "release": release}, Target: target,
			Isolated: isolated, Time: at, Random: "abcde"})
		if err != nil {
			return
		}
		for _, tag := range s.All() {
			if !valid.MatchString(tag) {
				t.Errorf("computed %q", tag)
			}
		}
	})
}
