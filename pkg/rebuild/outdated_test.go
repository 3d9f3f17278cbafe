package rebuild

import (
	"strings"
	"testing"
)

func TestOutdated(t *testing.T) {
	t.Parallel()
	c := Config{Name: "app", Enabled: true, Bases: []Base{{Tag: "base:latest", Built: "1", Tried: "2"}, {Tag: "other/tools:1", Built: "1"}, {Tag: "held:1", Built: "1", Paused: true}}}
	for name, tc := range map[string]struct {
		tags    map[string]Tag
		digests map[string]string
		want    string
	}{
		"due":                         {tags("base=2"), map[string]string{"base:latest": "2"}, ""},
		"moved on":                    {tags("base=3"), map[string]string{"base:latest": "2"}, "base:latest, which is 3 by now"},
		"moved back":                  {tags("base=1"), map[string]string{"base:latest": "1"}, "already"},
		"not known":                   {nil, map[string]string{"base:latest": "2"}, ""},
		"one of another namespace":    {map[string]Tag{"other/tools:1": {Digest: "2"}}, map[string]string{"tools:1": "2"}, ""},
		"one of them is still due":    {map[string]Tag{"base:latest": {Digest: "1"}, "other/tools:1": {Digest: "2"}}, map[string]string{"base:latest": "1", "tools:1": "2"}, ""},
		"a paused one is left out":    {map[string]Tag{"held:1": {Digest: "9"}, "base:latest": {Digest: "1"}}, map[string]string{"held:1": "2", "base:latest": "1"}, "already"},
		"nothing that it is based on": {tags("base=2"), map[string]string{"else:1": "2"}, "already"},
	} {
		if got := Outdated(c, tc.tags, tc.digests); !strings.Contains(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
