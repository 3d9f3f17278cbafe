package dockerfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestPinned(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"FROM":                     {"FROM a\nRUN b\n", "FROM <a>\nRUN b\n"},
		"no newline at the end":    {"FROM a", "FROM <a>"},
		"all that FROM can have":   {"# a\nFROM  --platform=$TARGETPLATFORM a AS a\n", "# a\nFROM  --platform=$TARGETPLATFORM <a> AS a\n"},
		"the word is in the flag":  {"FROM --platform=linux/a linux/a\n", "FROM --platform=linux/a <linux/a>\n"},
		"the word is the keyword":  {"  from from as from\n", "  from <from> as from\n"},
		"arguments":                {"ARG T=1\nFROM a:$T\n", "ARG T=1\nFROM <a:1>\n"},
		"quotes":                   {"FROM \"a\"\n", "FROM <a>\n"},
		"several lines":            {"FROM \\\n# a\n  a \\\n  AS b\nRUN a\n", "FROM \\\n# a\n  <a> \\\n  AS b\nRUN a\n"},
		"stages stay":              {"FROM a AS x\nFROM x AS y\nFROM scratch\nCOPY --from=y / /\n", "FROM <a> AS x\nFROM x AS y\nFROM scratch\nCOPY --from=y / /\n"},
		"COPY from an image":       {"FROM a\nCOPY --chown=1 --from=b /b /from=b\n", "FROM <a>\nCOPY --chown=1 --from=<b> /b /from=b\n"},
		"RUN with mounts":          {"FROM a\nRUN --mount=type=bind,from=b,target=/b --mount=from=c,target=/c x from=b\n", "FROM <a>\nRUN --mount=type=bind,from=<b>,target=/b --mount=from=<c>,target=/c x from=b\n"},
		"heredocs":                 {"FROM a\nCOPY <<E /x\nFROM a\nE\n", "FROM <a>\nCOPY <<E /x\nFROM a\nE\n"},
		"what is not needed stays": {"FROM a AS x\nFROM b\n", "FROM a AS x\nFROM <b>\n"},
		"line ends of Windows":     {"FROM a\r\nRUN b\r\n", "FROM <a>\r\nRUN b\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Platform: "linux/amd64", BuildPlatform: "linux/amd64"}
			got, err := parse(t, tc.text).Pinned(o, func(reference string) string { return "<" + reference + ">" })
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			same, err := parse(t, tc.text).Pinned(o, func(reference string) string { return reference })
			if err != nil || !strings.Contains(tc.text, "$") && !strings.Contains(tc.text, `"`) && string(same) != tc.text {
				t.Errorf("pinned to itself: %q, %v", same, err)
			}
		})
	}
}

func TestPinnedNotInOnePiece(t *testing.T) {
	_, err := parse(t, "FROM a\\\nb\n").Pinned(Options{}, func(string) string { return "x" })
	if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), "line 1: ab is not written in one piece") {
		t.Errorf("error %v", err)
	}
}

// FuzzPinned: the pinned Dockerfile is a Dockerfile that takes from pinned images, and from no other.
func FuzzPinned(f *testing.F) {
	for _, text := range []string{
		"FROM a", "ARG V=1\nFROM --platform=linux/amd64 a:$V AS x\nFROM x\nCOPY --from=b / /", "from \\\n# a\n a as a\nRUN --mount=from=b,target=/b <<E\nE\n",
		"# escape=`\nFROM `\n a\n", "FROM a\nCOPY --from=\"b\" / /\n",
	} {
		f.Add(text)
	}
	pinned := "registry.example.com/x@sha256:" + strings.Repeat("a", 64)
	o := Options{Platform: "linux/amd64", BuildPlatform: "linux/amd64"}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(strings.NewReader(text))
		if err != nil {
			return
		}
		before, err := parsed.Bases(o)
		if err != nil {
			return
		}
		result, err := parsed.Pinned(o, func(string) string { return pinned })
		if err != nil || len(result) > MaxSize {
			return
		}
		again, err := Parse(strings.NewReader(string(result)))
		if err != nil {
			t.Fatalf("%q became %q: %v", text, result, err)
		}
		after, err := again.Bases(o)
		if err != nil || after.Scratch != before.Scratch {
			t.Fatalf("%q became %q: %v", text, result, err)
		}
		for _, b := range after.Bases {
			if b.Reference != pinned {
				t.Errorf("%q became %q, which takes from %q", text, result, b.Reference)
			}
		}
	})
}
