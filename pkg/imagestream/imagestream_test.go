package imagestream

import (
	"strings"
	"testing"
)

func TestTagFor(t *testing.T) {
	digest := "@sha256:" + strings.Repeat("a", 64)
	home := []string{"registry.example.com", "r:5000"}
	for in, want := range map[string]string{
		"fedora":                                     "fedora:latest",
		"fedora:39":                                  "fedora:39",
		"rhel7/rsyslog:1":                            "rhel7-rsyslog:1",
		"registry.example.com/rhel7:7.1":             "rhel7:7.1",
		"Registry.Example.com/rhel7:7.1":             "rhel7:7.1",
		"r:5000/rhel7":                               "rhel7:latest",
		"a/b/c":                                      "a-b-c:latest", // the original lost a
		"registry.example.com/a/b/c:1":               "a-b-c:1",
		"fedora" + digest:                            "",
		"registry.example.com/rhel7" + digest:        "",
		"fedora:39" + digest:                         "fedora:39",
		"quay.io/rhel7:7.1":                          "rhel7-271da:7.1",
		"other.example.com/rhel7:7.1":                "rhel7-72752:7.1",
		"registry.example.com:5000/rhel7":            "rhel7-9f402:latest",
		"localhost/x":                                "x-49960:latest",
		"name_with__all-the--separators/x.y:1.2_3-4": "name_with__all-the--separators-x.y:1.2_3-4",
	} {
		got, err := TagFor(in, home...)
		if err != nil {
			t.Errorf("TagFor(%q): %v", in, err)
		} else if got != want {
			t.Errorf("TagFor(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTagForErrors(t *testing.T) {
	for _, in := range []string{"", "UPPER", "a:", "a:b c", "a@", "r.example.com/", "a b", "a:" + strings.Repeat("x", 129), strings.Repeat("a", 254), "../x"} {
		if got, err := TagFor(in); err == nil {
			t.Errorf("TagFor(%q) = %q, no error", in, got)
		}
	}
}

func TestNameFor(t *testing.T) {
	for in, want := range map[string]string{"fedora": "fedora", "rhel7/rsyslog": "rhel7-rsyslog", "a/b/c": "a-b-c", "/a/": "a"} {
		if got, err := NameFor(in); err != nil || got != want {
			t.Errorf("NameFor(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/", "A", "a:b", "a//b c", "-a"} {
		if got, err := NameFor(in); err == nil {
			t.Errorf("NameFor(%q) = %q, no error", in, got)
		}
	}
}

// FuzzTagFor holds that a result is a valid name:tag, and that a foreign registry never has the stream of a home one.
func FuzzTagFor(f *testing.F) {
	for _, seed := range []string{"fedora", "rhel7/rsyslog:1", "r.io/a/b/c@sha256:aa", "r:5000/x:y@sha256:bb", "localhost/x", "a:b:c", "@", "://"} {
		f.Add(seed, "r.io")
	}
	f.Fuzz(func(t *testing.T, reference, home string) {
		got, err := TagFor(reference, home)
		if err != nil || got == "" {
			return
		}
		name, tag, found := strings.Cut(got, ":")
		if !found || !nameRule.MatchString(name) || !tagRule.MatchString(tag) || strings.ContainsAny(got, "/@") {
			t.Errorf("TagFor(%q) = %q", reference, got)
		}
		host, _, _, _, _ := split(reference)
		plain, err := TagFor(strings.TrimPrefix(reference, reference[:len(host)]+"/"))
		if host != "" && !strings.EqualFold(host, home) && err == nil && plain == got {
			t.Errorf("%q shares %q with another registry", reference, got)
		}
	})
}
