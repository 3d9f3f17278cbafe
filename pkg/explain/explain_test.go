package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

var update = golden.Flag()

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func digest(n int) string { return "sha256:" + strings.Repeat(strconv.Itoa(n%10), 64) }

// source is a site in memory: build configs on bases, what the tags are, and builds.
type source struct {
	outlook osbs.Outlook
	builds  []osbs.Build
	fails   error
}

func (s *source) Outlook(context.Context) (*osbs.Outlook, error) { return &s.outlook, nil }

func (s *source) Get(_ context.Context, name string) (*osbs.Build, error) {
	if s.fails != nil {
		return nil, s.fails
	}
	for _, b := range s.builds {
		if b.Name == name {
			return &b, nil
		}
	}
	return nil, failure.New(failure.NotFound, "there is no build %q", name)
}

func (s *source) List(_ context.Context, f osbs.Filter) ([]osbs.Build, error) {
	var out []osbs.Build
	for _, b := range s.builds {
		if b.BuildConfig == f.BuildConfig {
			out = append(out, b)
		}
	}
	return out, nil
}

func newSource() *source {
	return &source{outlook: osbs.Outlook{Images: map[string]osbs.Image{}, State: rebuild.State{Tags: map[string]rebuild.Tag{}, Requests: map[string]buildconfig.Request{}}}}
}

// config is one that produces name:latest, built on digest 1 of each base by the build name-1.
func (s *source) config(name string, bases ...string) *buildconfig.BuildConfig {
	bc := &buildconfig.BuildConfig{
		Name: name, ImageStream: name, Tags: []string{"latest"},
		LastBuild: &buildconfig.LastBuild{Name: name + "-1", Outcome: buildconfig.Succeeded, Ended: noon.Add(-time.Hour)},
	}
	for _, base := range bases {
		image := "r/" + base + "@" + digest(1)
		bc.Triggers = append(bc.Triggers, buildconfig.Trigger{ImageStreamTag: base + ":latest", LastTriggeredImage: image, LastBuiltImage: image})
	}
	return bc
}

func (s *source) add(configs ...*buildconfig.BuildConfig) *source {
	for _, bc := range configs {
		s.outlook.Configs = append(s.outlook.Configs, rebuild.FromBuildConfig(bc))
		s.outlook.Images[bc.Name] = osbs.Image{BuildConfig: bc}
	}
	return s
}

// tag says what name:latest is, and which build did it.
func (s *source) tag(name string, n int, by string) *source {
	s.outlook.State.Tags[name+":latest"] = rebuild.Tag{Digest: digest(n), Since: noon, By: by}
	return s
}

func (s *source) build(name, config, user string, state osbs.State, reasons ...rebuild.Reason) *source {
	b := osbs.Build{Name: name, BuildConfig: config, State: state, Created: noon.Add(-2 * time.Hour), Reasons: reasons, Autorebuild: user == ""}
	b.Request.User = user
	if state == osbs.Failed {
		b.Failure = &osbs.Failure{Stage: "build", Kind: failure.BuildFailed, Message: "RUN false: exit status 1\nmore of it"}
	}
	s.builds = append(s.builds, b)
	return s
}

func moved(base string, n int, by string) rebuild.Reason {
	return rebuild.Reason{Kind: rebuild.BaseMoved, Base: base + ":latest", OldDigest: digest(n - 1), NewDigest: digest(n), CausedBy: by}
}

// chain is base, which somebody builds, app on it, and top on app.
func chain() *source {
	s := newSource()
	return s.add(s.config("base"), s.config("app", "base"), s.config("top", "app")).tag("base", 1, "base-1").tag("app", 1, "app-1").tag("top", 1, "top-1").
		build("base-1", "base", "anne", osbs.Complete).build("app-1", "app", "", osbs.Complete, moved("base", 1, "base-1")).
		build("top-1", "top", "", osbs.Complete, moved("app", 1, "app-1"))
}

