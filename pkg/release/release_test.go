package release

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestNext(t *testing.T) {
	for in, want := range map[string]string{
		"1": "2", "9": "10", "99": "100", "1.el7": "2.el7", "10.2": "11.2", "1-2": "2-2", "1_a": "2_a", "007": "8", "0": "1",
		"18446744073709551615": "18446744073709551616", "1a": "2a",
	} {
		if got, err := Next(in); err != nil || got != want {
			t.Errorf("Next(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "el7", ".1", "-1", " 1", "v1", "$R", strings.Repeat("1", maxRelease+1)} {
		if got, err := Next(in); failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("Next(%q) = %q, %v; want InvalidInput", in, got, err)
		}
	}
}

// Each case is a Dockerfile with its number marked: <1> becomes 2 and nothing else changes.
func TestBump(t *testing.T) {
	for name, tc := range map[string]struct {
		text  string // after FROM x\n unless it begins with a newline
		where string
	}{
		"plain":                 {"LABEL release=<1>\n", "LABEL release"},
		"no newline at end":     {"LABEL release=<1>", "LABEL release"},
		"double quotes":         {"LABEL release=\"<1>\"\n", "LABEL release"},
		"single quotes":         {"LABEL release='<1>'\n", "LABEL release"},
		"quoted name":           {"LABEL \"release\"=\"<1>.el7\"\n", "LABEL release"},
		"older spelling":        {"LABEL Release=<1>\n", "LABEL Release"},
		"newer one preferred":   {"LABEL release=<1> Release=7\n", "LABEL release"},
		"old form":              {"LABEL release <1>\n", "LABEL release"},
		"old form with spaces":  {"LABEL   release \t <1>.x  \n", "LABEL release"},
		"lower case":            {"label release=<1>\n", "LABEL release"},
		"several":               {"LABEL name=\"a b\" version=1.1 release=<1> x=1\n", "LABEL release"},
		"escaped quote before":  {"LABEL name=\"a \\\" release=7\" release=<1>\n", "LABEL release"},
		"lines":                 {"LABEL name=x \\\n      version=1 \\\n      release=\"<1>.el7\" \\\n      x=1\n", "LABEL release"},
		"comment between":       {"LABEL name=x \\\n# release=7\n  # y\n\n  release=<1>\n", "LABEL release"},
		"carriage returns":      {"LABEL name=x \\\r\n  release=<1>\r\nRUN true\r\n", "LABEL release"},
		"space after mark":      {"LABEL name=x \\ \t\n  release=<1>\n", "LABEL release"},
		"mark inside of a word": {"LABEL rel\\\nease=<1>\n", "LABEL release"},
		"the last wins":         {"LABEL release=7\nLABEL release=<1>\n", "LABEL release"},
		"ENV":                   {"ENV RELEASE=<1>\nLABEL release=$RELEASE\n", "ENV RELEASE"},
		"ENV with braces":       {"ENV A=b RELEASE=\"<1>\"\nLABEL release=\"${RELEASE}.el7\"\n", "ENV RELEASE"},
		"ENV old form":          {"ENV RELEASE <1>\nLABEL release=$RELEASE\n", "ENV RELEASE"},
		"ENV of ENV":            {"ENV A=<1>\nENV B=$A.x\nLABEL release=$B\n", "ENV A"},
		"the last ENV":          {"ENV R=7\nENV R=<1>\nLABEL release=$R\nENV R=9\n", "ENV R"},
		"ENV in the same line":  {"ENV A=<1>\nENV A=7 B=$A\nLABEL release=$B\n", "ENV A"},
		"number, then ENV":      {"ENV A=7\nLABEL release=<1>.$A\n", "LABEL release"},
		"default of a variable": {"ENV R=<1>\nLABEL release=${R:-7}\n", "ENV R"},
		"other stages":          {"\nFROM a AS b\nLABEL release=7\nFROM c\nLABEL release=<1>\n", "LABEL release"},
		"inherited stage":       {"\nFROM a AS b\nLABEL release=<1>\nFROM b\nRUN true\n", "LABEL release"},
		"escape directive":      {"\n# escape=`\nFROM a\nLABEL name=x `\n  release=<1>\n", "LABEL release"},
		"heredoc":               {"RUN <<E\nLABEL release=7\nE\nLABEL release=<1>\n", "LABEL release"},
		"ONBUILD":               {"LABEL release=<1>\nONBUILD LABEL release=7\n", "LABEL release"},
		"text that looks like":  {"RUN echo LABEL release=1\nLABEL note=\"release=1\" release=<1>\n", "LABEL release"},
		"tabs":                  {"LABEL\tname=x\trelease=<1>\n", "LABEL release"},
	} {
		t.Run(name, func(t *testing.T) {
			text := tc.text
			if !strings.HasPrefix(text, "\n") {
				text = "FROM x\n" + text
			}
			text = strings.TrimPrefix(text, "\n")
			before := strings.ReplaceAll(text, "<1>", "1")
			want := strings.ReplaceAll(text, "<1>", "2")
			r, ok, err := Bump([]byte(before), dockerfile.Options{}, nil)
			if err != nil || !ok {
				t.Fatalf("ok %v, error %v", ok, err)
			}
			if diff := cmp.Diff(want, string(r.Text)); diff != "" {
				t.Errorf("text differs (-want +got):\n%s", diff)
			}
			if r.Where != tc.where {
				t.Errorf("Where = %q, want %q", r.Where, tc.where)
			}
			if !strings.HasPrefix(r.Old, "1") || !strings.HasPrefix(r.New, "2") || r.Old[1:] != r.New[1:] {
				t.Errorf("Old %q, New %q", r.Old, r.New)
			}
			if of, err := Of(r.Text, dockerfile.Options{}, nil); of != r.New || err != nil {
				t.Errorf("Of = %q, %v", of, err)
			}
		})
	}
}

func TestBumpRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"LABEL release=el7\n":             "does not begin with a number",
		"ARG R=1\nLABEL release=$R\n":     "no ENV of the Dockerfile sets",
		"LABEL release=$BASE\n":           "BASE",
		"ENV R=el\nLABEL release=$R\n":    "does not begin with a number",
		"LABEL release=1\\\n2\n":          "not written plainly",
		"ENV R=\nLABEL release=${R:-1}\n": "not written plainly",
	} {
		_, _, err := Bump([]byte("FROM x\n"+text), dockerfile.Options{}, []string{"BASE=5"})
		if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want InvalidInput with %q", text, err, want)
		}
	}
}

