package buildconfig

import (
	"encoding/json"
	"os"
	"regexp"
	"testing"
)

func TestNameVectorsOfTheOriginal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, branch, want string }{
		{"https://github.com/user/repo.git", "master", "repo-master-403eb"},
		{"https://github.com/user/repo", "master", "repo-master-047eb"},
		{"git@github.com:user/repo.git", "master", "repo-master-6445d"},
		{"https://git.example.com/rpms/rsyslog.git", "extras-rhel-7.2", "rsyslog-extras-rhel-72-738bf"},
		{
			"https://g/x/very-long-repository-name-for-a-container-image.git", "feature/a-very-long-branch-name-that-overflows",
			"very-long-repository-na-featurea-very-long-bran-97c9c",
		},
	} {
		if got := Name(c.url, c.branch); got != c.want {
			t.Errorf("Name(%q, %q) = %q, want %q", c.url, c.branch, got, c.want)
		}
	}
}

// testdata/names.json was computed by the rule written down in Python, with Python's own urlparse.
func TestNameAgreesWithPython(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/names.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ URL, Branch, Name string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 300 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	for _, v := range vectors {
		if got := Name(v.URL, v.Branch); got != v.Name {
			t.Errorf("Name(%q, %q) = %q, want %q", v.URL, v.Branch, got, v.Name)
		}
	}
}

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func FuzzName(f *testing.F) {
	f.Add("https://github.com/user/repo.git", "master")
	f.Add("git@github.com:user/repo.git", "")
	f.Add("https://[::1/x", "-")
	f.Add("\x00\xff;?#//:", "\xff")
	f.Fuzz(func(t *testing.T, url, branch string) {
		name := Name(url, branch)
		if len(name) > MaxName || !dnsLabel.MatchString(name) {
			t.Errorf("Name(%q, %q) = %q is no DNS label of at most %d bytes", url, branch, name, MaxName)
		}
	})
}
