package local

import (
	"testing"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

func TestBuildBaseThenApplication(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	first := mustBuild(t, i, base.request())
	t.Log(logOf(t, i, first.Name))
	second := mustBuild(t, i, app.request())
	t.Log(logOf(t, i, second.Name))
	if len(second.Bases) != 1 || second.Bases[0].Digest != first.Push.Digest {
		t.Errorf("bases %+v, want digest %s", second.Bases, first.Push.Digest)
	}
	base.change(2, "two")
	third := mustBuild(t, i, base.request())
	rebuilt := autorebuilds(list(t, i, osbs.Filter{}))[second.BuildConfig]
	if len(rebuilt) != 1 {
		t.Fatalf("autorebuilds: %+v", rebuilt)
	}
	r := rebuilt[0]
	if r.State != osbs.Complete || r.CausedBy != third.Name || r.Bases[0].Digest != third.Push.Digest {
		t.Errorf("rebuild: %+v\n%s", r, logOf(t, i, r.Name))
	}
}
