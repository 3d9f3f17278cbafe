package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

var update = golden.Flag()

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func printer(w io.Writer, color bool) *Printer {
	return New(w, Options{Color: color, Location: time.UTC, Now: func() time.Time { return began.Add(90 * time.Second) }})
}

func after(d time.Duration) *time.Time {
	t := began.Add(d)
	return &t
}

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func complete() osbs.Build {
	return osbs.Build{
		Name: "app-main-12345-abcdef", BuildConfig: "app-main-12345", State: osbs.Complete, Created: began, Started: after(0), Finished: after(12300 * time.Millisecond),
		Request: osbs.Request{GitURL: "https://git.example.com/app.git", GitBranch: "main", User: "me", Target: "f42", Scratch: false, BuildArgs: []string{"A=b"}},
		Commit:  strings.Repeat("c", 40), Digest: digest("d"), Size: 12_345_678,
		Stages: []osbs.StageStatus{
			{Name: "clone", State: osbs.Complete, Started: after(0), Finished: after(400 * time.Millisecond), Note: "main at cccccccccccc"},
			{Name: "build", State: osbs.Complete, Started: after(time.Second), Finished: after(10 * time.Second)},
			{Name: "sync", State: osbs.Skipped, Started: after(10 * time.Second), Finished: after(10 * time.Second), Note: "no target is configured"},
		},
		Bases: []workspace.Base{{Reference: "base:1.0", Digest: digest("b"), Stages: []string{"0"}}},
		Push: &workspace.Push{Images: []workspace.PushedImage{{Repository: "osbs.localhost/app", Unique: "f42-abcde-20260301120000", Primary: "1.0-1",
			Floating: []string{"1.0", "latest"}}}},
		Import: &workspace.Import{ImageStream: "app", Tags: []workspace.ImportedTag{
			{Tag: "1.0", Digest: digest("d")}, {Tag: "latest", OldDigest: digest("a"), Digest: digest("d")}, {Tag: "same", OldDigest: digest("d"), Digest: digest("d")}}},
		Sync: &workspace.Sync{Targets: []workspace.SyncedTarget{{Kind: "directory", Location: "/mnt/app.tar"}}},
	}
}

func rebuilt() osbs.Build {
	return osbs.Build{
		Name: "web-main-54321-xyz", BuildConfig: "web-main-54321", State: osbs.Failed, Created: began.Add(13 * time.Second), Started: after(13 * time.Second),
		Finished: after(20 * time.Second), Autorebuild: true, CausedBy: "app-main-12345-abcdef",
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "app:latest", OldDigest: digest("a"), NewDigest: digest("d"), CausedBy: "app-main-12345-abcdef"}},
		Request: osbs.Request{GitURL: "https://git.example.com/web.git", GitBranch: "main", User: "me"},
		Stages:  []osbs.StageStatus{{Name: "build", State: osbs.Failed, Started: after(14 * time.Second), Finished: after(20 * time.Second)}},
		Bump:    &workspace.Bump{OldRelease: "1", NewRelease: "2", Where: "LABEL release"},
		Failure: &osbs.Failure{Stage: "build", Kind: failure.BuildFailed, Message: "RUN false: exit status 1\nhint: \x1b[2Jlook"},
	}
}

func TestBuild(t *testing.T) {
	var out bytes.Buffer
	p := printer(&out, false)
	p.Build(complete())
	fmt.Fprintln(&out)
	p.Build(rebuilt())
	golden.Check(t, *update, filepath.Join("testdata", "build.txt"), out.String())
}

func TestBuilds(t *testing.T) {
	var out bytes.Buffer
	p := printer(&out, false)
	running := osbs.Build{Name: "r", State: osbs.Running, Created: began, Started: after(0), Request: osbs.Request{User: "u"}}
	scratch := complete()
	scratch.Push.Images[0].Primary = ""
	builds := []osbs.Build{rebuilt(), complete(), running, scratch, {Name: "auto", Autorebuild: true, State: osbs.New, Created: began}}
	if err := p.Builds(builds, nil); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out)
	if err := p.Builds(builds, Columns()); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, *update, filepath.Join("testdata", "builds.txt"), out.String())
	if err := p.Builds(nil, []string{"x"}); failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), "columns are: name, state") {
		t.Errorf("unknown column: %v", err)
	}
}

