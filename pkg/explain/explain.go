// Package explain says why a build was made, down to the root cause, and why an image is rebuilt now or is not. It finds facts; package
// report has the sentences.
package explain

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/subject"
)

// Explanation is the answer to one question.
type Explanation struct {
	// Build, BuildConfig and Image are what was asked about: a build, or an image and who builds it. What does not apply is empty.
	Build       string `json:"build,omitempty"`
	BuildConfig string `json:"buildConfig,omitempty"`
	Image       string `json:"image,omitempty"`
	// Facts begin with the answer and end with the root cause. Each thing is explained once.
	Facts []Fact `json:"facts"`
	// Unread says what could not be read, each with its reason: something may be missing.
	Unread []string `json:"unread,omitempty"`
}

// Kind says what a Fact is about.
type Kind string

// The kinds of facts about a build config, besides the verdicts of package rebuild: those are kinds of their own names.
const (
	// UpToDate: it is built on what its bases are now.
	UpToDate Kind = "up-to-date"
	// NoTrigger: nothing that it is built on can change, such as FROM scratch or a base that is given by its digest.
	NoTrigger Kind = "no-trigger"
	// NeverBuilt: no build of it has succeeded yet.
	NeverBuilt Kind = "never-built"
	// Malformed: its ConfigMap cannot be read.
	Malformed Kind = "malformed"
	// NoBuildConfig: only scratch or isolated builds, or builds that never got the lock, have its name.
	NoBuildConfig Kind = "no-build-config"
	// PausedByPerson and DisabledByPerson: a person wants no autorebuilds, now or ever; nothing is due, either.
	PausedByPerson   Kind = "paused-by-person"
	DisabledByPerson Kind = "disabled-by-person"
	// LastBuildFailed: its last build did not succeed, though nothing is due because of that.
	LastBuildFailed Kind = "last-build-failed"
	// Unchanged: its last autorebuild had the same content as the image before it, so that nothing was moved.
	Unchanged Kind = "unchanged"
	// TriggerPaused: changes of a base are not followed, because a person has paused that trigger.
	TriggerPaused Kind = "trigger-paused"
	// NoStream: no ImageStream has a base, so that its changes are not seen.
	NoStream Kind = "no-stream"
)

// The kinds of facts about the rest.
const (
	// AllPaused: no build may begin.
	AllPaused Kind = "all-paused"
	// Unwatched: nobody is there who starts what is due.
	Unwatched Kind = "unwatched"
	// OnlyBase: no build config builds the image; it is a base of others.
	OnlyBase Kind = "only-base"
	// AskedBuild: a person built it. Requested: a person asked for the rebuild. Rebuilt: its bases moved.
	AskedBuild Kind = "asked-build"
	Requested  Kind = "requested"
	Rebuilt    Kind = "rebuilt"
	// BuildGone: the build is not kept any more, so that nothing is known of it.
	BuildGone Kind = "build-gone"
	// MovedFromOutside: no build here moved the tag; somebody pushed or imported it. MovedByConfig: a build of the build config did, but
	// it is not known which.
	MovedFromOutside Kind = "moved-from-outside"
	MovedByConfig    Kind = "moved-by-config"
	// More: there is more than is said here.
	More Kind = "more"
)

// Fact is one of the facts of an answer. What does not apply is empty.
type Fact struct {
	Kind        Kind   `json:"kind"`
	BuildConfig string `json:"buildConfig,omitempty"`
	// Build is the build that the fact is about, or that explains it; State is that build's.
	Build string     `json:"build,omitempty"`
	State osbs.State `json:"state,omitempty"`
	// Tag is the ImageStreamTag that the fact is about, and Digest what it names.
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	// User is who did it.
	User string `json:"user,omitempty"`
	// At is when it happened.
	At *time.Time `json:"at,omitempty"`
	// Verdict, Reasons and HeldBy are the planner's, where it has something to say.
	Verdict rebuild.Verdict  `json:"verdict,omitempty"`
	Reasons []rebuild.Reason `json:"reasons,omitempty"`
	HeldBy  []string         `json:"heldBy,omitempty"`
	// Bases are what an image is built on.
	Bases []Base `json:"bases,omitempty"`
	// Names are others that belong to it: the members of a cycle, or who is built on a base.
	Names []string `json:"names,omitempty"`
	// Running is how many builds run, and Bound how many may.
	Running int `json:"running,omitempty"`
	Bound   int `json:"bound,omitempty"`
	// Message is what a build said at its end.
	Message string `json:"message,omitempty"`
}

