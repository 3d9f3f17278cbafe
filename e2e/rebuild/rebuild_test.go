//go:build e2e

package rebuild

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// One installation serves all of these: each has bases and images of its own.
func TestImagesFollowTheirBases(t *testing.T) {
	t.Parallel()
	s := newSite(t, "{max_concurrent: 50, rate: 1000}", "")
	s.gate = s.newGatekeeper()
	t.Run("each", func(t *testing.T) {
		for name, test := range map[string]func(*site){
			"a chain of three": chainOfThree, "a diamond": diamond, "two bases": twoBases, "a base that moves again": movesAgain,
			"a build that fails": fails, "disabled in the repository": disabled, "builds of a user": usersBuilds,
			"the same content": unchanged,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(s.within(t))
			})
		}
	})
	s.kept()
}

// What is built on the base is rebuilt, then what is built on that, and so on: each once, and really on the new image.
func chainOfThree(s *site) {
	first := s.PushBase(s.Reference("origin:1"), map[string]string{"content": "one\n"})
	app := s.newImage("app", "FROM "+s.Reference("origin:1"), "RUN cp /content /app")
	mid := s.newImage("mid", "FROM "+app.latest(), "RUN cp /app /mid")
	top := s.newImage("top", "FROM "+mid.latest(), "RUN cp /mid /top")
	s.build(app)
	s.build(mid)
	s.build(top)
	top.says("top", "one\n")
	s.watched("origin", first)

	second := s.PushBase(s.Reference("origin:1"), map[string]string{"content": "two\n"})
	if stdout, stderr, code := s.Osbs("import-image", s.stream("origin")); code != 0 {
		s.T.Fatalf("osbs import-image ends with %d:\n%s%s", code, stdout, stderr)
	}
	s.settled(app, mid, top)
	runs := map[*image]string{}
	old, now, tag, by := first, second, s.stream("origin")+":1", ""
	began, ended := s.tag("origin", "1").Created.Time, time.Time{}
	for _, i := range []*image{app, mid, top} {
		run := s.expect(i, 1)[0]
		if run.CreationTimestamp.Time.Before(ended) {
			s.T.Errorf("%s was begun at %s, and what it is built on ended at %s", run.Name, run.CreationTimestamp, ended)
		}
		runs[i] = run.Name
		digest := i.rebuilt(run, cause{base: tag, from: old, to: now, by: by}, "2")
		s.T.Logf("%s: begun after %s, ended after %s", i.name, run.CreationTimestamp.Sub(began), run.Status.CompletionTime.Sub(began))
		old, now, tag, by, ended = i.digest, digest, s.stream(i.name)+":latest", run.Name, run.Status.CompletionTime.Time
	}
	top.says("top", "two\n")
	s.T.Logf("from the import of the base to that of the last image: %s", s.tag("top", "latest").Created.Sub(began))
}

// What is built on two images that are both rebuilt is built once, when both are.
func diamond(s *site) {
	first := s.PushBase(s.Reference("root:1"), map[string]string{"content": "one\n"})
	left := s.newImage("left", "FROM "+s.Reference("root:1"), "RUN cp /content /left")
	right := s.newImage("right", "FROM "+s.Reference("root:1"), "RUN cp /content /right")
	bottom := s.newImage("bottom", "FROM "+left.latest()+" AS left", "FROM "+right.latest(), "COPY --from=left /left /left")
	s.build(left, right)
	s.build(bottom)
	s.watched("root", first)

	second := s.move("root", map[string]string{"content": "two\n"})
	s.settled(left, right, bottom)
	why := cause{base: s.stream("root") + ":1", from: first, to: second}
	run := s.expect(bottom, 1)[0]
	for _, i := range []*image{left, right} {
		side := s.expect(i, 1)[0]
		i.rebuilt(side, why, "2")
		if run.CreationTimestamp.Time.Before(side.Status.CompletionTime.Time) {
			s.T.Errorf("%s was begun before %s ended", run.Name, side.Name)
		}
		if !strings.Contains(run.Annotations[event.AnnotationReasons], side.Name) {
			s.T.Errorf("%s is not among the reasons of %s: %s", side.Name, run.Name, run.Annotations[event.AnnotationReasons])
		}
	}
	s.Succeeded(run.Name)
	bottom.says("left", "two\n")
	bottom.says("right", "two\n")
}

