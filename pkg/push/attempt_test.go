package push

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/tags"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func TestInherit(t *testing.T) {
	const digest = "sha256:aa"
	set := tags.Set{Name: "app", Unique: "none-aaaaa-20240102030405", Primary: "1.0-1"}
	earlier := &attempt{Digest: digest, Tags: tagSet(set), PrimaryFree: map[string]bool{"registry.example.com/app": true}}
	for name, c := range map[string]struct {
		content string // of the earlier attempt's file; empty means none, "own" what it wrote itself
		digest  string
		want    bool
	}{
		"none":          {"", digest, false},
		"same image":    {"own", digest, true},
		"another image": {"own", "sha256:bb", false},
		"malformed":     {"{", digest, false},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := workspace.Dir(t.TempDir()), workspace.Dir(t.TempDir())
			switch c.content {
			case "":
			case "own":
				if err := earlier.save(from); err != nil {
					t.Fatal(err)
				}
			default:
				if err := os.WriteFile(filepath.Join(string(from), attemptFile), []byte(c.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := Inherit(from, to); err != nil {
				t.Fatal(err)
			}
			fresh := set
			fresh.Unique = "none-bbbbb-20240102030406"
			got, err := begin(to, c.digest, fresh)
			if err != nil {
				t.Fatal(err)
			}
			if inherited := got.PrimaryFree["registry.example.com/app"] && got.Tags.Unique == set.Unique; inherited != c.want {
				t.Errorf("attempt: %+v, want inherited=%v", got, c.want)
			}
		})
	}
}