// Base is something that an image is built on.
type Base struct {
	Tag string `json:"tag"`
	// Built is what the image was built on, Now what the tag names, since Since; empty if no ImageStream has it.
	Built string     `json:"built,omitempty"`
	Now   string     `json:"now,omitempty"`
	Since *time.Time `json:"since,omitempty"`
}

// Source is where builds are read from: an osbs.Instance.
type Source interface {
	Outlook(ctx context.Context) (*osbs.Outlook, error)
	Get(ctx context.Context, name string) (*osbs.Build, error)
	List(ctx context.Context, f osbs.Filter) ([]osbs.Build, error)
}

// maxFacts bounds an answer.
const maxFacts = 200

// Explain answers the question about what the argument names: an image or its build config (see package subject), or a build.
func Explain(ctx context.Context, s Source, argument string) (*Explanation, error) {
	o, err := s.Outlook(ctx)
	if err != nil {
		return nil, err
	}
	e := &explainer{ctx: ctx, source: s, outlook: o, items: map[string]rebuild.Item{}, told: map[string]bool{}, out: &Explanation{Facts: []Fact{}, Unread: o.Unread}}
	e.plan = rebuild.New(o.Configs, o.State)
	for _, item := range e.plan.Items {
		e.items[item.Config] = item
	}
	found, err := subject.Find(o, argument)
	switch {
	case err == nil && found.BuildConfig != "":
		e.out.BuildConfig, e.out.Image = found.BuildConfig, found.Tag
		e.config(found.BuildConfig)
		e.begin()
	case err == nil:
		e.out.Image = found.Tag
		e.base(found.Tag)
	case failure.KindOf(err) == failure.NotFound:
		err = e.other(argument, err)
	}
	if err != nil {
		return nil, err
	}
	return e.out, e.failed
}

// explainer makes one answer.
type explainer struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call
	source  Source
	outlook *osbs.Outlook
	plan    rebuild.Plan
	items   map[string]rebuild.Item
	// told are the builds and build configs that have been explained.
	told   map[string]bool
	out    *Explanation
	failed error
}

// say adds a fact, if there is room.
func (e *explainer) say(f Fact) {
	switch n := len(e.out.Facts); {
	case n < maxFacts:
		e.out.Facts = append(e.out.Facts, f)
	case n == maxFacts:
		e.out.Facts = append(e.out.Facts, Fact{Kind: More})
	}
}

// first says whether something is explained for the first time, and there is room for it.
func (e *explainer) first(what, name string) bool {
	key := what + " " + name
	if name == "" || e.told[key] || len(e.out.Facts) > maxFacts {
		return false
	}
	e.told[key] = true
	return true
}

// other is for an argument that is no image: a build, or a name that only builds have which leave no build config.
func (e *explainer) other(argument string, unknown error) error {
	b, err := e.source.Get(e.ctx, argument)
	if err == nil {
		e.out.Build, e.out.BuildConfig = b.Name, b.BuildConfig
		e.build(b.Name)
		return nil
	}
	if failure.KindOf(err) != failure.NotFound {
		return err
	}
	builds, err := e.source.List(e.ctx, osbs.Filter{BuildConfig: argument, Limit: 1})
	if err != nil {
		return err
	}
	if len(builds) == 0 {
		return failure.WithHint(failure.New(failure.NotFound, "there is no build, no build config and no image %q", argument), "%s", hintOf(unknown))
	}
	e.out.BuildConfig = argument
	e.say(Fact{Kind: NoBuildConfig, BuildConfig: argument, Build: builds[0].Name, State: builds[0].State, Message: messageOf(builds[0])})
	return nil
}

// hintOf is the hint of an error of package subject.
func hintOf(err error) string {
	_, hint, _ := strings.Cut(err.Error(), "hint: ")
	return hint
}

