// Package rebuild plans which images follow a change of their bases: who is stale and why, in which order they are built, and what
// may start now. It compares states, the digest that a build config was last built on and the one that the tag has now, so it does
// not matter whether anybody saw the change. It is pure: no clock, no server, no files.
package rebuild

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// Config is what the planner knows of a build config.
type Config struct {
	Name string
	// Bases are its triggers, each tag once.
	Bases []Base
	// Produces are the ImageStreamTags that its builds import.
	Produces []string
	Enabled  bool
	Paused   bool
	// LastBuild is the build that ended last if it did not succeed, and LastState how; empty if it succeeded or is not known. They
	// explain what the triggers say was tried when the build's own record is gone.
	LastBuild string
	LastState BuildState
	// TriedAt, if not zero, is when the autorebuild was created that tried what the bases say was tried: a tag that has moved since then
	// was not, even if it has moved back.
	TriedAt time.Time
}

// Base is one trigger of a build config.
type Base struct {
	// Tag is the ImageStreamTag, name:tag, or namespace/name:tag for another namespace.
	Tag    string
	Paused bool
	// Built is the digest that the newest image was built on, Tried that of the last build that got the lock.
	Built, Tried string
	// Manifest is the digest of the platform's manifest in the index Tried; a stream may name either.
	Manifest string
	// SeenAt, if not zero, is a moment before the last build read the base from its registry.
	SeenAt time.Time
}

// Tag is the state of one ImageStreamTag.
type Tag struct {
	Digest string
	// Since is when the tag got the digest, and Generation the stream's then; they tell A, B, A from A.
	Since      time.Time
	Generation int64
	// By is the build that moved it, if known.
	By string
}

// State is how things stand now, besides the build configs.
type State struct {
	// Tags by their names, as in Base.Tag.
	Tags map[string]Tag
	// Builds that run, and those that ended without success. Scratch and isolated builds are left out: they move no tag.
	Builds []Build
	// Budget bounds how many builds run at once; 0 means no bound.
	Budget int
	// Requests are the rebuilds that people have asked for and that have not begun, by build config.
	Requests map[string]buildconfig.Request
	// Postponed are names of builds that must not start yet, such as those that could not be asked for a moment ago. They are Queued,
	// and take nothing of the budget.
	Postponed map[string]bool
	// Overtaken are names of builds that succeeded, after which another put an image on older bases in their image's place. What they
	// were made for is to be done again, under another name.
	Overtaken map[string]bool
}

// Build is a build that runs or ended without success.
type Build struct {
	Config, Name string
	State        BuildState
	// Digests are those it was or is made from, by tag; nil means unknown.
	Digests map[string]string
	// Created, if not zero, tells a build of an earlier time when the tags meant the same.
	Created time.Time
	// Requested is when a person asked for it, zero if nobody has.
	Requested time.Time
}

// BuildState is how a build stands.
type BuildState string

// The states of builds.
const (
	BuildRunning BuildState = "running"
	BuildFailed  BuildState = "failed"
	// BuildSkipped: the repo config file switched autorebuilds off.
	BuildSkipped BuildState = "skipped"
	// BuildInterrupted: the machine or the process died; the build may be tried again.
	BuildInterrupted BuildState = "interrupted"
)

// Kind says why a build config is stale.
type Kind string

// The kinds of reasons.
const (
	// BaseMoved: the tag names another digest than the image was built on.
	BaseMoved Kind = "BaseMoved"
	// BaseRebuilt: a build config that produces the tag is about to be rebuilt, or runs, so the tag is about to move.
	BaseRebuilt Kind = "BaseRebuilt"
	// Requested: a person has asked for a rebuild, whether anything has moved or not. It comes before all other reasons.
	Requested Kind = "Requested"
)

// Reason is one reason to rebuild.
type Reason struct {
	Kind Kind `json:"kind"`
	// Base is the tag that has moved or is about to; empty for Requested.
	Base string `json:"base,omitempty"`
	// OldDigest is what the image was built on; NewDigest is empty when it is not known yet.
	OldDigest string `json:"oldDigest,omitempty"`
	NewDigest string `json:"newDigest,omitempty"`
	// CausedBy is the build that moved the base if it is known, else the build config that produces it; for Requested, the user.
	CausedBy string `json:"causedBy,omitempty"`
	// At is when the user asked; zero for all but Requested.
	At time.Time `json:"at,omitzero"`
}

// RequestedAt is when a person asked for what the reasons are for, zero if nobody has.
func RequestedAt(reasons []Reason) time.Time {
	for _, r := range reasons {
		if r.Kind == Requested {
			return r.At
		}
	}
	return time.Time{}
}

// Verdict says what becomes of a stale build config.
type Verdict string

