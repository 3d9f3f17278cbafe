package event

import (
	_ "embed" // for the schema
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

const (
	// MaxBody bounds the body of an event, in bytes. A PipelineRun that it becomes stays far below what the API server stores.
	MaxBody = 256 << 10
	// maxText bounds a member that is one param; build arguments, reasons and digests are lists, and bounded by MaxBody.
	maxText = 2048
)

// The patterns of names and digests, in the syntax that Go, CEL and JSON Schema share.
const (
	// NamePattern is that of names which become values of labels.
	NamePattern = `^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$`
	digest      = `(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})`
	tag         = `[a-z0-9][-a-z0-9._]{0,252}:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}`
	// DigestPattern is that of a digest, or of none.
	DigestPattern = `^(` + digest + `)?$`
	// DigestsPattern is that of baseDigest.
	DigestsPattern = `^` + tag + `=` + digest + `(,` + tag + `=` + digest + `)*$`
	// CommitPattern is that of a commit.
	CommitPattern = `^[0-9a-f]{40}$`
	// SpanContextPattern is that of a W3C trace context in JSON.
	SpanContextPattern = `^[{]"traceparent":"` + traceParent + `"[}]$`
	traceParent        = `00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]`
	// wordPattern is that of what becomes an argument of git.
	wordPattern = `^[^-[:cntrl:][:space:]][^[:cntrl:][:space:]]*$`
	// BasePattern is that of an ImageStreamTag, perhaps of another namespace.
	BasePattern = `^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?` + tag + `$`
)

var (
	nameRule    = regexp.MustCompile(NamePattern)
	commitRule  = regexp.MustCompile(CommitPattern)
	spanRule    = regexp.MustCompile(SpanContextPattern)
	digestRule  = regexp.MustCompile(DigestPattern)
	digestsRule = regexp.MustCompile(DigestsPattern)
	baseRule    = regexp.MustCompile(BasePattern)
)

// Filter is a CEL expression for the EventListener: it holds for the bodies that Validate accepts, as far as CEL can say it, so that
// nothing else becomes a param, a name or a label. The signature is verified before it.
const Filter = `body.pipelineRunName.matches('` + NamePattern + `')` +
	` && body.buildConfig.matches('` + NamePattern + `')` +
	` && (body.baseDigest.matches('` + DigestsPattern + `') || ` + asked + ` && body.baseDigest == '')` +
	` && (has(body.base) ? body.base.matches('` + BasePattern + `') : ` + asked + `)` +
	` && body.gitUrl.matches('` + wordPattern + `') && body.gitUrl.size() <= 2048` +
	` && body.gitBranch.matches('` + wordPattern + `') && body.gitBranch.size() <= 2048` +
	` && (!has(body.gitLastCommit) || body.gitLastCommit.matches('` + CommitPattern + `'))` +
	` && (!has(body.baseOldDigest) || body.baseOldDigest.matches('` + DigestPattern + `'))` +
	` && (!has(body.baseNewDigest) || body.baseNewDigest.matches('` + DigestPattern + `'))` +
	` && (!has(body.spanContext) || body.spanContext.matches('` + SpanContextPattern + `'))` +
	` && (!has(body.pipeline) || body.pipeline.matches('` + NamePattern + `'))` +
	` && body.buildArg.startsWith('[') && body.reasons.startsWith('[')`

// asked is the CEL expression that a person has asked for the build.
const asked = `body.reason == '` + string(rebuild.Requested) + `'`

//go:embed event.schema.json
var schema []byte

// Schema is the JSON schema of the body.
func Schema() []byte { return slices.Clone(schema) }

// Validate says, in one error of the kind InvalidInput, all that is wrong with the event.
func (e Event) Validate() error {
	var errs []error
	check := func(ok bool, member, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: want %s", member, want))
		}
	}
	name := "lower-case letters, digits, - and ., at most 63"
	check(nameRule.MatchString(e.PipelineRunName), "pipelineRunName", name)
	check(nameRule.MatchString(e.BuildConfig), "buildConfig", name+" (it becomes the value of a label)")
	check(e.Pipeline == "" || nameRule.MatchString(e.Pipeline), "pipeline", name)
	_, err := time.Parse(time.RFC3339, e.Time)
	check(err == nil, "time", "a time by RFC 3339")
	_, err = giturl.Parse(e.GitURL)
	check(err == nil && oneWord(e.GitURL), "gitUrl", "a git URL")
	check(oneWord(e.GitBranch), "gitBranch", "the name of a branch")
	check(e.GitLastCommit == "" || commitRule.MatchString(e.GitLastCommit), "gitLastCommit", "a commit: 40 hex digits")
	check(e.SpanContext == "" || spanRule.MatchString(e.SpanContext), "spanContext", `{"traceparent":"..."} of a W3C trace context`)
	requested := e.Reason == string(rebuild.Requested)
	check(digestsRule.MatchString(e.BaseDigest) || requested && e.BaseDigest == "", "baseDigest", "TAG=DIGEST, separated by commas")
	check(baseRule.MatchString(e.Base) || requested && e.Base == "", "base", "the ImageStreamTag of the first reason")
	check(digestRule.MatchString(e.BaseOldDigest), "baseOldDigest", "a digest")
	check(digestRule.MatchString(e.BaseNewDigest), "baseNewDigest", "a digest")
	var args []string
	check(json.Unmarshal([]byte(e.BuildArg), &args) == nil && e.BuildArg[0] == '[', "buildArg", "a JSON array of strings")
	var reasons []json.RawMessage
	check(json.Unmarshal([]byte(e.Reasons), &reasons) == nil && e.Reasons[0] == '[', "reasons", "a JSON array")
	for member, value := range e.texts() {
		check(len(value) <= maxText && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl), member,
			fmt.Sprintf("text of at most %d bytes without control characters", maxText))
	}
	if len(errs) == 0 {
		return nil
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return failure.New(failure.InvalidInput, "event for build config %q: %w", e.BuildConfig, errors.Join(errs...))
}