// build explains why a build was made, and then what moved its bases.
func (e *explainer) build(name string) {
	if !e.first("build", name) {
		return
	}
	b, err := e.source.Get(e.ctx, name)
	switch {
	case failure.KindOf(err) == failure.NotFound:
		e.say(Fact{Kind: BuildGone, Build: name})
		return
	case err != nil:
		e.failed = err
		return
	}
	f := Fact{Kind: Rebuilt, Build: b.Name, BuildConfig: b.BuildConfig, State: b.State, At: instant(b.Created), Reasons: b.Reasons, Message: messageOf(*b)}
	switch at := rebuild.RequestedAt(b.Reasons); {
	case !at.IsZero():
		f.Kind, f.At = Requested, instant(at)
		f.User = b.Reasons[slices.IndexFunc(b.Reasons, func(r rebuild.Reason) bool { return r.Kind == rebuild.Requested })].CausedBy
	case !b.Autorebuild:
		f.Kind, f.User = AskedBuild, b.Request.User
	}
	e.say(f)
	e.causes(b.Reasons)
}

func messageOf(b osbs.Build) string {
	if b.Failure == nil {
		return ""
	}
	line, _, _ := strings.Cut(b.Failure.Message, "\n")
	return line
}

// causes explains what moved the bases, and who moved those, down to the root.
func (e *explainer) causes(reasons []rebuild.Reason) {
	for _, r := range reasons {
		switch {
		case r.Kind == rebuild.Requested:
		case r.Kind == rebuild.BaseRebuilt:
			e.config(r.CausedBy)
		case r.CausedBy == "":
			e.outside(r.Base, r.NewDigest)
		case e.isConfig(r.CausedBy):
			if e.first("moved", r.Base+r.NewDigest) {
				e.say(Fact{Kind: MovedByConfig, Tag: r.Base, Digest: r.NewDigest, BuildConfig: r.CausedBy, At: e.since(r.Base, r.NewDigest)})
			}
		default:
			e.build(r.CausedBy)
		}
	}
}

func (e *explainer) isConfig(name string) bool {
	_, known := e.outlook.Images[name]
	return known
}

// outside says that nobody here moved a tag.
func (e *explainer) outside(tag, digest string) {
	if e.first("moved", tag+digest) {
		e.say(Fact{Kind: MovedFromOutside, Tag: tag, Digest: digest, At: e.since(tag, digest)})
	}
}

// since is when the tag got the digest, if it has it now.
func (e *explainer) since(tag, digest string) *time.Time {
	if now, known := e.outlook.State.Tags[tag]; known && now.Digest == digest {
		return instant(now.Since)
	}
	return nil
}

// base explains an image that nobody here builds.
func (e *explainer) base(tag string) {
	now := e.outlook.State.Tags[tag]
	f := Fact{Kind: OnlyBase, Tag: tag, Digest: now.Digest, At: instant(now.Since)}
	for _, c := range e.outlook.Configs {
		if slices.ContainsFunc(c.Bases, func(b rebuild.Base) bool { return b.Tag == tag }) {
			f.Names = append(f.Names, c.Name)
		}
	}
	slices.Sort(f.Names)
	e.say(f)
}

// begin adds what keeps everything from beginning, if something could.
func (e *explainer) begin() {
	waits := slices.ContainsFunc(e.out.Facts, func(f Fact) bool {
		return f.Verdict == rebuild.Ready || f.Verdict == rebuild.Queued || f.Verdict == rebuild.Waiting
	})
	if p := e.outlook.Paused; p != nil {
		e.say(Fact{Kind: AllPaused, At: instant(p.Since), User: p.By})
	}
	if e.outlook.Unwatched && waits {
		e.say(Fact{Kind: Unwatched})
	}
}

// instant is nil for a time that is not known.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// config explains why a build config is rebuilt now, or is not.
func (e *explainer) config(name string) {
	if !e.first("config", name) {
		return
	}
	image := e.outlook.Images[name]
	if image.BuildConfig == nil {
		e.say(Fact{Kind: Malformed, BuildConfig: name, Message: image.Malformed})
		return
	}
	if item, stale := e.items[name]; stale {
		e.stale(item, image.BuildConfig)
		return
	}
	e.settled(name, image.BuildConfig)
}