func TestBuildConfigs(t *testing.T) {
	var out bytes.Buffer
	printer(&out, false).BuildConfigs([]buildconfig.BuildConfig{
		{Name: "app-main-12345", GitURL: "https://git.example.com/app.git", GitBranch: "main", ImageStream: "app",
			Triggers:  []buildconfig.Trigger{{ImageStreamTag: "base:1.0"}, {ImageStreamTag: "go:latest"}},
			LastBuild: &buildconfig.LastBuild{Outcome: buildconfig.Succeeded, Ended: began}, Paused: true},
		{Name: "new", Disabled: true},
	})
	golden.Check(t, *update, filepath.Join("testdata", "buildconfigs.txt"), out.String())
}

func plan() *osbs.Plan {
	return &osbs.Plan{
		BuildConfig: "app-main-12345",
		Bases: []workspace.Base{
			{Stages: []string{"build", "2"}, Reference: "go:1", Resolved: "osbs.localhost/go:1", Digest: digest("a"), ManifestDigest: digest("b"), ImageStreamTag: "go:1", Env: []string{"A=b"}},
			{Stages: []string{"3"}, Reference: "base@" + digest("c"), Resolved: "osbs.localhost/base@" + digest("c"), Digest: digest("c"), ManifestDigest: digest("c"), Parent: true},
		},
		Tags:       osbs.Tags{Unique: "none-abcde-20260301120000", Primary: "1.0-1", Floating: []string{"1.0", "latest"}},
		Dependents: []osbs.Dependent{{BuildConfig: "web", Wave: 1, On: []string{"app:latest"}}, {BuildConfig: "shop", Wave: 2, On: []string{"web:1", "app:1.0"}}},
	}
}

func TestPlan(t *testing.T) {
	var out bytes.Buffer
	p := printer(&out, false)
	p.Plan(plan())
	fmt.Fprintln(&out)
	p.Plan(&osbs.Plan{BuildConfig: "scratch", Tags: osbs.Tags{Unique: "none-abcde-20260301120000"}})
	golden.Check(t, *update, filepath.Join("testdata", "plan.txt"), out.String())
}

// TestPlanJSON holds the words that programs read: those of the first issue that asked for a dry run.
func TestPlanJSON(t *testing.T) {
	var out bytes.Buffer
	if err := JSON(&out, NewPlanDocument(plan())); err != nil {
		t.Fatal(err)
	}
	golden.Check(t, *update, filepath.Join("testdata", "plan.json"), out.String())
	out.Reset()
	if err := JSON(&out, NewPlanDocument(&osbs.Plan{BuildConfig: "x"})); err != nil {
		t.Fatal(err)
	}
	var empty struct {
		Bases, Dependents []any
		Tags              struct{ Floating []any }
	}
	if err := json.Unmarshal(out.Bytes(), &empty); err != nil {
		t.Fatal(err)
	}
	if empty.Bases == nil || empty.Dependents == nil || empty.Tags.Floating == nil {
		t.Errorf("a list is null: %s", out.String())
	}
}

const log = `== clone (12:00:00)
cloning
warning: shallow
== lock (12:00:01)
waiting for x
== build (12:00:02)
STEP 1/2: FROM base
error: not the end
STEP 2/2: RUN evil` + "\x1b[2J\n" + `== nonsense (12:00:03)
== push (12:00:04)
pushing
error: build failed and so on
`

func TestFollow(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines LogLines
		color bool
	}{{"follow-build.txt", BuildLines, false}, {"follow-all.txt", AllLines, false}, {"follow-none.txt", NoLines, true}, {"follow-quiet.txt", Quiet, false}} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			p := printer(&out, c.color)
			f := NewFollower(p, "app-main-12345-abcdef", c.lines, func(w io.Writer) error {
				_, err := io.WriteString(w, log)
				return err
			})
			b := complete()
			b.State, b.Stages, b.Finished, b.Push, b.Import, b.Sync = osbs.Failed, b.Stages[:2], after(3*time.Second), nil, nil, nil
			b.Failure = &osbs.Failure{Stage: "build", Kind: failure.BuildFailed, Message: "build failed\nhint: no"}
			first := b
			first.State, first.Stages, first.Failure = osbs.New, nil, nil
			f.Show(first)
			if _, err := io.WriteString(f.Log(), log[:30]); err != nil {
				t.Fatal(err)
			}
			f.Show(b)
			f.Show(b)
			if _, err := io.WriteString(f.Log(), log); err != nil {
				t.Fatal(err)
			}
			r := rebuilt()
			f.Show(r)
			golden.Check(t, *update, filepath.Join("testdata", c.name), out.String())
		})
	}
}