// The verdicts.
const (
	// Ready: may start now.
	Ready Verdict = "ready"
	// Queued: would be ready, but the budget is spent, or the build is postponed.
	Queued Verdict = "queued"
	// Running: a build of it runs.
	Running Verdict = "running"
	// Waiting: something that it is built on is about to be rebuilt, or runs.
	Waiting Verdict = "waiting"
	// Failed: it was tried in this state and did not succeed; it is not tried again until something changes or a person asks.
	Failed Verdict = "failed"
	// ParentFailed: something that it is built on failed; it stays on the old base.
	ParentFailed Verdict = "parent-failed"
	// Skipped: its repo config file switched this autorebuild off.
	Skipped Verdict = "skipped"
	// Paused and Disabled: a person wants no autorebuild now, or ever.
	Paused   Verdict = "paused"
	Disabled Verdict = "disabled"
	// Cycle: it is stale only because of an image that is built on it.
	Cycle Verdict = "cycle"
)

// Item is one stale build config.
type Item struct {
	Config  string   `json:"config"`
	Verdict Verdict  `json:"verdict"`
	Reasons []Reason `json:"reasons,omitempty"`
	// Wave is 0 for what may run now, and one more than the highest wave of what it waits for.
	Wave int `json:"wave"`
	// HeldBy are the build configs, or for Failed, Skipped and Running the build, that explain the verdict.
	HeldBy []string `json:"heldBy,omitempty"`
	// Build is, for Ready and Queued, the name of the build to start, and Digests what to build it from, by tag.
	Build   string            `json:"build,omitempty"`
	Digests map[string]string `json:"digests,omitempty"`
}

// Plan is what follows from a State.
type Plan struct {
	// Items by wave, within one what people have asked for first, then by name.
	Items []Item `json:"items"`
	// Cycles are the groups of build configs that are built on each other, each by name. Changes are not followed around them.
	Cycles [][]string `json:"cycles,omitempty"`
}

// Start are the items that may start now.
func (p Plan) Start() []Item {
	var out []Item
	for _, item := range p.Items {
		if item.Verdict == Ready {
			out = append(out, item)
		}
	}
	return out
}

const (
	// maxBuildName is the longest name of a PipelineRun: it becomes the value of labels.
	maxBuildName = 63
	hashLength   = 9
)

// BuildName is the name of the build that a state of the bases asks for. The same state gives the same name, so that a second
// delivery of one change meets a build that exists already. attempt counts the builds of that state that were interrupted or overtaken.
func BuildName(config string, bases map[string]Tag, attempt int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d\n", config, attempt)
	for _, tag := range slices.Sorted(maps.Keys(bases)) {
		state := bases[tag]
		fmt.Fprintf(h, "%q %q %d %d\n", tag, state.Digest, state.Since.UnixNano(), state.Generation)
	}
	return name(config, h)
}

// RequestName is the name of the build that a person has asked for at that time: the same whatever the bases are when it is delivered, so
// that one request leads to one build. attempt counts the builds of that request that were interrupted.
func RequestName(config string, at time.Time, attempt int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %d\nrequested %d\n", config, attempt, at.UnixNano())
	return name(config, h)
}

// name is the config's, as far as there is room, and a hash.
func name(config string, h hash.Hash) string {
	digits := strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)))[:hashLength]
	return strings.TrimRight(config[:min(len(config), maxBuildName-hashLength-1)], "-.") + "-" + digits
}

// Pending is the request that is still to be answered, false if there is none, or if a build has begun for it: begun are the times of the
// requests that builds have begun for. They are only compared for being the same, since the clocks of people differ.
func Pending(requested *buildconfig.Request, begun []time.Time) (buildconfig.Request, bool) {
	if requested == nil || slices.ContainsFunc(begun, requested.Time.Equal) {
		return buildconfig.Request{}, false
	}
	return *requested, true
}

// FromBuildConfig is what the planner needs of a build config.
func FromBuildConfig(bc *buildconfig.BuildConfig) Config {
	c := Config{Name: bc.Name, Produces: bc.Produces(), Enabled: !bc.Disabled, Paused: bc.Paused}
	succeeded := bc.LastBuild != nil && (bc.LastBuild.Outcome == buildconfig.Succeeded || bc.LastBuild.Outcome == buildconfig.Unchanged)
	for _, t := range bc.Triggers {
		b := Base{
			Tag: t.ImageStreamTag, Paused: t.Paused, SeenAt: t.LastTriggerTime, Manifest: t.LastTriggeredManifest,
			Tried: buildconfig.Digest(t.LastTriggeredImage), Built: buildconfig.Digest(t.LastBuiltImage),
		}
		if t.Namespace != "" {
			b.Tag = t.Namespace + "/" + b.Tag
		}
		if b.Built == "" && succeeded {
			b.Built = b.Tried
		}
		c.Bases = append(c.Bases, b)
	}
	if bc.LastBuild != nil && !succeeded {
		c.LastBuild, c.LastState = bc.LastBuild.Name, BuildFailed
		if bc.LastBuild.Outcome == buildconfig.Skipped {
			c.LastState = BuildSkipped
		}
	}
	return c
}
