//go:build e2e

package autorebuild

import (
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/event"
)

// Builds end, well or not, while bases move: each state of the bases is built once, in order, and nothing else is.
func TestOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.watch()
	t.Run("together", func(t *testing.T) {
		for name, scenario := range map[string]func(*site){
			"moves again during the rebuild":  movesAgain,
			"there and back before a build":   thereAndBack,
			"there and back around a build":   thereAndBackAroundABuild,
			"there and back around a failure": thereAndBackAroundAFailure,
			"a failed build":                  failedBuild,
			"a chain":                         chain,
			"a diamond":                       diamond,
			"two bases within a second":       twoBases,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				scenario(s.within(t))
			})
		}
	})
	s.settled()
}

// still waits for a time in which the build config gets no PipelineRun besides those that it has, which are n.
func (s *site) still(config string, n int) {
	s.t.Helper()
	s.quiet(5 * time.Second)
	if got := len(s.of(config)); got != n {
		s.t.Errorf("%s has %d PipelineRuns, want %d", config, got, n)
	}
}

// builds waits for the next PipelineRun of a build config, checks that it is made from the digest of its first base, and ends it well.
func (s *site) builds(config, base, digest string) (made string) {
	s.t.Helper()
	run := s.next(config)
	if got := madeFrom(run)[base]; got != digest {
		s.t.Errorf("%s is made from %s of %s, want %s", run.GetName(), got, base, digest)
	}
	s.goesOn(run, true)
	s.must(s.succeeds(run))
	return s.current(config)
}

func movesAgain(s *site) {
	s.move("again", 1)
	s.config("again-app", "again")
	s.move("again", 2)
	run := s.next("again-app")
	s.goesOn(run, true)
	s.move("again", 3)
	s.move("again", 4)
	s.still("again-app", 1)
	s.must(s.succeeds(run))
	s.builds("again-app", "again", digest(4)) // what was newest in between is not built
	s.still("again-app", 2)
}

func thereAndBack(s *site) {
	s.move("swift", 1)
	s.config("swift-app", "swift")
	s.must(s.pause("swift-app", true)) // as if it were waiting for its turn
	s.move("swift", 2)
	s.quiet(2 * time.Second)
	s.must(s.moveTo("swift", digest(1)))
	s.must(s.pause("swift-app", false))
	s.still("swift-app", 0)
}

func thereAndBackAroundABuild(s *site) {
	s.move("slow", 1)
	s.config("slow-app", "slow")
	s.move("slow", 2)
	run := s.next("slow-app")
	s.goesOn(run, true)
	s.move("slow", 1)
	s.must(s.succeeds(run)) // it may end, but what it has built is on 2
	s.builds("slow-app", "slow", digest(1))
	s.still("slow-app", 2)
	s.move("slow", 2) // a digest that was built before is built again, since the newest image is on another
	s.builds("slow-app", "slow", digest(2))
	s.still("slow-app", 3)
}

func thereAndBackAroundAFailure(s *site) {
	s.move("sad", 1)
	s.config("sad-app", "sad")
	s.move("sad", 2)
	run := s.next("sad-app")
	s.goesOn(run, true)
	s.move("sad", 1)
	s.must(s.fails(run))
	s.still("sad-app", 1) // the image is on 1, as the tag is
	s.move("sad", 2)      // which failed before the tag moved back: something has changed
	s.builds("sad-app", "sad", digest(2))
	s.still("sad-app", 2)
}

func failedBuild(s *site) {
	s.move("bad", 1)
	s.config("bad-app", "bad")
	s.config("bad-top", "bad-app")
	s.move("bad", 2)
	run := s.next("bad-app")
	s.goesOn(run, true)
	s.must(s.fails(run))
	s.quiet(15 * time.Second)
	s.still("bad-app", 1)
	s.still("bad-top", 0) // it stays on the old base
	s.move("bad", 3)
	made := s.builds("bad-app", "bad", digest(3))
	s.builds("bad-top", "bad-app", made)
	s.still("bad-app", 2)
	s.still("bad-top", 1)
}

func chain(s *site) {
	s.move("chain", 1)
	s.config("chain-a", "chain")
	s.config("chain-b", "chain-a")
	s.config("chain-c", "chain-b")
	s.move("chain", 2)
	a := s.builds("chain-a", "chain", digest(2))
	b := s.builds("chain-b", "chain-a", a)
	s.builds("chain-c", "chain-b", b)
	causes := s.of("chain-b")[0].GetAnnotations()[event.AnnotationCausedBy]
	if want := s.of("chain-a")[0].GetName(); causes != want {
		s.t.Errorf("chain-b is caused by %q, want %q", causes, want)
	}
	for _, config := range []string{"chain-a", "chain-b", "chain-c"} {
		s.still(config, 1)
	}
}

func diamond(s *site) {
	s.move("top", 1)
	s.config("left", "top")
	s.config("right", "top")
	s.config("bottom", "left", "right", "top")
	s.move("top", 2)
	left, right := s.next("left"), s.next("right")
	s.goesOn(left, true)
	s.goesOn(right, true)
	s.must(s.succeeds(left))
	s.still("bottom", 0) // right is about to move
	s.must(s.succeeds(right))
	run := s.next("bottom")
	got := madeFrom(run)
	for base, want := range map[string]string{"left": s.current("left"), "right": s.current("right"), "top": digest(2)} {
		if got[base] != want {
			s.t.Errorf("bottom is made from %s of %s, want %s", got[base], base, want)
		}
	}
	s.goesOn(run, true)
	s.must(s.succeeds(run))
	s.still("bottom", 1)
}

// A multi-stage image: one build, or a second one if the first was created before the second base moved.
func twoBases(s *site) {
	s.move("compiler", 1)
	s.move("runtime", 1)
	s.config("staged", "compiler", "runtime")
	s.move("compiler", 2)
	s.move("runtime", 2)
	run, want := s.next("staged"), 1
	if goesOn, err := s.begins(run); err != nil {
		s.t.Fatal(err)
	} else if goesOn {
		s.must(s.succeeds(run))
	}
	if madeFrom(run)["runtime"] != digest(2) { // it was created before, and is skipped
		want = 2
		s.builds("staged", "runtime", digest(2))
	}
	s.still("staged", want)
	if got := s.builtOn("staged"); got["compiler"] != digest(2) || got["runtime"] != digest(2) {
		s.t.Errorf("the image is built on %v", got)
	}
}
