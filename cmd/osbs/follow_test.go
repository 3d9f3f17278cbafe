package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

func TestCausedLeavesTheRebuildsOfOthersAlone(t *testing.T) {
	all := []osbs.Build{
		{Name: "d", Autorebuild: true, CausedBy: "c"}, {Name: "c", Autorebuild: true, CausedBy: "mine"},
		{Name: "x", Autorebuild: true, CausedBy: "other"}, {Name: "other"}, {Name: "mine"}, {Name: "y", Autorebuild: true},
	}
	for created, want := range map[string][]string{"mine": {"d", "c", "mine"}, "": nil} {
		var got []string
		for _, b := range caused(all, osbs.Build{Name: created}) {
			got = append(got, b.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("caused by %q (-want +got):\n%s", created, diff)
		}
	}
}
