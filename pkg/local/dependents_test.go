package local

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// digestOf is what an ImageStreamTag names now.
func digestOf(t *testing.T, i *Instance, stream, tag string) string {
	t.Helper()
	s, err := imageimport.NewFile(i.dir.imageStreams(), nil).Get(t.Context(), stream)
	if failure.KindOf(err) == failure.NotFound {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return imageimport.Current(s, tag)
}

// noLocks checks that nobody holds or waits for a lock.
func noLocks(t *testing.T, i *Instance) {
	t.Helper()
	all, err := i.BuildConfigs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, bc := range all {
		holder, err := i.locks.Holder(t.Context(), bc.Name)
		if err != nil || holder != nil {
			t.Errorf("lock of %s: %+v, %v", bc.Name, holder, err)
		}
	}
}

func TestDiamondIsRebuiltOnceFromTheBottom(t *testing.T) {
	i := open(t, Config{})
	top, left, right := baseRepo(t, "top", "one"), childRepo(t, "left", "top:1.0"), childRepo(t, "right", "top:1.0")
	bottom := newRepo(t, "bottom", map[string]string{
		"Dockerfile": "FROM left:1.0 AS left\n" + dockerfile("bottom", "right:1.0", "COPY --from=left /Dockerfile.left /left"),
	})
	mustBuild(t, i, top.request())
	configs := map[string]string{}
	for _, r := range []*repo{left, right, bottom} {
		configs[r.name] = mustBuild(t, i, r.request()).BuildConfig
	}
	top.change(2, "two")
	cause := mustBuild(t, i, top.request())
	rebuilt := autorebuilds(list(t, i, osbs.Filter{}))
	for _, name := range []string{"left", "right", "bottom"} {
		all := rebuilt[configs[name]]
		if len(all) != 1 || all[0].State != osbs.Complete {
			t.Errorf("%s: %d rebuilds: %+v", name, len(all), all)
			continue
		}
		for _, b := range all[0].Bases {
			stream, tag, _ := strings.Cut(b.ImageStreamTag, ":")
			if now := digestOf(t, i, stream, tag); b.Digest != now {
				t.Errorf("%s was built on %s %s, the tag is at %s", name, b.ImageStreamTag, b.Digest, now)
			}
		}
	}
	if t.Failed() {
		return
	}
	if by := rebuilt[configs["left"]][0].CausedBy; by != cause.Name {
		t.Errorf("left was caused by %s", by)
	}
	b := rebuilt[configs["bottom"]][0]
	var moved []string
	for _, reason := range b.Reasons {
		moved = append(moved, reason.Base)
		if reason.Kind != rebuild.BaseMoved || reason.OldDigest == "" || reason.NewDigest == "" {
			t.Errorf("reason %+v", reason)
		}
	}
	if slices.Sort(moved); !slices.Equal(moved, []string{"left:1.0", "right:1.0"}) {
		t.Errorf("bottom was rebuilt because of %v", moved)
	}
	noLocks(t, i)
}

func TestFailedRebuildIsNotRepeated(t *testing.T) {
	i := open(t, Config{})
	base := baseRepo(t, "base", "good")
	app := newRepo(t, "app", map[string]string{"Dockerfile": dockerfile("app", "base:1.0", `RUN ["/bin/busybox", "grep", "good", "/content"]`)})
	mustBuild(t, i, base.request())
	first := mustBuild(t, i, app.request())
	base.change(2, "bad")
	mustBuild(t, i, base.request())
	failed := autorebuilds(list(t, i, osbs.Filter{}))[first.BuildConfig]
	if len(failed) != 1 || failed[0].State != osbs.Failed || failed[0].Failure.Kind != failure.BuildFailed || failed[0].Failure.Stage != "build" {
		t.Fatalf("rebuilds: %+v", failed)
	}
	if started, err := i.RebuildPending(t.Context()); err != nil || len(started) > 0 {
		t.Errorf("repeated: %v, %v", started, err)
	}
	if now := digestOf(t, i, "app", "1.0"); now != first.Push.Digest {
		t.Errorf("the tag was moved to %s", now)
	}
	base.change(3, "good again")
	mustBuild(t, i, base.request())
	all := autorebuilds(list(t, i, osbs.Filter{}))[first.BuildConfig]
	if len(all) != 2 || all[1].State != osbs.Complete {
		t.Errorf("after another change: %+v", all)
	}
	noLocks(t, i)
}

func TestRepositoryThatAsksForNoRebuild(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	app.commit(map[string]string{".osbs-repo-config": "[autorebuild]\nenabled = false\n"})
	mustBuild(t, i, base.request())
	first := mustBuild(t, i, app.request())
	base.change(2, "two")
	mustBuild(t, i, base.request())
	all := autorebuilds(list(t, i, osbs.Filter{}))[first.BuildConfig]
	if len(all) != 1 || all[0].State != osbs.Skipped || all[0].Failure != nil {
		t.Fatalf("rebuilds: %+v", all)
	}
	if _, err := os.Stat(string(i.records.workspace(all[0].Name))); !os.IsNotExist(err) {
		t.Errorf("the workspace of a skipped build: %v", err)
	}
	if started, err := i.RebuildPending(t.Context()); err != nil || len(started) > 0 {
		t.Errorf("repeated: %v, %v", started, err)
	}
	noLocks(t, i)
}

// TestRebuildThatChangesNothing: the base of a stage that only makes a file has moved, and the file is the same.
func TestRebuildThatChangesNothing(t *testing.T) {
	for name, off := range map[string]bool{"early cutoff": false, "switched off": true} {
		t.Run(name, func(t *testing.T) {
			i := open(t, Config{NoEarlyCutoff: off})
			base, tools := baseRepo(t, "base", "same"), baseRepo(t, "tools", "one")
			app := newRepo(t, "app", map[string]string{"Dockerfile": `FROM tools:1.0 AS made
RUN ["/bin/busybox", "sh", "-c", "busybox cat /content > /log; busybox echo always > /made"]
` + dockerfile("app", "base:1.0", "COPY --from=made /made /made")})
			top := childRepo(t, "top", "app:1.0")
			for _, r := range []*repo{base, tools} {
				mustBuild(t, i, r.request())
			}
			first := mustBuild(t, i, app.request())
			topConfig := mustBuild(t, i, top.request()).BuildConfig
			tools.change(2, "two")
			mustBuild(t, i, tools.request())
			rebuilt := autorebuilds(list(t, i, osbs.Filter{}))
			ofApp, ofTop := rebuilt[first.BuildConfig], rebuilt[topConfig]
			if len(ofApp) != 1 || ofApp[0].State != osbs.Complete || ofApp[0].Push == nil {
				t.Fatalf("rebuilds of app: %+v", ofApp)
			}
			if unchanged := ofApp[0].Push.Unchanged; unchanged == off || len(ofTop) == 1 != off {
				t.Errorf("unchanged %v, rebuilds of top %+v", unchanged, ofTop)
			}
			if moved := digestOf(t, i, "app", "1.0") != first.Digest; moved != off {
				t.Errorf("the ImageStream has moved: %v", moved)
			}
			if bumped := strings.Contains(app.git("show", "HEAD:Dockerfile"), "release=2"); bumped != off {
				t.Errorf("the release was bumped in git: %v", bumped)
			}
			if started, err := i.RebuildPending(t.Context()); err != nil || len(started) > 0 {
				t.Errorf("repeated: %v, %v", started, err)
			}
			noLocks(t, i)
		})
	}
}

func TestNoRebuildLeavesDependentsForLater(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	mustBuild(t, i, base.request())
	first := mustBuild(t, i, app.request())
	base.change(2, "two")
	r := base.request()
	r.NoRebuild = true
	second := mustBuild(t, i, r)
	if all := autorebuilds(list(t, i, osbs.Filter{})); len(all) > 0 {
		t.Fatalf("rebuilt: %+v", all)
	}
	outlook, err := i.Outlook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan := rebuild.New(outlook.Configs, outlook.State)
	if len(plan.Items) != 1 || plan.Items[0].Config != first.BuildConfig || plan.Items[0].Reasons[0].CausedBy != second.Name {
		t.Errorf("plan %+v", plan)
	}
	if image := outlook.Images[first.BuildConfig]; image.TookBuild != first.Name || image.Took <= 0 || image.BuildConfig.ImageStream != "app" {
		t.Errorf("image %+v", image)
	}
	if outlook.Bounds.Concurrent < 1 || outlook.State.Budget != outlook.Bounds.Concurrent || !slices.Contains(outlook.HomeRegistries, RegistryHost) {
		t.Errorf("outlook %+v", outlook)
	}
	started, err := i.RebuildPending(t.Context())
	if err != nil || len(started) != 1 {
		t.Fatalf("pending: %v, %v", started, err)
	}
	if err := i.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := autorebuilds(list(t, i, osbs.Filter{}))[first.BuildConfig]
	if len(all) != 1 || all[0].State != osbs.Complete || all[0].Bases[0].Digest != second.Push.Digest || all[0].CausedBy != second.Name {
		t.Errorf("rebuilds: %+v", all)
	}
}

func TestScratchAndIsolatedBuildsCauseNothing(t *testing.T) {
	i := open(t, Config{})
	base, app := baseRepo(t, "base", "one"), childRepo(t, "app", "base:1.0")
	first := mustBuild(t, i, base.request())
	mustBuild(t, i, app.request())
	base.change(2, "two")
	r := base.request()
	r.Scratch = true
	scratch := mustBuild(t, i, r)
	if len(scratch.Push.Images) != 1 || scratch.Push.Images[0].Primary != "" || len(scratch.Push.Images[0].Floating) > 0 {
		t.Errorf("tags: %+v", scratch.Push.Images)
	}
	if last := scratch.Stages[len(scratch.Stages)-1]; last.Name != "import" || last.State != osbs.Skipped {
		t.Errorf("import: %+v", last)
	}
	if now := digestOf(t, i, "base", "1.0"); now != first.Push.Digest {
		t.Errorf("the tag was moved to %s", now)
	}
	if all := autorebuilds(list(t, i, osbs.Filter{})); len(all) > 0 {
		t.Errorf("rebuilt: %+v", all)
	}
}

// TestCloseLeavesRebuildsForLater: a process that is asked to end while it rebuilds something has not failed to rebuild it.
func TestCloseLeavesRebuildsForLater(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	i := open(t, conf)
	base := baseRepo(t, "base", "one")
	app := newRepo(t, "app", map[string]string{"Dockerfile": dockerfile("app", "base:1.0",
		`RUN ["/bin/busybox", "sh", "-c", "if busybox grep two /content; then busybox sleep 1000002; fi"]`)})
	mustBuild(t, i, base.request())
	config := mustBuild(t, i, app.request()).BuildConfig
	base.change(2, "two")
	if _, err := i.Create(t.Context(), base.request()); err != nil {
		t.Fatal(err)
	}
	var rebuilding string
	poll(t, "the rebuild", func() bool {
		for _, b := range list(t, i, osbs.Filter{BuildConfig: config, Running: true}) {
			rebuilding = b.Name
		}
		return rebuilding != "" && strings.Contains(logOf(t, i, rebuilding), "RUN [")
	})
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	app.commit(map[string]string{"Dockerfile": dockerfile("app", "base:1.0", "COPY Dockerfile /")})
	next := open(t, conf)
	if b := get(t, next, rebuilding); b.State != osbs.Cancelled || !strings.Contains(b.Failure.Message, "its process ends") {
		t.Errorf("the rebuild: %s %+v", b.State, b.Failure)
	}
	started, err := next.RebuildPending(t.Context())
	if err != nil || len(started) != 1 || started[0] == rebuilding {
		t.Fatalf("pending: %v, %v", started, err)
	}
	if err := next.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := get(t, next, started[0]); b.State != osbs.Complete {
		t.Errorf("the rebuild that follows: %s %+v", b.State, b.Failure)
	}
}
