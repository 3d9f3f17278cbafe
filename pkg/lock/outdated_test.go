package lock

import (
	"context"
	"strings"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// streams have base:latest at a digest, or fail.
type streams struct {
	digest string
	err    error
}

func (s streams) Get(_ context.Context, name string) (*imagev1.ImageStream, error) {
	if s.err != nil {
		return nil, s.err
	}
	return &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: imagev1.ImageStreamStatus{Tags: []imagev1.NamedTagEventList{
		{Tag: "latest", Items: []imagev1.TagEvent{{Created: metav1.NewTime(epoch.Add(time.Hour)), Image: s.digest}}},
	}}}, nil
}

func TestOutdatedRebuild(t *testing.T) {
	t.Parallel()
	forbidden := failure.New(failure.Unauthorized, "forbidden")
	for name, tc := range map[string]struct {
		streams     streams
		built       string
		tried       string
		change      func(*Options)
		wantSkipped string
	}{
		"due":                        {streams: streams{digest: digestB}, built: digestA, tried: digestA},
		"due, and known to be tried": {streams: streams{digest: digestB}, built: digestA, tried: digestB},
		"the base has moved on":      {streams: streams{digest: "sha256:cc"}, built: digestA, wantSkipped: "is sha256:cc by now"},
		"the base has moved back":    {streams: streams{digest: digestA}, built: digestA, wantSkipped: "is " + digestA + " by now"},
		"another build was faster":   {streams: streams{digest: digestB}, built: digestB, wantSkipped: "built on these bases already"},
		"a person asked for it":      {streams: streams{digest: digestB}, built: digestB, change: func(o *Options) { o.Reason = string(rebuild.Requested) }},
		"a user's build":             {streams: streams{digest: "sha256:cc"}, built: digestA, change: func(o *Options) { o.Autorebuild = false }},
		"no stream":                  {streams: streams{err: failure.New(failure.NotFound, "none")}, built: digestA},
		"streams may not be read":    {streams: streams{err: forbidden}, built: digestA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOptions(t, base("base:latest", "base:latest", digestB))
			o.BuildConfig, o.Autorebuild, o.Streams, o.BaseDigests = "app", true, tc.streams, map[string]string{"base:latest": digestB}
			if tc.change != nil {
				tc.change(&o)
			}
			_, err := o.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{
				Name: "app", GitURL: "https://git.example.com/team/app.git", GitBranch: "main",
				Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:latest", LastTriggeredImage: "r/base@" + tc.tried, LastBuiltImage: "r/base@" + tc.built}},
			})
			if err != nil {
				t.Fatal(err)
			}
			record := run(t, o)
			if skipped := record.State == workspace.StateSkipped; skipped != (tc.wantSkipped != "") || !strings.Contains(record.Reason, tc.wantSkipped) {
				t.Errorf("record %+v", record)
			}
			if tc.wantSkipped != "" {
				wantFree(t, o, "app")
				if got := stored(t, o, "app").Triggers[0].LastTriggeredImage; got != "r/base@"+tc.tried {
					t.Errorf("the build config was changed: %s", got)
				}
			}
		})
	}
}

func TestOutdatedIsNotKnown(t *testing.T) {
	t.Parallel()
	o := newOptions(t, base("base:latest", "base:latest", digestB))
	o.BuildConfig, o.Autorebuild, o.BaseDigests = "app", true, map[string]string{"base:latest": digestB}
	o.Streams = streams{err: failure.New(failure.Storage, "broken")}
	if _, err := o.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{
		Name: "app", GitURL: "https://git.example.com/team/app.git", GitBranch: "main", Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:latest"}},
	}); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), o)
	wantKind(t, err, failure.Storage)
	wantFree(t, o, "app")
}

// A base of another namespace is not taken for the ImageStream of the same name here.
func TestBaseOfAnotherNamespaceIsNotOutdated(t *testing.T) {
	t.Parallel()
	o := newOptions(t, base("base:latest", "base:latest", digestB))
	o.BuildConfig, o.Autorebuild, o.Namespace, o.BaseDigests = "app", true, "here", map[string]string{"base:latest": digestB}
	o.Env, o.Streams = o.WithDefaults(), streams{digest: digestA}
	tags, err := o.tags(t.Context(), &buildconfig.BuildConfig{Triggers: []buildconfig.Trigger{
		{ImageStreamTag: "base:latest"}, {ImageStreamTag: "base:latest", Namespace: "there"}, {ImageStreamTag: "base:latest", Namespace: "here"},
	}})
	if err != nil || len(tags) != 2 || tags["base:latest"].Digest != digestA || tags["here/base:latest"].Digest != digestA {
		t.Errorf("%v, %v", tags, err)
	}
}