// Either base of an image of two stages has it rebuilt, and both at once have it rebuilt once.
func twoBases(s *site) {
	tools := s.PushBase(s.Reference("tools:1"), map[string]string{"tool": "one\n"})
	ground := s.PushBase(s.Reference("ground:1"), map[string]string{"content": "one\n"})
	both := s.newImage("both", "FROM "+s.Reference("tools:1")+" AS x", "FROM "+s.Reference("ground:1"), "COPY --from=x /tool /tool")
	s.build(both)
	s.watched("tools", tools)
	s.watched("ground", ground)

	moved := s.move("tools", map[string]string{"tool": "two\n"})
	s.settled(both)
	run := s.expect(both, 1)[0]
	both.caused(run, cause{base: s.stream("tools") + ":1", from: tools, to: moved})
	both.says("tool", "two\n")
	moved = s.move("ground", map[string]string{"content": "two\n"})
	s.settled(both)
	both.rebuilt(s.expect(both, 2)[1], cause{base: s.stream("ground") + ":1", from: ground, to: moved}, "3")

	both.pause("true")
	s.move("tools", map[string]string{"tool": "three\n"})
	s.move("ground", map[string]string{"content": "three\n"})
	s.judged(both, rebuild.Paused)
	both.pause("false")
	s.settled(both)
	run = s.expect(both, 3)[2]
	for _, base := range []string{"tools", "ground"} {
		if !strings.Contains(run.Annotations[event.AnnotationReasons], s.stream(base)+":1") {
			s.T.Errorf("%s is not among the reasons of %s: %s", base, run.Name, run.Annotations[event.AnnotationReasons])
		}
	}
	both.says("tool", "three\n")
	both.says("content", "three\n")
}

// A base that moves during a rebuild leads to one more, and nothing is built twice; not even for a base that goes away and comes back.
func movesAgain(s *site) {
	first := s.PushBase(s.Reference("restless:1"), s.gate.base("one", ""))
	i := s.newImage("follower", "FROM "+s.Reference("restless:1"), gated)
	s.build(i)
	s.watched("restless", first)

	second := s.move("restless", s.gate.base("two", "restless-two"))
	running := s.during(i, 1)
	third := s.move("restless", s.gate.base("three", ""))
	s.stillRuns(running)
	s.open("restless-two", "rebuild")
	s.settled(i)
	runs := s.expect(i, 2)
	i.caused(runs[0], cause{base: s.stream("restless") + ":1", from: first, to: second})
	i.rebuilt(runs[1], cause{base: s.stream("restless") + ":1", from: second, to: third}, "3")
	i.says("kept", "three\n")

	fourth := s.move("restless", s.gate.base("four", "restless-four"))
	running = s.during(i, 3)
	s.move("restless", s.gate.base("three", ""))
	s.stillRuns(running)
	s.open("restless-four", "rebuild")
	s.settled(i)
	runs = s.expect(i, 4)
	i.caused(runs[2], cause{base: s.stream("restless") + ":1", from: third, to: fourth})
	i.rebuilt(runs[3], cause{base: s.stream("restless") + ":1", from: fourth, to: third}, "5")
	i.says("kept", "three\n")

	i.pause("true")
	s.move("restless", s.gate.base("five", ""))
	s.judged(i, rebuild.Paused)
	s.move("restless", s.gate.base("three", ""))
	i.pause("false")
	s.settled(i)

	s.outdated(i, runs[0], 5)
}

