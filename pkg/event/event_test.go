package event_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	triggersv1 "github.com/tektoncd/triggers/pkg/apis/triggers/v1beta1"
	"github.com/tektoncd/triggers/pkg/interceptors/cel"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

var (
	noon  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	token = []byte("not a secret\n")
)

const spanContext = `{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// full is an event in which every member says something.
func full() event.Event {
	bc := &buildconfig.BuildConfig{
		Name: "app-main-12345", GitURL: "https://git.example.com/team/app.git", GitBranch: "main",
		GitCommit: strings.Repeat("c0ffee12", 5),
		Parameters: buildconfig.Parameters{
			Dockerfile: "Containerfile", DockerfileTarget: "final", BuildArgs: []string{"A=1,2", `B="two" words`, "C=$(uid)\n"},
			Platform: "linux/amd64", Architecture: "x86_64", Component: "app-container", Target: "rhel", User: "anne",
			RepoConfig: ".osbs-repo-config", BumpRelease: "after-build", Format: "oci", Compression: "gzip",
			SourceRegistryURI: "https://r.example.com/v2", Pipeline: "osbs", Extra: map[string]string{"scan": "yes"},
		},
	}
	return event.New(bc, rebuild.Item{
		Build: "app-main-12345-abc234def", Digests: map[string]string{"openshift/tools:1": digest("b"), "base:latest": digest("a")},
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "openshift/tools:1", OldDigest: digest("c"), NewDigest: digest("b"), CausedBy: "tools-7"}},
	}, noon)
}

// least is an event that says nothing that may be left out.
func least() event.Event {
	bc := &buildconfig.BuildConfig{Name: "a", GitURL: "git@git.example.com:a", GitBranch: "feature/x"}
	return event.New(bc, rebuild.Item{
		Build: "a-1", Digests: map[string]string{"base:latest": digest("a")},
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseRebuilt, Base: "base:latest"}},
	}, noon)
}

// asked is the event of what a person has asked for, of an image that has no base.
func asked() event.Event {
	bc := &buildconfig.BuildConfig{Name: "a", GitURL: "git@git.example.com:a", GitBranch: "main"}
	return event.New(bc, rebuild.Item{Build: "a-1", Reasons: []rebuild.Reason{{Kind: rebuild.Requested, CausedBy: "Anne B.", At: noon}}}, noon)
}

func body(t *testing.T, e event.Event) []byte {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("event", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("event")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// filtered says whether the EventListener's CEL interceptor lets a body through.
func filtered(t *testing.T, body []byte) bool {
	t.Helper()
	answer := cel.NewInterceptor(nil).Process(t.Context(), &triggersv1.InterceptorRequest{
		Body: string(body), Header: http.Header{}, InterceptorParams: map[string]any{"filter": event.Filter},
		Context: &triggersv1.TriggerContext{EventURL: "http://el.example.com", TriggerID: "namespaces/team/triggers/osbs"},
	})
	return answer.Continue
}

// The schema, the EventListener's filter, and Validate agree.
func TestWhatIsAccepted(t *testing.T) {
	t.Parallel()
	schema := compile(t)
	with := func(change func(*event.Event)) event.Event {
		e := full()
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		event event.Event
		ok    bool
		// cel: what CEL cannot say is left to the stages.
		cel bool
	}{
		"full":               {full(), true, true},
		"least":              {least(), true, true},
		"asked":              {asked(), true, true},
		"asked, with bases":  {with(func(e *event.Event) { e.Reason, e.Base = string(rebuild.Requested), "" }), true, true},
		"no base":            {with(func(e *event.Event) { e.Base = "" }), false, false},
		"upper case name":    {with(func(e *event.Event) { e.PipelineRunName = "App" }), false, false},
		"long name":          {with(func(e *event.Event) { e.BuildConfig = strings.Repeat("a", 64) }), false, false},
		"name ends with -":   {with(func(e *event.Event) { e.Pipeline = "a-" }), false, false},
		"no digest":          {with(func(e *event.Event) { e.BaseDigest = "" }), false, false},
		"digest too short":   {with(func(e *event.Event) { e.BaseDigest = "base:latest=sha256:aa" }), false, false},
		"digest and more":    {with(func(e *event.Event) { e.BaseDigest += ",x" }), false, false},
		"line end":           {with(func(e *event.Event) { e.BaseDigest += "\n" }), false, false},
		"tag":                {with(func(e *event.Event) { e.Base = "base" }), false, false},
		"last commit":        {with(func(e *event.Event) { e.GitLastCommit = "c0ffee1" }), false, false},
		"last commit, flag":  {with(func(e *event.Event) { e.GitLastCommit = "--" + strings.Repeat("a", 38) }), false, false},
		"trace":              {with(func(e *event.Event) { e.SpanContext = spanContext }), true, true},
		"trace and more":     {with(func(e *event.Event) { e.SpanContext = strings.Replace(spanContext, "}", `,"a":"b"}`, 1) }), false, false},
		"malformed trace":    {with(func(e *event.Event) { e.SpanContext = strings.Replace(spanContext, "-01", "-99", 1) }), false, false},
		"old digest":         {with(func(e *event.Event) { e.BaseOldDigest = "x" }), false, false},
		"new digest":         {with(func(e *event.Event) { e.BaseNewDigest = "sha256:" + strings.Repeat("g", 64) }), false, false},
		"branch is a flag":   {with(func(e *event.Event) { e.GitBranch = "--upload-pack=x" }), false, false},
		"branch with space":  {with(func(e *event.Event) { e.GitBranch = "a b" }), false, false},
		"git URL is a flag":  {with(func(e *event.Event) { e.GitURL = "-x" }), false, false},
		"build args":         {with(func(e *event.Event) { e.BuildArg = `{"a":1}` }), false, false},
		"no build args":      {with(func(e *event.Event) { e.BuildArg = "" }), false, false},
		"reasons":            {with(func(e *event.Event) { e.Reasons = "null" }), false, false},
		"control characters": {with(func(e *event.Event) { e.User = "a\x00b" }), false, true},
		"long text":          {with(func(e *event.Event) { e.Extra = map[string]string{"scan": strings.Repeat("a", 2049)} }), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.event.Validate(); (err == nil) != c.ok || err != nil && failure.KindOf(err) != failure.InvalidInput {
				t.Errorf("Validate: %v", err)
			}
			data := body(t, c.event)
			if got := filtered(t, data); got != c.cel {
				t.Errorf("the filter says %t", got)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); c.ok && err != nil {
				t.Errorf("schema: %v", err)
			}
		})
	}
	if filtered(t, []byte(`{}`)) || filtered(t, []byte(`{"pipelineRunName":["a"]}`)) {
		t.Error("the filter lets through what is no event")
	}
}

// Every member is in the schema, with a param's name of its own, and required exactly if it is always there.
func TestBindings(t *testing.T) {
	t.Parallel()
	bindings, err := event.Bindings()
	if err != nil {
		t.Fatal(err)
	}
	params := map[string]event.Binding{}
	for _, b := range bindings {
		params[b.Param] = b
		if b.Description == "" {
			t.Errorf("%s has no description", b.Member)
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[event.Event]()) {
		member, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if member == "extra" {
			continue
		}
		i := slices.IndexFunc(bindings, func(b event.Binding) bool { return b.Member == member })
		if i < 0 {
			t.Errorf("%s is not in the schema", member)
			continue
		}
		if bindings[i].Required == (options == "omitempty") {
			t.Errorf("%s: required %t, and %q", member, bindings[i].Required, options)
		}
	}
	if len(params) != len(bindings) || params["git-url"].Member != "gitUrl" || params["source-registry-uri"].Member != "sourceRegistryUri" {
		t.Errorf("%v", params)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	want := full()
	want.SpanContext = spanContext
	r, err := event.NewRequest(t.Context(), "http://el.example.com:8080", "/namespaces/team/imagewatch", want, token)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"ce-id": want.PipelineRunName, "ce-subject": want.BuildConfig, "ce-type": event.Type, "ce-specversion": "1.0", "ce-time": want.Time,
		"ce-source": "/namespaces/team/imagewatch", "content-type": "application/json", "x-github-event": event.Type,
		"ce-traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		if got := r.Header.Get(name); got != value {
			t.Errorf("header %s is %q, want %q", name, got, value)
		}
	}
	got, err := event.Read(r, token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		kind   failure.Kind
	}{
		"unsigned": {func(r *http.Request) { r.Header.Del(event.HeaderSignature) }, failure.Unauthorized},
		"wrong token": {func(r *http.Request) {
			r.Header.Set(event.HeaderSignature, event.Sign(body(t, full()), []byte("other")))
		}, failure.Unauthorized},
		"other body":   {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("{}")) }, failure.Unauthorized},
		"other type":   {func(r *http.Request) { r.Header.Set("Ce-Type", "x") }, failure.InvalidInput},
		"no event":     {func(r *http.Request) { sign(r, `{"user":1}`) }, failure.InvalidInput},
		"not complete": {func(r *http.Request) { sign(r, `{}`) }, failure.InvalidInput},
		"unknown":      {func(r *http.Request) { sign(r, `{"privileged":true}`) }, failure.InvalidInput},
		"two values":   {func(r *http.Request) { sign(r, string(body(t, full()))+"{}") }, failure.InvalidInput},
		"too large":    {func(r *http.Request) { sign(r, strings.Repeat(" ", event.MaxBody+1)) }, failure.InvalidInput},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := event.NewRequest(t.Context(), "http://el.example.com", "/", full(), token)
			if err != nil {
				t.Fatal(err)
			}
			c.change(r)
			if _, err := event.Read(r, token); failure.KindOf(err) != c.kind {
				t.Errorf("%v, want %s", err, c.kind)
			}
		})
	}
	r, err := event.NewRequest(t.Context(), "http://el.example.com", "/", full(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := event.Read(r, nil); failure.KindOf(err) != failure.Unauthorized {
		t.Errorf("an empty token verifies: %v", err)
	}
}

func sign(r *http.Request, text string) {
	r.Body = io.NopCloser(strings.NewReader(text))
	r.Header.Set(event.HeaderSignature, event.Sign([]byte(text), token))
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	e := full()
	e.BuildArg = `["A=` + strings.Repeat("x", event.MaxBody) + `"]`
	if _, err := event.NewRequest(t.Context(), "http://el.example.com", "/", e, token); failure.KindOf(err) != failure.InvalidInput {
		t.Errorf("%v", err)
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	digests := map[string]string{"openshift/tools:1": "sha256:b", "base:latest": "sha256:a"}
	text := event.FormatDigests(digests)
	if want := "base:latest=sha256:a,tools:1=sha256:b"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if diff := cmp.Diff(digests, event.ParseDigests(text, []string{"openshift/tools:1", "base:latest", "other:2"})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if event.ParseDigests("", nil) != nil {
		t.Error("digests of nothing")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{}`))
	for _, e := range []event.Event{full(), least()} {
		data, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := event.Parse(data)
		if err != nil {
			return
		}
		if r, err := event.NewRequest(t.Context(), "http://el.example.com", "/", e, token); err == nil {
			if _, err := event.Read(r, token); err != nil {
				t.Errorf("what was sent cannot be read: %v", err)
			}
		}
	})
}