// FuzzFollow cuts the log at random places, as files are read.
func FuzzFollow(f *testing.F) {
	f.Add(log, uint(3), uint(50))
	f.Add("== build (00:00:00)\nno end", uint(1), uint(2))
	f.Fuzz(func(t *testing.T, text string, a, b uint) {
		if len(text) == 0 || len(text) > 2000 {
			return
		}
		var at int
		var out bytes.Buffer
		fo := NewFollower(printer(&out, false), "x", AllLines, func(w io.Writer) error {
			_, err := io.WriteString(w, text[:at])
			return err
		})
		w := fo.Log()
		begun, step := osbs.Build{Name: "x", Stages: []osbs.StageStatus{{Name: "clone", State: osbs.Complete}}}, int(a%97)+1
		for written := 0; written < len(text); {
			at = min(len(text), written+int(b%31))
			begun.Stages = append(begun.Stages, osbs.StageStatus{Name: "build", State: osbs.Complete})
			fo.Show(begun)
			n := min(step, len(text)-written)
			if _, err := io.WriteString(w, text[written:written+n]); err != nil {
				t.Fatal(err)
			}
			written += n
		}
		at = len(text)
		begun.State = osbs.Complete
		fo.Show(begun)
		var got []string
		for line := range strings.SplitSeq(out.String(), "\n") {
			if rest, ok := strings.CutPrefix(line, "  | "); ok {
				got = append(got, rest)
			}
		}
		var want []string
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			want = append(want, logline.Clean(line))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("lines differ (-want +got):\n%s", diff)
		}
		if strings.ContainsAny(out.String(), "\x1b\x07\u009b") {
			t.Error("a control character came through")
		}
	})
}

func TestEvent(t *testing.T) {
	var out bytes.Buffer
	p := printer(&out, false)
	p.Event(osbs.Event{Build: complete(), Stage: "clone"})
	p.Event(osbs.Event{Build: complete()})
	p.Event(osbs.Event{Build: rebuilt()})
	n := rebuilt()
	n.State, n.Failure = osbs.New, nil
	p.Event(osbs.Event{Build: n})
	golden.Check(t, *update, filepath.Join("testdata", "events.txt"), out.String())
}

func TestReason(t *testing.T) {
	for want, r := range map[string]rebuild.Reason{
		"a:1 is now sha256:bbbbbbbbbbbb":                                     {Kind: rebuild.BaseMoved, Base: "a:1", NewDigest: digest("b")},
		"a:1 is about to be rebuilt by x":                                    {Kind: rebuild.BaseRebuilt, Base: "a:1", CausedBy: "x"},
		"a:1 moved from sha256:aaaaaaaaaaaa to sha256:bbbbbbbbbbbb by build": {Kind: rebuild.BaseMoved, Base: "a:1", OldDigest: digest("a"), NewDigest: digest("b"), CausedBy: "build"},
	} {
		if got := Reason(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSpent(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0.0s": -time.Second, "0.4s": 410 * time.Millisecond, "59.9s": 59900 * time.Millisecond, "1m00s": 59960 * time.Millisecond, "2m05s": 125 * time.Second,
		"59m59s": time.Hour - time.Second, "1h00m": time.Hour - 400*time.Millisecond, "26h03m": 26*time.Hour + 3*time.Minute,
	} {
		if got := Spent(d); got != want {
			t.Errorf("Spent(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	l := &Lines{}
	fmt.Fprint(l, "a\nb\x1b\nc")
	if diff := cmp.Diff([]string{"a", "b?", "c"}, l.All()); diff != "" {
		t.Error(diff)
	}
	if (&Lines{}).All() == nil {
		t.Error("null")
	}
}

func TestCleanWriter(t *testing.T) {
	var out bytes.Buffer
	w := CleanWriter(&out)
	fmt.Fprint(w, "a\x1b[1m")
	fmt.Fprint(w, "b\r\nc")
	fmt.Fprint(w, "d\n")
	if got := out.String(); got != "a?[1mb\ncd\n" {
		t.Errorf("got %q", got)
	}
}