// during waits until the nth rebuild of an image runs the Dockerfile.
func (s *site) during(i *image, n int) string {
	s.T.Helper()
	s.Until("another rebuild of "+i.name, testsite.BuildTime, func(context.Context) (bool, error) { return len(i.rebuilds()) >= n, nil })
	run := i.rebuilds()[n-1].Name
	s.Reached(run, "build")
	return run
}

// stillRuns ends the test if a build has ended: what was done during it was not.
func (s *site) stillRuns(run string) {
	s.T.Helper()
	if s.Get(run).IsDone() {
		s.T.Fatalf("%s has ended too soon for this test", run)
	}
}

// pause has a build config leave its bases alone, or not.
func (i *image) pause(paused string) {
	i.s.T.Helper()
	i.s.Kubectl("annotate", "--overwrite", "configmap", i.config, configmap.AnnotationPaused+"="+paused)
}

// A rebuild that fails is not repeated, moves nothing, and holds back what is built on the image, until the base moves again.
func fails(s *site) {
	first := s.PushBase(s.Reference("frail:1"), map[string]string{"content": "one\n"})
	broken := s.newImage("broken", "FROM "+s.Reference("frail:1"), "RUN test ! -e /broken && cp /content /kept")
	held := s.newImage("held", "FROM "+broken.latest(), "RUN cp /kept /held")
	s.build(broken)
	s.build(held)
	s.watched("frail", first)
	head := broken.repository.Head()

	second := s.move("frail", map[string]string{"content": "two\n", "broken": ""})
	run := s.expect(broken, 1)[0]
	broken.caused(run, cause{base: s.stream("frail") + ":1", from: first, to: second})
	if fault := s.Fault(run.Name); fault.Stage != "build" {
		s.T.Errorf("%s: %+v", run.Name, fault)
	}
	if said := s.told(broken, "RebuildFailed"); !strings.Contains(said, run.Name) {
		s.T.Errorf("the Event of the build that failed says %q", said)
	}
	if said := s.told(held, "RebuildHeld"); !strings.Contains(said, broken.config) {
		s.T.Errorf("the Event of what is built on it says %q", said)
	}
	s.judged(broken, rebuild.Failed)
	s.judged(held, rebuild.ParentFailed)
	broken.names(broken.digest)
	held.names(held.digest)
	if now := broken.repository.Head(); now != head {
		s.T.Errorf("the branch was at %s, and is at %s", head, now)
	}

	// A mended branch alone changes nothing.
	broken.repository.Commit(map[string]string{"Dockerfile": "FROM " + s.Reference("frail:1") + "\nRUN cp /content /kept\n" + s.Labels("broken")})
	s.expect(broken, 1)
	third := s.move("frail", map[string]string{"content": "three\n", "broken": ""})
	s.Until("another rebuild", testsite.BuildTime, func(context.Context) (bool, error) { return len(broken.rebuilds()) > 1, nil })
	s.settled(broken, held)
	run = s.expect(broken, 2)[1]
	digest := broken.rebuilt(run, cause{base: s.stream("frail") + ":1", from: first, to: third}, "2")
	held.rebuilt(s.expect(held, 1)[0], cause{base: s.stream("broken") + ":latest", from: broken.digest, to: digest, by: run.Name}, "2")
	held.says("held", "three\n")
}

