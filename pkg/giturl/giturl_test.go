package giturl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]struct {
		url  URL
		text string
	}{
		"https://git.example.com/a/b.git":            {URL{Scheme: HTTPS, Host: "git.example.com", Path: "/a/b.git"}, "https://git.example.com/a/b.git"},
		"HTTPS://user:s3cret@GIT.example.com:8443/a": {URL{Scheme: HTTPS, User: "user", Password: "s3cret", Host: "git.example.com", Port: 8443, Path: "/a"}, "https://git.example.com:8443/a"},
		"https://[::1]:8443/a":                       {URL{Scheme: HTTPS, Host: "::1", Port: 8443, Path: "/a"}, "https://[::1]:8443/a"},
		"https://h/a%20b":                            {URL{Scheme: HTTPS, Host: "h", Path: "/a b"}, "https://h/a%20b"},
		"http://h/a":                                 {URL{Scheme: HTTP, Host: "h", Path: "/a"}, "http://h/a"},
		"ssh://git@h:2222/a.git":                     {URL{Scheme: SSH, User: "git", Host: "h", Port: 2222, Path: "/a.git"}, "ssh://git@h:2222/a.git"},
		"git@github.com:user/repo.git":               {URL{Scheme: SSH, User: "git", Host: "github.com", Path: "user/repo.git"}, "git@github.com:user/repo.git"},
		"git@[::1]:repo.git":                         {URL{Scheme: SSH, User: "git", Host: "::1", Path: "repo.git"}, "git@[::1]:repo.git"},
		"host:/srv/a.git":                            {URL{Scheme: SSH, Host: "host", Path: "/srv/a.git"}, "host:/srv/a.git"},
		"file:///srv/a.git":                          {URL{Scheme: File, Path: "/srv/a.git"}, "file:///srv/a.git"},
	} {
		got, err := Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v", in, err)
			continue
		}
		if diff := cmp.Diff(want.url, got, cmpopts.IgnoreUnexported(URL{})); diff != "" {
			t.Errorf("Parse(%q) differs (-want +got):\n%s", in, diff)
		}
		if got.String() != want.text {
			t.Errorf("Parse(%q).String() = %q, want %q", in, got, want.text)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "empty",
		"--upload-pack=touch /tmp/x": "option",
		"-x":                         "option",
		"ext::sh -c touch":           "space",
		"ext::sh":                    "remote helpers",
		"ssh://-oProxyCommand=x/a":   "option",
		"ssh://-o@h/a":               "option",
		"host:-x":                    "option",
		"git@-h:x":                   "option",
		"git://h/a":                  `scheme "git"`,
		"ftp://h/a":                  `scheme "ftp"`,
		"https:///a":                 "no host",
		"https://h":                  "no path",
		"https://h/":                 "no path",
		"https://h/a?x=y":            "query",
		"https://h/a#b":              "fragment",
		"https://h:0/a":              "port",
		"https://h:99999/a":          "port",
		"https://h/a\nb":             "control character",
		"https://h/a%0Ab":            "control character",
		"file://host/a":              "names no host",
		"/srv/a.git":                 "no scheme",
		"./a":                        "no scheme",
		"repo":                       "no scheme",
		"a/b:c":                      "no scheme",
		"git@h:":                     "no path",
		"git@[::1:x":                 "malformed",
		"ssh://u:s3cret@h/a":         "no password",
		"http://u:s3cret@h/a":        "in clear",
		"https://u:s3cret@h:x/a":     "malformed",
		"https://u:s3cret/s@h/a":     "malformed",
		"https://u:s@s3cret@h:x/a":   "malformed",
		"https://h/" + strings.Repeat("a", maxLength): "longer",
	} {
		_, err := Parse(in)
		if failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want a usage error with %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Parse(%q) shows the password: %v", in, err)
		}
	}
}

func TestResolve(t *testing.T) {
	for _, tc := range []struct{ base, rel, want string }{
		{"https://h/a/b.git", "../c.git", "https://h/a/c.git"},
		{"https://h/a/b.git", "./c.git", "https://h/a/b.git/c.git"},
		{"https://h/a/b.git/", "../../c.git", "https://h/c.git"},
		{"https://h/a/b.git", "../../../c", ""},
		{"https://h/a/b.git", "../../..", ""},
		{"git@h:a/b.git", "../c.git", "git@h:a/c.git"},
		{"git@h:b.git", "../c.git", "git@h:c.git"},
		{"git@h:b.git", "../../c.git", ""},
		{"git@h:b.git", "../-c.git", ""},
		{"file:///srv/b", "../c", "file:///srv/c"},
		{"https://h/a", "https://other/c", "https://other/c"},
		{"https://h/a", "--upload-pack=x", ""},
	} {
		base, err := Parse(tc.base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := base.Resolve(tc.rel)
		if (err != nil) != (tc.want == "") || err == nil && got.String() != tc.want {
			t.Errorf("%s + %s = %q, %v; want %q", tc.base, tc.rel, got, err, tc.want)
		}
	}
}

func TestSameServer(t *testing.T) {
	a, _ := Parse("https://h/a")
	for in, want := range map[string]bool{"https://h/b": true, "https://H/b": true, "https://h:444/b": false, "ssh://h/a": false, "https://g/a": false} {
		b, err := Parse(in)
		if err != nil || a.SameServer(b) != want {
			t.Errorf("SameServer(%s) is not %v (%v)", in, want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"https://u:p@h:1/a.git", "git@h:a", "file:///a", "-x", "ssh://[::1]:22/x", "git@[::1]:repo.git"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(u.String())
		if err != nil {
			t.Fatalf("Parse(%q) = %q, which is refused: %v", text, u, err)
		}
		if again.String() != u.String() {
			t.Fatalf("%q reads back as %q", u, again)
		}
		for _, part := range []string{u.Host, u.User, u.Path} {
			if strings.HasPrefix(part, "-") {
				t.Fatalf("Parse(%q) lets an option through: %q", text, part)
			}
		}
	})
}