// with changes a build config of a source.
func (s *source) with(name string, change func(*buildconfig.BuildConfig)) *source {
	bc := s.outlook.Images[name].BuildConfig
	change(bc)
	for i, c := range s.outlook.Configs {
		if c.Name == name {
			s.outlook.Configs[i] = rebuild.FromBuildConfig(bc)
		}
	}
	return s
}

func failedOn(n int) func(*buildconfig.BuildConfig) {
	return func(bc *buildconfig.BuildConfig) {
		bc.Triggers[0].LastTriggeredImage = "r/x@" + digest(n)
		bc.LastBuild = &buildconfig.LastBuild{Name: bc.Name + "-2", Outcome: buildconfig.Failed, Ended: noon, Message: "RUN false: exit status 1"}
	}
}

func cases() map[string]struct {
	source   *source
	argument string
} {
	type question = struct {
		source   *source
		argument string
	}
	pausedAll := chain().tag("base", 2, "")
	pausedAll.outlook.Paused = &osbs.Pause{Since: noon, By: "anne"}
	pausedAll.outlook.Unwatched = true
	queued := chain().tag("base", 2, "base-2")
	queued.outlook.State.Budget = 1
	queued.outlook.State.Builds = []rebuild.Build{{Config: "other", Name: "other-1", State: rebuild.BuildRunning}}
	running := chain().tag("base", 2, "base-2").build("base-2", "base", "bob", osbs.Complete).build("app-2", "app", "", osbs.Running, moved("base", 2, "base-2"))
	running.outlook.State.Builds = []rebuild.Build{{Config: "app", Name: "app-2", State: rebuild.BuildRunning}}
	malformed := chain()
	malformed.outlook.Images["broken"] = osbs.Image{Malformed: "build config broken: annotation image.openshift.io/triggers: unexpected end"}
	diamond := chain()
	diamond.add(diamond.config("side", "base"), diamond.config("bottom", "app", "side")).tag("side", 1, "side-1").
		build("side-1", "side", "", osbs.Complete, moved("base", 1, "base-1")).
		build("bottom-1", "bottom", "", osbs.Complete, moved("app", 1, "app-1"), moved("side", 1, "side-1"))
	cycle := newSource()
	cycle.add(cycle.config("left", "right"), cycle.config("right", "left")).tag("left", 1, "").tag("right", 2, "")
	asked := chain()
	asked.outlook.State.Requests["base"] = buildconfig.Request{Time: noon, User: "dora"}
	unread := chain()
	unread.outlook.Unread = []string{"listing ImageStreams in namespace shared: forbidden"}
	return map[string]question{
		"up-to-date":         {chain(), "app"},
		"up-to-date-by-tag":  {chain(), "top:latest"},
		"no-trigger":         {chain(), "base"},
		"never-built":        {chain().with("app", func(bc *buildconfig.BuildConfig) { bc.ImageStream, bc.Tags, bc.LastBuild = "", nil, nil }), "app"},
		"waiting":            {chain().tag("base", 2, "base-2").build("base-2", "base", "bob", osbs.Complete), "top"},
		"ready-from-outside": {newSource().tag("base", 2, "").addApp(), "app"},
		"queued":             {queued, "app"},
		"running":            {running, "top"},
		"failed":             {chain().tag("base", 2, "base-2").with("app", failedOn(2)).build("app-2", "app", "", osbs.Failed, moved("base", 2, "base-2")), "app"},
		"failed-record-gone": {chain().tag("base", 2, "base-2").with("app", failedOn(2)), "app"},
		"parent-failed":      {chain().tag("base", 2, "base-2").with("app", failedOn(2)), "top"},
		"last-build-failed":  {chain().with("app", failedOn(1)).with("app", func(bc *buildconfig.BuildConfig) { bc.Triggers[0].LastBuiltImage = "r/x@" + digest(1) }), "app"},
		"skipped": {chain().tag("base", 2, "").with("app", failedOn(2)).with("app", func(bc *buildconfig.BuildConfig) {
			bc.LastBuild.Outcome, bc.LastBuild.Message = buildconfig.Skipped, "autorebuild is off in .osbs-repo-config"
		}), "app"},
		"unchanged":           {chain().with("app", func(bc *buildconfig.BuildConfig) { bc.LastBuild.Outcome = buildconfig.Unchanged }), "app"},
		"paused":              {chain().tag("base", 2, "").with("app", func(bc *buildconfig.BuildConfig) { bc.Paused = true }), "app"},
		"paused-up-to-date":   {chain().with("app", func(bc *buildconfig.BuildConfig) { bc.Paused = true }), "app"},
		"disabled":            {chain().tag("base", 2, "").with("app", func(bc *buildconfig.BuildConfig) { bc.Disabled = true }), "app"},
		"disabled-up-to-date": {chain().with("app", func(bc *buildconfig.BuildConfig) { bc.Disabled = true }), "app"},
		"all-paused":          {pausedAll, "app"},
		"trigger-paused":      {chain().with("app", func(bc *buildconfig.BuildConfig) { bc.Triggers[0].Paused = true }), "app"},
		"no-stream":           {newSource().addApp(), "app"},
		"malformed":           {malformed, "broken"},
		"cycle":               {cycle, "left"},
		"only-base":           {newSource().tag("base", 2, "").addApp(), "base:latest"},
		"asked":               {asked, "top"},
		"unread":              {unread, "base"},
		"build-chain":         {chain(), "top-1"},
		"build-diamond":       {diamond, "bottom-1"},
		"build-of-a-person":   {chain(), "base-1"},
		"build-asked":         {chain().build("app-9", "app", "", osbs.Failed, rebuild.Reason{Kind: rebuild.Requested, CausedBy: "dora", At: noon}, moved("base", 2, "")), "app-9"},
		"build-cause-is-gone": {chain().build("app-9", "app", "", osbs.Complete, moved("base", 2, "base-7")), "app-9"},
		"build-cause-config":  {chain().build("app-9", "app", "", osbs.Complete, moved("base", 1, "base")), "app-9"},
		"build-no-reasons":    {chain().build("app-9", "app", "", osbs.Complete), "app-9"},
		"only-scratch":        {chain().build("thrown-main-1-abc", "thrown-main-1", "anne", osbs.Failed), "thrown-main-1"},
	}
}

