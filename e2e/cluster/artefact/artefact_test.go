package artefact_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/osbs-tekton/osbs/e2e/cluster/artefact"
)

func TestKeyFollowsInputs(t *testing.T) {
	base := artefact.Artefact{Name: "a", Inputs: []string{"x", "y"}}
	for what, other := range map[string]artefact.Artefact{
		"another name":         {Name: "b", Inputs: []string{"x", "y"}},
		"another input":        {Name: "a", Inputs: []string{"x", "z"}},
		"inputs run together":  {Name: "a", Inputs: []string{"xy"}},
		"an input with a line": {Name: "a", Inputs: []string{"x\n1 y"}},
	} {
		if other.Key() == base.Key() {
			t.Errorf("%s: same key", what)
		}
	}
}

func TestEnsureBuildsOnce(t *testing.T) {
	var built atomic.Int32
	a := artefact.Artefact{Name: "a", Make: func(_ context.Context, dir string, _ io.Writer) error {
		built.Add(1)
		return os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644)
	}}
	c := &artefact.Cache{Dir: t.TempDir(), Progress: io.Discard}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			dir, err := c.Ensure(t.Context(), a)
			if err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times", built.Load())
	}
}

func TestFailedBuildIsNotTakenForGood(t *testing.T) {
	broken := errors.New("broken")
	c := &artefact.Cache{Dir: t.TempDir(), Progress: io.Discard}
	a := artefact.Artefact{Name: "a", Make: func(_ context.Context, dir string, _ io.Writer) error {
		return errors.Join(broken, os.WriteFile(filepath.Join(dir, "half"), nil, 0o644))
	}}
	if _, err := c.Ensure(t.Context(), a); !errors.Is(err, broken) {
		t.Fatalf("want the build's error, got %v", err)
	}
	a.Make = func(context.Context, string, io.Writer) error { return nil }
	dir, err := c.Ensure(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
		t.Error("what the failed build left is in the artefact")
	}
}