// What the repository does not want is not built.
func disabled(s *site) {
	first := s.PushBase(s.Reference("unloved:1"), map[string]string{"content": "one\n"})
	i := s.newImage("unwilling", "FROM "+s.Reference("unloved:1"), "RUN cp /content /kept")
	head := i.repository.Commit(map[string]string{".osbs-repo-config": "[autorebuild]\nenabled=false\n"})
	s.build(i)
	s.watched("unloved", first)
	before := i.s.Tags(i.name)

	s.move("unloved", map[string]string{"content": "two\n"})
	run := s.expect(i, 1)[0]
	if got := s.Succeeded(run.Name); got["STATE"] != "skipped" || got["IMAGE_DIGEST"] != "" {
		s.T.Errorf("the results are %q", got)
	}
	if said := s.Logs(run.Name, "prepare"); !strings.Contains(said, "autorebuild is disabled in .osbs-repo-config") {
		s.T.Errorf("prepare says %q", said)
	}
	s.judged(i, rebuild.Skipped)
	s.Until("the build config to know", streamTime, s.lastBuild(i, run.Name, buildconfig.Skipped))
	i.names(i.digest)
	if now := i.s.Tags(i.name); len(now) != len(before) || i.repository.Head() != head {
		s.T.Errorf("tags %q, now %q; the branch was at %s, now at %s", before, now, head, i.repository.Head())
	}
}

// lastBuild says whether the build config of an image has a build as its last, with an outcome.
func (s *site) lastBuild(i *image, run string, outcome buildconfig.Outcome) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		stored, err := s.Kube.CoreV1().ConfigMaps(s.Name).Get(ctx, i.config, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		config, err := configmap.From(stored)
		return err == nil && config.LastBuild != nil && config.LastBuild.Name == run && config.LastBuild.Outcome == outcome, err
	}
}

// What users start by hand while a rebuild runs fails or waits, as they want, and a rebuild waits for a user's build.
func usersBuilds(s *site) {
	first := s.PushBase(s.Reference("busy:1"), s.gate.base("one", ""))
	i := s.newImage("shared", "FROM "+s.Reference("busy:1"), gated)
	s.build(i)
	s.watched("busy", first)

	second := s.move("busy", s.gate.base("two", "busy-two"))
	automatic := s.during(i, 1)
	refused := s.byHand(i, "fail", "7.1")
	s.Failed(refused)
	waiting := s.byHand(i, "wait", "7.2") // not before: the other would be told of it too
	s.Queued(waiting)
	want := "Build " + automatic + " for " + i.config + " in state "
	if fault := s.Fault(refused); fault.Stage != "lock" || !strings.Contains(fault.Message, want) || !strings.Contains(fault.Message, "can't proceed.") {
		s.T.Errorf("the user is told %+v, want %s", fault, want)
	}
	s.open("busy-two", "rebuild")
	s.Succeeded(automatic)

	// The user's has the lock now.
	s.Reached(waiting, "build")
	third := s.move("busy", s.gate.base("three", ""))
	s.stillRuns(waiting)
	s.open("busy-two", "user")
	s.settled(i)
	run := s.expect(i, 2)[1]
	i.rebuilt(run, cause{base: s.stream("busy") + ":1", from: second, to: third}, "3")
	i.says("kept", "three\n")
	if ended := s.Get(waiting).Status.CompletionTime; run.CreationTimestamp.Before(ended) {
		s.T.Errorf("%s was begun at %s, before the user's build ended at %s", run.Name, run.CreationTimestamp, ended)
	}
	// A user goes back to an older base: the newest comes after that, once more.
	back := s.byHand(i, "wait", "7.3", "base-digest="+s.stream("busy")+":1="+second)
	s.Succeeded(back)
	s.settled(i)
	again := s.expect(i, 3)[2]
	i.rebuilt(again, cause{base: s.stream("busy") + ":1", from: second, to: third}, "4")
	s.Alone([]string{automatic, waiting, run.Name, back, again.Name})
}

// byHand has tkn start a build of an image, with further params, and returns the PipelineRun's name.
func (s *site) byHand(i *image, policy, release string, params ...string) string {
	s.T.Helper()
	args := []string{"--output", "name"}
	for _, param := range append(params, "git-url="+i.repository.URL, "git-branch=main", "lock-policy="+policy, "release="+release, "build-arg=WHO=user") {
		args = append(args, "--param", param)
	}
	return strings.TrimSpace(s.TknStart(args...))
}