// addApp is app on base, without base's build config.
func (s *source) addApp() *source { return s.add(s.config("app", "base")) }

func TestExplain(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			got, err := Explain(t.Context(), c.source, c.argument)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(got, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, *update, filepath.Join("testdata", name+".json"), string(text)+"\n")
		})
	}
}

func TestErrors(t *testing.T) {
	if _, err := Explain(t.Context(), chain(), "ap"); failure.KindOf(err) != failure.NotFound {
		t.Errorf("unknown: %v", err)
	}
	down := chain()
	down.fails = failure.New(failure.Unavailable, "the API server is down")
	for _, argument := range []string{"app", "app-1"} {
		if _, err := Explain(t.Context(), down, argument); !errors.Is(err, down.fails) {
			t.Errorf("%s: %v", argument, err)
		}
	}
}

// However many images wait for each other, an answer has an end.
func TestLongAnswersAreCut(t *testing.T) {
	s := newSource().tag("root", 2, "")
	before := "root"
	for i := range 500 {
		name := fmt.Sprintf("img%03d", i)
		s.add(s.config(name, before)).tag(name, 1, name+"-1")
		before = name
	}
	got, err := Explain(t.Context(), s, before)
	if err != nil || len(got.Facts) != maxFacts+1 || got.Facts[maxFacts].Kind != More {
		t.Errorf("%d facts, %v", len(got.Facts), err)
	}
}