func TestNoRelease(t *testing.T) {
	for _, text := range []string{"FROM x\n", "FROM x\nLABEL name=y\n", "FROM x\nLABEL release=\"\"\n"} {
		if r, ok, err := Bump([]byte(text), dockerfile.Options{}, nil); ok || err != nil {
			t.Errorf("Bump(%q) = %+v, %v, %v", text, r, ok, err)
		}
	}
}

// FuzzBump looks for a bump that changes anything but one number.
func FuzzBump(f *testing.F) {
	for _, seed := range []string{
		"FROM x\nLABEL release=1\n", "FROM x\nLABEL a=b \\\n#c\n release='9.x'\n", "# escape=`\nFROM x\nLABEL release `\n1", "FROM x\nENV A 1\nLABEL release=${A}\n",
		"FROM x\nLABEL \"release\"=\"1\" a=\"\\\" \"\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, ok, err := Bump(text, dockerfile.Options{}, nil)
		if err != nil || !ok {
			return
		}
		prefix := 0
		for prefix < len(text) && prefix < len(r.Text) && text[prefix] == r.Text[prefix] {
			prefix++
		}
		old, now := text[prefix:], r.Text[prefix:]
		for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
			old, now = old[:len(old)-1], now[:len(now)-1]
		}
		if bytes.ContainsFunc(old, notDigit) || bytes.ContainsFunc(now, notDigit) {
			t.Fatalf("%q became %q", text, r.Text)
		}
	})
}

func notDigit(r rune) bool { return r < '0' || r > '9' }

func TestStamp(t *testing.T) {
	at := time.Date(2019, 10, 7, 17, 18, 25, 999, time.FixedZone("CEST", 2*60*60))
	for name, tc := range map[string]struct{ text, want string }{
		"label":           {"FROM x\nLABEL release=5\nRUN true\n", "FROM x\nLABEL release=5\nLABEL release=\"5.20191007151825\"\nRUN true\n"},
		"several lines":   {"FROM x\nLABEL release=5 \\\n  name=y\n", "FROM x\nLABEL release=5 \\\n  name=y\nLABEL release=\"5.20191007151825\"\n"},
		"no last newline": {"FROM x\nLABEL release=1.el7", "FROM x\nLABEL release=1.el7\nLABEL release=\"1.el7.20191007151825\"\n"},
		"ENV":             {"FROM x\nENV R=5\nLABEL release=$R.z\n", "FROM x\nENV R=5\nLABEL release=$R.z\nLABEL release=\"5.z.20191007151825\"\n"},
		"ENV of the base": {"FROM x\nLABEL release=$BASE\n", "FROM x\nLABEL release=$BASE\nLABEL release=\"7.20191007151825\"\n"},
		"old spelling":    {"FROM x\nLABEL Release=5\n", "FROM x\nLABEL Release=5\nLABEL release=\"5.20191007151825\"\n"},
		"other stages":    {"FROM x AS a\nLABEL release=5\nFROM a\nRUN true\n", "FROM x AS a\nLABEL release=5\nLABEL release=\"5.20191007151825\"\nFROM a\nRUN true\n"},
	} {
		r, ok, err := Stamp([]byte(tc.text), dockerfile.Options{}, []string{"BASE=7"}, at)
		if !ok || err != nil || string(r.Text) != tc.want || r.New != r.Old+".20191007151825" {
			t.Errorf("%s: %+v, %v, %v\n%s", name, r, ok, err, r.Text)
		}
	}
	if _, ok, err := Stamp([]byte("FROM x\nLABEL name=y\n"), dockerfile.Options{}, nil, at); ok || err != nil {
		t.Errorf("no release: %v, %v", ok, err)
	}
	for _, release := range []string{"el7", "1-2", "1 2", `1"`, "1." + strings.Repeat("x", 120)} {
		_, _, err := Stamp([]byte("FROM x\nLABEL release='"+release+"'\n"), dockerfile.Options{}, nil, at)
		if failure.KindOf(err) != failure.InvalidInput || !strings.Contains(err.Error(), "cannot get a timestamp") {
			t.Errorf("%q: %v", release, err)
		}
	}
}

// FuzzStamp looks for a timestamp that changes what is there.
func FuzzStamp(f *testing.F) {
	for _, seed := range []string{"FROM x\nLABEL release=1\n", "FROM x\nENV A 1\nLABEL release=${A}\\\n", "# escape=`\nFROM x\nLABEL release `\n1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, ok, err := Stamp(text, dockerfile.Options{}, nil, time.Unix(1_700_000_000, 0))
		if err != nil || !ok {
			return
		}
		line := []byte("LABEL release=\"" + r.New + "\"\n")
		if before, after, found := bytes.Cut(r.Text, line); !found || len(r.Text) > len(text)+len(line)+1 || !bytes.HasSuffix(text, after) || !bytes.HasPrefix(append(text, '\n'), before) {
			t.Fatalf("%q became %q", text, r.Text)
		}
	})
}
