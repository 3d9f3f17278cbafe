package repoconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestParseContainer(t *testing.T) {
	for text, want := range map[string]Container{
		"":                                     {FromLatest: true},
		"# nothing\n":                          {FromLatest: true},
		"---\n":                                {FromLatest: true},
		"null\n":                               {FromLatest: true},
		"platforms:\n  only: x86_64\n":         {FromLatest: true},
		"\ufeffcompose: {pulp_repos: true}\n":  {FromLatest: true},
		"autorebuild: {}\n":                    {},
		"autorebuild:\n  from_latest: true\n":  {FromLatest: true},
		"autorebuild:\n  from_latest: Yes\n":   {FromLatest: true},
		"autorebuild:\n  from_latest: false\n": {},
		"autorebuild:\r\n  from_latest: on\r\n  add_timestamp_to_release: true\r\n": {FromLatest: true, AddTimestamp: true},
		"{\"autorebuild\": {\"add_timestamp_to_release\": true}}":                   {AddTimestamp: true},
		"autorebuild: {ignore_isolated_builds: true}\n":                             {},
		"autorebuild: {ignore_isolated_builds: false}\n":                            {IsolatedTriggers: true},
		"x: &a {from_latest: true}\nautorebuild: *a\n":                              {FromLatest: true},
		"x: &t true\nautorebuild: {from_latest: *t}\n":                              {FromLatest: true},
		// whatever is elsewhere is somebody else's
		"image_build_method: imagebuilder\nremote_source: [1, {autorebuild: 3}]\ngo: {a: b, a: c}\nautorebuild: {from_latest: true}\n": {FromLatest: true},
	} {
		got, err := ParseContainer([]byte(text))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
	if c, _ := ParseContainer([]byte("autorebuild: {ignore_isolated_builds: false}\n")); len(c.Warnings()) != 1 || Absent().Warnings() != nil {
		t.Errorf("warnings: %q and %q", c.Warnings(), Absent().Warnings())
	}
}

func TestParseContainerRefuses(t *testing.T) {
	const keys = "accepted are from_latest, add_timestamp_to_release and ignore_isolated_builds"
	for text, want := range map[string][]string{
		"autorebuild:\n  from_latests: true\n":                    {"line 2", `no key "from_latests"`, keys},
		"autorebuild:\n  add_timestamp_to_release: 1\n":           {"line 2", "autorebuild.add_timestamp_to_release is neither true nor false", keys},
		"autorebuild:\n  from_latest: \"true\"\n":                 {"autorebuild.from_latest", keys},
		"autorebuild:\n  from_latest:\n":                          {"autorebuild.from_latest", keys},
		"autorebuild:\n  from_latest: [true]\n":                   {"autorebuild.from_latest", keys},
		"autorebuild:\n  from_latest: true\n  from_latest: no\n":  {"line 3", "twice"},
		"autorebuild:\n  [a]: true\n":                             {"no key", keys},
		"autorebuild: {<<: {from_latest: true}}\n":                {`no key "<<"`},
		"autorebuild:\n":                                          {"not a map", keys},
		"autorebuild: true\n":                                     {"not a map"},
		"autorebuild: {}\nx: 1\nautorebuild: {}\n":                {"line 3", "twice"},
		"- autorebuild\n":                                         {"the file is not a map"},
		"just text\n":                                             {"the file is not a map"},
		"a: b\n---\nautorebuild: {}\n":                            {"second document"},
		"autorebuild: {from_latest: true\n":                       {"malformed", "line"},
		"a: b\n\tautorebuild: {}\n":                               {"malformed", "line 2"},
		"\xff":                                                    {"malformed"},
		"a: *nowhere\n":                                           {"malformed", "nowhere"},
		strings.Repeat("#", maxContainer+1):                       {"larger"},
		"autorebuild: " + strings.Repeat("[", 20_000):             {"malformed"},
		"autorebuild: {" + strings.Repeat("k", 100) + ": true}\n": {"kkk"},
	} {
		_, err := ParseContainer([]byte(text))
		if failure.KindOf(err) != failure.InvalidInput {
			t.Errorf("%.60q: %v", text, err)
			continue
		}
		for _, part := range append(want, ContainerName) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%.60q: %v, want %q", text, err, part)
			}
		}
		if len(err.Error()) > 400 {
			t.Errorf("%.60q: a message of %d bytes", text, len(err.Error()))
		}
	}
}

func TestReadContainer(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "container.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, ContainerName)
	write(outside, "autorebuild: {}\n")
	write(file, "autorebuild: {add_timestamp_to_release: true}\n")
	if got, err := Read(dir, ""); err != nil || got != (Config{Autorebuild: true, Container: Container{AddTimestamp: true}}) {
		t.Errorf("%+v, %v", got, err)
	}
	write(file, "rubbish")
	if _, err := Read(dir, ""); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("rubbish: %v", err)
	}
	// nobody is told of a file that does not matter
	write(filepath.Join(dir, DefaultName), "[autorebuild]\nenabled=0\n")
	if got, err := Read(dir, DefaultName); err != nil || got.Autorebuild {
		t.Errorf("disabled: %+v, %v", got, err)
	}
	write(filepath.Join(dir, DefaultName), "")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, file); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir, ""); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("a link out of the repository: %v", err)
	}
}

func FuzzParseContainer(f *testing.F) {
	for _, seed := range []string{
		"autorebuild: {from_latest: true}\n", "autorebuild:\n  add_timestamp_to_release: no\n", "a: &a [*a]\nautorebuild: *a\n",
		"a: &a {<<: *a}\n", "---\n...\n", "? a\n: b\n", "\"\\u", "autorebuild: !!binary eA==\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := ParseContainer(text); err != nil && failure.KindOf(err) != failure.InvalidInput {
			t.Fatalf("kind %s: %v", failure.KindOf(err), err)
		}
	})
}