// stale explains what the planner says of a build config.
func (e *explainer) stale(item rebuild.Item, bc *buildconfig.BuildConfig) {
	f := Fact{Kind: Kind(item.Verdict), BuildConfig: item.Config, Verdict: item.Verdict, Reasons: item.Reasons, HeldBy: item.HeldBy}
	switch item.Verdict {
	case rebuild.Running:
		f.Build, f.HeldBy = item.HeldBy[0], nil
		e.say(f)
		e.build(f.Build)
		return
	case rebuild.Failed, rebuild.Skipped:
		e.ended(&f, bc)
	case rebuild.Queued:
		f.Running, f.Bound = e.busy(), e.outlook.State.Budget
	case rebuild.Cycle:
		for _, cycle := range e.plan.Cycles {
			if slices.Contains(cycle, item.Config) {
				f.Names = cycle
			}
		}
	case rebuild.Ready, rebuild.Waiting, rebuild.ParentFailed, rebuild.Paused, rebuild.Disabled:
	}
	e.say(f)
	if item.Verdict == rebuild.Waiting || item.Verdict == rebuild.ParentFailed {
		for _, parent := range item.HeldBy {
			e.config(parent)
		}
	}
	e.causes(item.Reasons)
}

// ended fills in what is known of the build that was tried last.
func (e *explainer) ended(f *Fact, bc *buildconfig.BuildConfig) {
	if len(f.HeldBy) > 0 {
		f.Build, f.HeldBy = f.HeldBy[0], nil
	}
	if last := bc.LastBuild; last != nil && (f.Build == "" || last.Name == f.Build) {
		f.Build, f.Message, f.At = last.Name, last.Message, instant(last.Ended)
	}
	if f.Build == "" {
		return
	}
	b, err := e.source.Get(e.ctx, f.Build)
	if err != nil {
		if failure.KindOf(err) != failure.NotFound {
			e.failed = err
		}
		return
	}
	f.State = b.State
	if message := messageOf(*b); message != "" {
		f.Message = message
	}
	if b.Finished != nil {
		f.At = b.Finished
	}
}

func (e *explainer) busy() int {
	n := 0
	for _, b := range e.outlook.State.Builds {
		if b.State == rebuild.BuildRunning {
			n++
		}
	}
	return n
}

// settled explains a build config of which nothing is due.
func (e *explainer) settled(name string, bc *buildconfig.BuildConfig) {
	config := e.outlook.Configs[slices.IndexFunc(e.outlook.Configs, func(c rebuild.Config) bool { return c.Name == name })]
	f := Fact{Kind: UpToDate, BuildConfig: name}
	for _, b := range config.Bases {
		now := e.outlook.State.Tags[b.Tag]
		f.Bases = append(f.Bases, Base{Tag: b.Tag, Built: b.Built, Now: now.Digest, Since: instant(now.Since)})
	}
	last := bc.LastBuild
	switch {
	case bc.ImageStream == "":
		f.Kind = NeverBuilt
	case len(config.Bases) == 0:
		f.Kind = NoTrigger
	}
	if last != nil && (last.Outcome == buildconfig.Succeeded || last.Outcome == buildconfig.Unchanged) {
		f.Build, f.At = last.Name, instant(last.Ended)
	}
	e.say(f)
	if last != nil {
		e.last(name, last)
	}
	for _, b := range config.Bases {
		switch now := e.outlook.State.Tags[b.Tag]; {
		case b.Paused:
			e.say(Fact{Kind: TriggerPaused, BuildConfig: name, Tag: b.Tag})
		case now.Digest == "":
			e.say(Fact{Kind: NoStream, BuildConfig: name, Tag: b.Tag})
		}
	}
	switch {
	case bc.Disabled:
		e.say(Fact{Kind: DisabledByPerson, BuildConfig: name})
	case bc.Paused:
		e.say(Fact{Kind: PausedByPerson, BuildConfig: name})
	}
	if f.Build != "" {
		e.build(f.Build)
	}
}

// last says what is worth saying of the last build of what is up to date.
func (e *explainer) last(name string, last *buildconfig.LastBuild) {
	f := Fact{BuildConfig: name, Build: last.Name, At: instant(last.Ended), Message: last.Message}
	switch last.Outcome {
	case buildconfig.Unchanged:
		f.Kind = Unchanged
	case buildconfig.Failed, buildconfig.Cancelled, buildconfig.Skipped:
		f.Kind, f.State = LastBuildFailed, osbs.State(last.Outcome)
	case buildconfig.Succeeded:
		return
	}
	e.say(f)
}
