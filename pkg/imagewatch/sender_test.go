package imagewatch

import (
	"errors"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// The cache of one base may be ahead of another's: an event for the first would lead to a build more than is needed.
func TestABaseThatHasMovedUnseenIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream(space, "tools", 2)
	r.stream("shared", "ground", 1)
	w := &watcher{o: Options{Namespace: space}, clients: situation.Clients{Image: r.image}}
	item := rebuild.Item{
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "tools:latest", NewDigest: digestOf(2)}},
		Digests: map[string]string{"tools:latest": digestOf(2), "shared/ground:latest": digestOf(1)},
	}
	if err := w.checkBases(t.Context(), item); err != nil {
		t.Error(err)
	}
	r.stream("shared", "ground", 2)
	if err := w.checkBases(t.Context(), item); !errors.Is(err, errChanged) {
		t.Errorf("error %v", err)
	}
	item.Digests["gone:latest"] = digestOf(1)
	delete(item.Digests, "shared/ground:latest")
	if err := w.checkBases(t.Context(), item); !errors.Is(err, errChanged) {
		t.Errorf("error %v", err)
	}
}
