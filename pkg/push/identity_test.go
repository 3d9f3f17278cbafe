package push_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/push"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// life is the push of a build in a workspace that has nothing of an earlier life.
func (b *built) life(t *testing.T, c *registry.Client, uid, host string) push.Options {
	t.Helper()
	lock := workspace.Lock{BuildConfig: "app", Holder: "app-1", HolderUID: uid, Created: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	if err := workspace.Write(b.dir, lock); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(string(b.dir), "push-attempt.json")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	o := b.options(c, host)
	o.Now, o.Rand = nil, nil
	return o
}

func TestABuildThatHasLostItsWorkspaceKnowsItsTags(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	b := newBuilt(t, nil, "", 1000, 1)
	first, err := push.Run(t.Context(), b.life(t, c, "uid-1", r.Host))
	if err != nil {
		t.Fatal(err)
	}
	again, err := push.Run(t.Context(), b.life(t, c, "uid-1", r.Host))
	if err != nil {
		t.Fatalf("in its second life: %v", err)
	}
	tags := tagsOf(t, c, r.Host+"/team/app")
	if unique := again.Images[0].Unique; unique != first.Images[0].Unique || !slices.Equal(tags, []string{"1.2-3", unique}) {
		t.Errorf("tags = %q, first %q, then %q", tags, first.Images[0].Unique, unique)
	}
	if _, err := push.Run(t.Context(), b.life(t, c, "uid-2", r.Host)); failure.KindOf(err) != failure.Conflict {
		t.Errorf("another build of the same content: %v", err)
	}
}

func TestABuildThatBuildsSomethingElseInItsSecondLifeOverwritesNothing(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := client(t, registry.Options{})
	b, other := newBuilt(t, nil, "", 1000, 1), newBuilt(t, nil, "", 1000, 1)
	first, err := push.Run(t.Context(), b.life(t, c, "uid-1", r.Host))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := push.Run(t.Context(), other.life(t, c, "uid-1", r.Host)); failure.KindOf(err) != failure.Conflict {
		t.Errorf("another image under the same primary tag: %v", err)
	}
	scratch := other.life(t, c, "uid-1", r.Host)
	scratch.Scratch = true
	second, err := push.Run(t.Context(), scratch)
	if err != nil {
		t.Fatal(err)
	}
	if second.Images[0].Unique == first.Images[0].Unique {
		t.Error("the second life has taken the unique tag of the first")
	}
	checkImage(t, c, r.Host+"/team/app:"+first.Images[0].Unique, first.Digest)
	checkImage(t, c, r.Host+"/team/app:"+second.Images[0].Unique, second.Digest)
}