// oneWord is for what becomes an argument of git: neither empty, nor an option, nor several words.
func oneWord(s string) bool {
	return s != "" && len(s) <= maxText && s[0] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.IsSpace(r)
	})
}

// texts are the members without a form of their own, by name.
func (e Event) texts() map[string]string {
	out := map[string]string{
		"dockerfile": e.Dockerfile, "dockerfileTarget": e.DockerfileTarget, "platform": e.Platform, "architecture": e.Architecture,
		"component": e.Component, "target": e.Target, "user": e.User, "repoConfig": e.RepoConfig, "bumpRelease": e.BumpRelease,
		"format": e.Format, "compression": e.Compression, "sourceRegistryUri": e.SourceRegistryURI, "reason": e.Reason,
		"causedBy": e.CausedBy,
	}
	for _, name := range slices.Collect(maps.Keys(e.Extra)) {
		out["extra."+name] = e.Extra[name]
	}
	return out
}

// Binding maps a member of the body to a param of the TriggerTemplate.
type Binding struct {
	// Member is the JSON name, Param the param's: gitUrl and git-url.
	Member, Param string
	// Required members are in every event; for the others the TriggerTemplate needs a default.
	Required bool
	// Description is the schema's.
	Description string
}

// Bindings are those of all members but extra, by name.
func Bindings() ([]Binding, error) {
	var s struct {
		Required   []string `json:"required"`
		Properties map[string]struct {
			Description string `json:"description"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, failure.New(failure.Internal, "reading the schema of events: %w", err)
	}
	out := make([]Binding, 0, len(s.Properties))
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		if member == "extra" {
			continue
		}
		out = append(out, Binding{
			Member: member, Param: paramOf(member), Required: slices.Contains(s.Required, member), Description: s.Properties[member].Description,
		})
	}
	return out, nil
}

// paramOf is the param of a member: gitUrl is git-url.
func paramOf(member string) string {
	var b strings.Builder
	for _, r := range member {
		if unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
