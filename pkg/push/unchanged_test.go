package push

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestDifference(t *testing.T) {
	t.Parallel()
	layer := v1.Hash{Algorithm: "sha256", Hex: "aa"}
	for name, tc := range map[string]struct {
		change   func(*v1.ConfigFile)
		variable string
		want     string
	}{
		"nothing":                  {func(*v1.ConfigFile) {}, "", ""},
		"when it was made":         {func(c *v1.ConfigFile) { c.Created.Time = c.Created.AddDate(1, 0, 0); c.Author = "x" }, "", ""},
		"history":                  {func(c *v1.ConfigFile) { c.History = []v1.History{{CreatedBy: "LABEL release=4"}} }, "", ""},
		"release":                  {func(c *v1.ConfigFile) { c.Config.Labels["release"] = "4" }, "", ""},
		"date and commit":          {func(c *v1.ConfigFile) { c.Config.Labels["build-date"], c.Config.Labels["vcs-ref"] = "x", "y" }, "", ""},
		"release in a variable":    {func(c *v1.ConfigFile) { c.Config.Env[1] = "RELEASE=4" }, "RELEASE", ""},
		"another variable":         {func(c *v1.ConfigFile) { c.Config.Env[1] = "RELEASE=4" }, "", "configuration"},
		"empty for nil":            {func(c *v1.ConfigFile) { c.Config.Volumes, c.Config.Shell = map[string]struct{}{}, []string{} }, "", ""},
		"container's name":         {func(c *v1.ConfigFile) { c.Config.Hostname = "0123" }, "", ""},
		"version":                  {func(c *v1.ConfigFile) { c.Config.Labels["version"] = "2" }, "", "labels version"},
		"a label gone, a new one":  {func(c *v1.ConfigFile) { delete(c.Config.Labels, "version"); c.Config.Labels["a"] = "" }, "", "labels a, version"},
		"command":                  {func(c *v1.ConfigFile) { c.Config.Cmd = []string{"b"} }, "", "configuration"},
		"user":                     {func(c *v1.ConfigFile) { c.Config.User = "1" }, "", "configuration"},
		"order of the environment": {func(c *v1.ConfigFile) { c.Config.Env = []string{"RELEASE=3", "PATH=/bin"} }, "", "configuration"},
		"layers":                   {func(c *v1.ConfigFile) { c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, layer) }, "", "layers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := &v1.ConfigFile{
				RootFS: v1.RootFS{DiffIDs: []v1.Hash{layer}},
				Config: v1.Config{
					Cmd: []string{"a"}, Env: []string{"PATH=/bin", "RELEASE=3"}, Labels: map[string]string{"name": "app", "version": "1", "release": "3"},
				},
			}
			changed := config.DeepCopy()
			tc.change(changed)
			if got := difference(config, changed, tc.variable); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := difference(changed, config, tc.variable); got != tc.want {
				t.Errorf("the other way round: got %q, want %q", got, tc.want)
			}
		})
	}
}
