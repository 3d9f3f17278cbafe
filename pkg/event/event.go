// Package event is the CloudEvent by which the watcher asks for a rebuild, for both ends: who sends it makes a signed HTTP request of
// an Event, who receives it verifies, bounds and validates. It is sent in CloudEvents' binary mode: attributes are headers, and the
// body is one flat JSON object (event.schema.json) whose members are the params of the Pipeline, so that a TriggerBinding maps each
// by its name: $(body.gitUrl) is the param git-url. A member that has nothing to say is left out, and the TriggerTemplate's default
// for the param applies.
package event

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Event asks for one rebuild. The same rebuild is the same Event but for Time, so a repeated one meets a PipelineRun that exists.
type Event struct {
	// PipelineRunName is derived from the build config and the state of its bases; see rebuild.BuildName.
	PipelineRunName string `json:"pipelineRunName"`
	BuildConfig     string `json:"buildConfig"`
	// Time is when the event was made, RFC 3339. It is signed, unlike the header ce-time.
	Time string `json:"time"`

	GitURL    string `json:"gitUrl"`
	GitBranch string `json:"gitBranch"`
	// GitLastCommit is the commit that the last build was made from, empty if there was none. Whether it is built, or the branch's head,
	// is a matter of the repository's container.yaml.
	GitLastCommit string `json:"gitLastCommit,omitempty"`
	// BaseDigest is what to build from: TAG=DIGEST for each base, by ImageStreamTag, separated by commas. It is empty only where a person
	// has asked for the build of an image that has no base with an ImageStream.
	BaseDigest string `json:"baseDigest"`
	// BuildArg is a JSON array of NAME=VALUE, as text; [] if there are none.
	BuildArg string `json:"buildArg"`
	// Pipeline is the name of the Pipeline that the build config asks for, empty for the TriggerTemplate's.
	Pipeline          string `json:"pipeline,omitempty"`
	Dockerfile        string `json:"dockerfile,omitempty"`
	DockerfileTarget  string `json:"dockerfileTarget,omitempty"`
	Platform          string `json:"platform,omitempty"`
	Architecture      string `json:"architecture,omitempty"`
	Component         string `json:"component,omitempty"`
	Target            string `json:"target,omitempty"`
	User              string `json:"user,omitempty"`
	RepoConfig        string `json:"repoConfig,omitempty"`
	BumpRelease       string `json:"bumpRelease,omitempty"`
	Format            string `json:"format,omitempty"`
	Compression       string `json:"compression,omitempty"`
	SourceRegistryURI string `json:"sourceRegistryUri,omitempty"`

	// Reason is the kind of the first reason; the base, its digests and what moved it belong to that reason. If that is that a person has
	// asked, there is no base.
	Reason        string `json:"reason"`
	Base          string `json:"base,omitempty"`
	BaseOldDigest string `json:"baseOldDigest,omitempty"`
	BaseNewDigest string `json:"baseNewDigest,omitempty"`
	// CausedBy is the build that moved the base if it is known, else the build config that produces it; or the person who has asked.
	CausedBy string `json:"causedBy,omitempty"`
	// SpanContext is the trace that the rebuild belongs to, as Tekton takes it in an annotation: JSON text with traceparent. Empty if
	// there is none.
	SpanContext string `json:"spanContext,omitempty"`
	// Reasons are all reasons: a JSON array of rebuild.Reason, as text.
	Reasons string `json:"reasons"`
	// Extra are parameters of a customised pipeline: $(body.extra.NAME).
	Extra map[string]string `json:"extra,omitempty"`
}

// What the TriggerTemplate gives the PipelineRun, and the watcher reads from it again.
const (
	// LabelBuildConfig has the name of the build config, LabelAutorebuild is "true" for what an event started.
	LabelBuildConfig = "osbs.dev/build-config"
	LabelAutorebuild = "osbs.dev/is-autorebuild"
	// LabelResumes has the name of the failed build that a build finishes.
	LabelResumes = "osbs.dev/resumes"
	// AnnotationBaseDigest has the event's baseDigest, AnnotationReasons its reasons, AnnotationCausedBy its causedBy.
	AnnotationBaseDigest = "osbs.dev/base-digest"
	AnnotationReasons    = "osbs.dev/reasons"
	AnnotationCausedBy   = "osbs.dev/caused-by"
	// AnnotationSpanContext has the event's spanContext. It is Tekton's, which goes on with that trace; empty, it begins one of its own.
	AnnotationSpanContext = "tekton.dev/pipelinerunSpanContext"
	// The first reason in parts, for people.
	AnnotationReason        = "osbs.dev/reason"
	AnnotationBase          = "osbs.dev/base"
	AnnotationBaseOldDigest = "osbs.dev/base-old-digest"
	AnnotationBaseNewDigest = "osbs.dev/base-new-digest"
)

// New is the event that asks for what the planner says may start. at is when.
func New(bc *buildconfig.BuildConfig, item rebuild.Item, at time.Time) Event {
	p := bc.Parameters
	e := Event{
		PipelineRunName: item.Build, BuildConfig: bc.Name, Time: at.UTC().Format(time.RFC3339), GitURL: bc.GitURL, GitBranch: bc.GitBranch,
		GitLastCommit: bc.GitCommit,
		BaseDigest:    FormatDigests(item.Digests), BuildArg: array(p.BuildArgs), Pipeline: p.Pipeline, Dockerfile: p.Dockerfile,
		DockerfileTarget: p.DockerfileTarget, Platform: p.Platform, Architecture: p.Architecture, Component: p.Component,
		Target: p.Target, User: p.User, RepoConfig: p.RepoConfig, BumpRelease: p.BumpRelease, Format: p.Format,
		Compression: p.Compression, SourceRegistryURI: p.SourceRegistryURI, Reasons: array(item.Reasons), Extra: p.Extra,
	}
	if len(item.Reasons) > 0 {
		r := item.Reasons[0]
		e.Reason, e.Base, e.BaseOldDigest, e.BaseNewDigest, e.CausedBy = string(r.Kind), r.Base, r.OldDigest, r.NewDigest, r.CausedBy
	}
	return e
}

// array is JSON text of a list, [] if there are none. What is given here can be encoded.
func array[T any](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "[]"
	}
	return string(text)
}

// FormatDigests writes TAG=DIGEST, separated by commas and ordered by tag. A tag of another namespace is written without it, as
// detect-base knows it.
func FormatDigests(digests map[string]string) string {
	pairs := make([]string, 0, len(digests))
	for _, tag := range slices.Sorted(maps.Keys(digests)) {
		pairs = append(pairs, rebuild.WithoutNamespace(tag)+"="+digests[tag])
	}
	return strings.Join(pairs, ",")
}

// ParseDigests reads what FormatDigests wrote and gives each digest the name that its tag has among tags, which may be in other
// namespaces. A tag that is not among them keeps the name that it has; nil if there is nothing.
func ParseDigests(text string, tags []string) map[string]string {
	if text == "" {
		return nil
	}
	full := map[string]string{}
	for _, tag := range tags {
		full[rebuild.WithoutNamespace(tag)] = tag
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		tag, digest, _ := strings.Cut(pair, "=")
		if name := full[tag]; name != "" {
			tag = name
		}
		out[tag] = digest
	}
	return out
}
