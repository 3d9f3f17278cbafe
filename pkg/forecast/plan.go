package forecast

import (
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Plan is the document of osbs plan.
type Plan struct {
	// Base is what is taken to have moved; without it the plan is of what is stale now.
	Base *Base `json:"base,omitempty"`
	// BuildConfigs is how many there are that can be read.
	BuildConfigs int `json:"buildConfigs"`
	// Paused is there while no build may begin.
	Paused *Pause `json:"paused,omitempty"`
	// Bounds is there if it is known how many builds may begin.
	Bounds *Bounds `json:"bounds,omitempty"`
	// Rebuilds by wave and name, those that are held back behind the others.
	Rebuilds []Rebuild `json:"rebuilds"`
	// Estimate is there if something is rebuilt and it is known how long any build took.
	Estimate *Estimate `json:"estimate,omitempty"`
	Common
}

// Base is an ImageStreamTag that is taken to have moved.
type Base struct {
	ImageStreamTag string `json:"imageStreamTag"`
	// Digest is what it would name, empty if that is not known; CurrentDigest what it names now.
	Digest        string `json:"digest,omitempty"`
	CurrentDigest string `json:"currentDigest,omitempty"`
	// OtherTags are those of the same ImageStream on which something is built, if nothing is on this one.
	OtherTags []string `json:"otherTags,omitempty"`
}

// Bounds are how many builds may begin; 0 is no bound.
type Bounds struct {
	// Concurrent is how many builds may run before no rebuild is started, Rate how many rebuilds may start in a minute.
	Concurrent int `json:"concurrent"`
	Rate       int `json:"rate"`
}

// Rebuild is one build config that is not built on the newest bases, or of which a build runs.
type Rebuild struct {
	BuildConfig     string          `json:"buildConfig"`
	ImageStreamTags []string        `json:"imageStreamTags"`
	Verdict         rebuild.Verdict `json:"verdict"`
	// Wave counts from 1: whatever is in one can be built when that of the wave before is. 0 is for what is held back.
	Wave    int              `json:"wave,omitempty"`
	Reasons []rebuild.Reason `json:"reasons"`
	// HeldBy are the build configs that it waits for or that failed, or for failed, skipped and running the build.
	HeldBy []string `json:"heldBy"`
	// Build is the name that the build will have, if it can start now or as soon as the bounds allow.
	Build string `json:"build,omitempty"`
	// Asked: the build was asked for already, and what came of it is not seen yet.
	Asked bool `json:"asked,omitempty"`
	// LastTookSeconds is how long the newest successful build took that is still known, LastTookBuild.
	LastTookSeconds float64 `json:"lastTookSeconds,omitempty"`
	LastTookBuild   string  `json:"lastTookBuild,omitempty"`
}

// Held says that it is not rebuilt though it is not built on the newest bases.
func (r Rebuild) Held() bool {
	switch r.Verdict {
	case rebuild.Ready, rebuild.Queued, rebuild.Running, rebuild.Waiting:
		return false
	default:
		return true
	}
}

// NewPlan plans what is stale now.
func NewPlan(o *osbs.Outlook, now time.Time) *Plan {
	return newPlan(o, rebuild.NewGraph(o.Configs).Plan(o.State), now)
}

// NewPreview plans what would be rebuilt if base, IMAGE or IMAGE@DIGEST, moved, and nothing else were stale. An image that is not
// known is failure.NotFound, with those that are meant perhaps.
func NewPreview(o *osbs.Outlook, base string, now time.Time) (*Plan, error) {
	image, digest, hasDigest := strings.Cut(base, "@")
	if hasDigest {
		if _, err := v1.NewHash(digest); err != nil {
			return nil, failure.WithHint(failure.New(failure.Usage, "%q is not a digest: %w", digest, err), "a digest is sha256: and 64 hex digits")
		}
	}
	tag, err := newNames(o).tag(image)
	if err != nil {
		return nil, err
	}
	p := newPlan(o, rebuild.NewGraph(o.Configs).Preview(o.State, tag, digest), now)
	p.Base = &Base{ImageStreamTag: tag, Digest: digest, CurrentDigest: o.State.Tags[tag].Digest, OtherTags: otherTags(o, tag)}
	return p, nil
}

// otherTags are the bases that are other tags of the ImageStream, none if the tag is a base itself.
func otherTags(o *osbs.Outlook, tag string) []string {
	stream := tag[:strings.LastIndexByte(tag, ':')+1]
	found := map[string]bool{}
	for _, c := range o.Configs {
		for _, base := range c.Bases {
			if base.Tag == tag {
				return nil
			}
			if strings.HasPrefix(base.Tag, stream) {
				found[base.Tag] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func newPlan(o *osbs.Outlook, planned rebuild.Plan, now time.Time) *Plan {
	p := &Plan{BuildConfigs: len(o.Configs), Rebuilds: make([]Rebuild, 0, len(planned.Items)), Common: common(o, planned.Cycles)}
	if o.Paused != nil {
		p.Paused = &Pause{o.Paused.Since, o.Paused.By}
	}
	if o.Bounds != nil {
		p.Bounds = &Bounds{o.Bounds.Concurrent, o.Bounds.Rate}
	}
	produces := map[string][]string{}
	for _, c := range o.Configs {
		produces[c.Name] = c.Produces
	}
	var held []Rebuild
	for _, item := range planned.Items {
		r := Rebuild{
			BuildConfig: item.Config, ImageStreamTags: nonNil(produces[item.Config]), Verdict: item.Verdict, Reasons: nonNil(item.Reasons),
			HeldBy: nonNil(item.HeldBy), Build: item.Build, Asked: item.Build != "" && o.State.Postponed[item.Build],
			LastTookSeconds: o.Images[item.Config].Took.Seconds(), LastTookBuild: o.Images[item.Config].TookBuild,
		}
		if r.Held() {
			held = append(held, r)
			continue
		}
		r.Wave = item.Wave + 1
		p.Rebuilds = append(p.Rebuilds, r)
	}
	p.Estimate = estimate(o, p.Rebuilds, now)
	p.Rebuilds = append(p.Rebuilds, held...)
	return p
}
