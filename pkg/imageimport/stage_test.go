package imageimport

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	imagev1 "github.com/openshift/api/image/v1"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/imagestream/tagstate"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// pushed is a build whose push stage is done: two registries, the second behind a proxy that may fail.
type pushed struct {
	options    Options
	registries []*registrytest.Registry
	proxy      *faultproxy.Proxy
	image      v1.Image
	digest     string
}

// repository is team/app in registry i, by the name that the push stage has used.
func (p *pushed) repository(i int) string {
	if i == 1 {
		return p.proxy.Host + "/team/app"
	}
	return p.registries[i].Host + "/team/app"
}

func newPushed(t *testing.T) *pushed {
	t.Helper()
	first, second := registrytest.Start(t, registrytest.Options{}), registrytest.Start(t, registrytest.Options{})
	p := &pushed{registries: []*registrytest.Registry{first, second}, proxy: faultproxy.Start(t, second.URL), image: newImage(t)}
	p.digest = digestOf(t, p.image)
	client := quickClient(t, registry.Options{Insecure: []string{first.Host, p.proxy.Host}})
	dir := t.TempDir()
	p.options = Options{
		Env: quick(), Workspace: workspace.Dir(dir), Registry: client,
		Streams: NewFile(filepath.Join(dir, "streams"), client), BuildConfigs: filestore.New(filepath.Join(dir, "configs")),
	}
	record := workspace.Push{Digest: p.digest}
	for i, r := range p.registries {
		r.Push(t, "team/app:unique", p.image)
		record.Images = append(record.Images, workspace.PushedImage{
			Repository: p.repository(i), Unique: "unique", Primary: "1-1", Floating: []string{"1", "latest"},
		})
	}
	base := workspace.Base{ImageStreamTag: "base:latest", Repository: "r/base", Digest: "sha256:bb"}
	for _, r := range []workspace.Record{
		record, workspace.Lock{BuildConfig: "app", Holder: "app-1"}, workspace.DetectBase{Bases: []workspace.Base{base}},
		workspace.Prepare{State: workspace.StateBuild},
	} {
		if err := workspace.Write(p.options.Workspace, r); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// tag is the digest of a tag of team/app in registry i, empty if it does not exist.
func (p *pushed) tag(t *testing.T, i int, tag string) string {
	t.Helper()
	ref, err := p.registries[i].Client(t).ParseReference(p.registries[i].Host + "/team/app:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := remote.Head(ref, remote.WithContext(t.Context()))
	if err != nil {
		wantKind(t, registry.Classify(err, ref.String()), failure.NotFound)
		return ""
	}
	return desc.Digest.String()
}

// tags are all floating tags of both registries.
func (p *pushed) tags(t *testing.T) []string {
	t.Helper()
	return []string{p.tag(t, 0, "1"), p.tag(t, 0, "latest"), p.tag(t, 1, "1"), p.tag(t, 1, "latest")}
}

func (p *pushed) wantNoStream(t *testing.T) {
	t.Helper()
	stream, err := p.options.Streams.Get(t.Context(), "team-app")
	if failure.KindOf(err) != failure.NotFound && len(stream.Status.Tags) > 0 {
		t.Errorf("the stream is %+v", stream.Status)
	}
	_, err = workspace.Read[workspace.Import](p.options.Workspace)
	wantKind(t, err, failure.NotFound)
}

func TestRun(t *testing.T) {
	t.Parallel()
	p := newPushed(t)
	_, err := p.options.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{
		Name: "app", Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:latest", LastTriggeredImage: "r/base@sha256:cc"}, {ImageStreamTag: "new:1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	record, err := Run(t.Context(), p.options)
	if err != nil {
		t.Fatal(err)
	}
	want := workspace.Import{ImageStream: "team-app", Tags: []workspace.ImportedTag{{Tag: "1", Digest: p.digest}, {Tag: "latest", Digest: p.digest}}}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got, err := workspace.Read[workspace.Import](p.options.Workspace); err != nil || !cmp.Equal(got, record) {
		t.Errorf("the workspace has %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{p.digest, p.digest, p.digest, p.digest}, p.tags(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	stream := get(t, p.options.Streams, "team-app")
	if got := specTag(stream, "latest"); got.From.Name != p.repository(0)+":latest" || !got.ImportPolicy.Insecure {
		t.Errorf("latest is %+v", got)
	}
	bc, err := p.options.BuildConfigs.Get(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"team-app:1", "team-app:latest"}, bc.Produces()); diff != "" {
		t.Errorf("produces: -want +got:\n%s", diff)
	}
	if bc.Triggers[0].LastBuiltImage != "r/base@sha256:bb" || bc.Triggers[0].LastTriggeredImage != "r/base@sha256:cc" || bc.Triggers[1].LastBuiltImage != "" ||
		bc.LastBuild == nil || bc.LastBuild.Outcome != buildconfig.Succeeded || bc.LastBuild.Name != "app-1" {
		t.Errorf("build config %+v, last build %+v", bc.Triggers, bc.LastBuild)
	}
	// A second run, after a kill for example, finds all done.
	version := stream.ResourceVersion
	if _, err := Run(t.Context(), p.options); err != nil {
		t.Fatal(err)
	}
	if again := get(t, p.options.Streams, "team-app"); again.ResourceVersion != version {
		t.Error("the second run changed the stream")
	}
}

// TestBumpIsTheLastCommit: what the lock stage knew was built is one commit behind, once the bump of the release is on the branch.
func TestBumpIsTheLastCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare workspace.Prepare
		want    string
	}{
		"no bump":    {workspace.Prepare{State: workspace.StateBuild, Commit: "cloned"}, "locked"},
		"not pushed": {workspace.Prepare{State: workspace.StateBuild, Commit: "bumped", Bump: &workspace.Bump{}}, "locked"},
		"pushed":     {workspace.Prepare{State: workspace.StateBuild, Commit: "bumped", Bump: &workspace.Bump{Pushed: true}}, "bumped"},
	} {
		p := newPushed(t)
		_, err := p.options.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{Name: "app", GitCommit: "locked"})
		if err == nil {
			err = workspace.Write(p.options.Workspace, c.prepare)
		}
		if err == nil {
			_, err = Run(t.Context(), p.options)
		}
		if err != nil {
			t.Fatal(err)
		}
		if bc, err := p.options.BuildConfigs.Get(t.Context(), "app"); err != nil || bc.GitCommit != c.want {
			t.Errorf("%s: %+v, %v", name, bc, err)
		}
	}
}

func TestNothingFloats(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*testing.T, *Options){
		"scratch":  func(_ *testing.T, o *Options) { o.Scratch = true },
		"isolated": func(_ *testing.T, o *Options) { o.Isolated = true },
		"skipped": func(t *testing.T, o *Options) {
			if err := workspace.Write(o.Workspace, workspace.Prepare{State: workspace.StateSkipped}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPushed(t)
			set(t, &p.options)
			record, err := Run(t.Context(), p.options)
			if err != nil || !cmp.Equal(record, workspace.Import{}) {
				t.Errorf("got %+v, %v", record, err)
			}
			if diff := cmp.Diff([]string{"", "", "", ""}, p.tags(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			_, err = p.options.Streams.Get(t.Context(), "team-app")
			wantKind(t, err, failure.NotFound)
		})
	}
}

// The second registry fails when the second tag is moved: all tags of both are as before.
func TestTagsGoBack(t *testing.T) {
	t.Parallel()
	for name, existed := range map[string]bool{"moved tags": true, "new tags": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPushed(t)
			before := []string{"", "", "", ""}
			if existed {
				old := newImage(t)
				for _, r := range p.registries {
					r.Push(t, "team/app:1", old)
					r.Push(t, "team/app:latest", old)
				}
				before = p.tags(t)
			}
			p.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Path: "manifests/latest", Count: 3, Fault: faultproxy.Status(http.StatusInternalServerError)})
			_, err := Run(t.Context(), p.options)
			wantKind(t, err, failure.Unavailable)
			if err == nil || !strings.Contains(err.Error(), "floating tags were put back") || !strings.Contains(err.Error(), p.repository(0)+":latest") {
				t.Errorf("the error does not say what was put back: %v", err)
			}
			if diff := cmp.Diff(before, p.tags(t)); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			p.wantNoStream(t)
			p.proxy.Clear()
			if _, err := Run(t.Context(), p.options); err != nil {
				t.Errorf("the next run: %v", err)
			}
		})
	}
}

func TestTagsThatCannotGoBackAreNamed(t *testing.T) {
	t.Parallel()
	p := newPushed(t)
	p.proxy.Add(faultproxy.Rule{Method: http.MethodPut, Path: "manifests/latest", Fault: faultproxy.Status(http.StatusForbidden)})
	p.proxy.Add(faultproxy.Rule{Method: http.MethodDelete, Fault: faultproxy.Status(http.StatusMethodNotAllowed)})
	_, err := Run(t.Context(), p.options)
	wantKind(t, err, failure.Unauthorized)
	if err == nil || !strings.Contains(err.Error(), "could not be put back: "+p.repository(1)+":1") {
		t.Errorf("the error does not name the tag: %v", err)
	}
	if diff := cmp.Diff([]string{"", "", p.digest, ""}, p.tags(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p.wantNoStream(t)
}

// refusing is a store whose imports fail, wholly or for the tag latest.
type refusing struct {
	Store
	latestOnly bool
	cancel     context.CancelFunc
}

func (r refusing) Import(ctx context.Context, request *imagev1.ImageStreamImport) (*imagev1.ImageStreamImport, error) {
	if r.cancel != nil {
		r.cancel()
		return nil, context.Cause(ctx)
	}
	if !r.latestOnly {
		return nil, failure.New(failure.Unavailable, "the API server is down")
	}
	for i, image := range request.Spec.Images {
		if image.To.Name == "latest" {
			request.Spec.Images[i].From.Name = "127.0.0.1:1/x:gone"
		}
	}
	return r.Store.Import(ctx, request)
}

func TestImportFails(t *testing.T) {
	t.Parallel()
	t.Run("wholly: the tags go back", func(t *testing.T) {
		t.Parallel()
		p := newPushed(t)
		p.options.Streams = refusing{Store: p.options.Streams}
		_, err := Run(t.Context(), p.options)
		wantKind(t, err, failure.Unavailable)
		if diff := cmp.Diff([]string{"", "", "", ""}, p.tags(t)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		p.wantNoStream(t)
	})
	t.Run("cancelled: the tags go back", func(t *testing.T) {
		t.Parallel()
		p := newPushed(t)
		ctx, cancel := context.WithCancel(t.Context())
		p.options.Streams = refusing{Store: p.options.Streams, cancel: cancel}
		_, err := Run(ctx, p.options)
		wantKind(t, err, failure.Cancelled)
		if diff := cmp.Diff([]string{"", "", "", ""}, p.tags(t)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	t.Run("for one tag: what was imported stays true", func(t *testing.T) {
		t.Parallel()
		p := newPushed(t)
		p.options.Streams = refusing{Store: p.options.Streams, latestOnly: true}
		_, err := Run(t.Context(), p.options)
		wantKind(t, err, failure.Unavailable)
		if diff := cmp.Diff([]string{p.digest, p.digest, p.digest, p.digest}, p.tags(t)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got := Current(get(t, p.options.Streams, "team-app"), "1"); got != p.digest {
			t.Errorf("tag 1 is %q", got)
		}
	})
}

func TestRunRefusesWhatPushLeft(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]workspace.Push{
		"nothing":     {},
		"no floating": {Digest: "sha256:aa", Images: []workspace.PushedImage{{Repository: "r/x"}}},
		"bad digest":  {Digest: "sha256:aa", Images: []workspace.PushedImage{{Repository: "r/x", Floating: []string{"1"}}}},
		"bad name":    {Digest: "sha256:aa", Images: []workspace.PushedImage{{Repository: "r/X!", Floating: []string{"1"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPushed(t)
			if err := workspace.Write(p.options.Workspace, record); err != nil {
				t.Fatal(err)
			}
			_, err := Run(t.Context(), p.options)
			wantKind(t, err, failure.InvalidInput)
		})
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	s := NewFile(t.TempDir(), r.Client(t))
	got, err := importTag(t, s, r.Push(t, "base:latest", newImage(t)))
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, *all[0].DeepCopy())
	all[1].Namespace = "openshift"
	states := tagstate.Of("", all)
	since := all[0].Status.Tags[0].Items[0].Created.Time
	for _, name := range []string{"base:latest", "openshift/base:latest"} {
		if tag := states[name]; tag.Digest != got.Digest || !tag.Since.Equal(since) {
			t.Errorf("%s is %+v", name, tag)
		}
	}
}

// TestUnchanged: an autorebuild that has changed nothing leaves the stream alone and is known to the build config. A stream that lacks the
// image that stays gets it.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	p := newPushed(t)
	if _, err := p.options.BuildConfigs.Create(t.Context(), &buildconfig.BuildConfig{Name: "app", Triggers: []buildconfig.Trigger{{ImageStreamTag: "base:latest"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), p.options); err != nil {
		t.Fatal(err)
	}
	push, err := workspace.Read[workspace.Push](p.options.Workspace)
	if err != nil {
		t.Fatal(err)
	}
	push.Unchanged = true
	if err := workspace.Write(p.options.Workspace, push); err != nil {
		t.Fatal(err)
	}
	version := get(t, p.options.Streams, "team-app").ResourceVersion
	record, err := Run(t.Context(), p.options)
	if err != nil {
		t.Fatal(err)
	}
	if !record.Unchanged || len(record.Tags) != 2 || record.Tags[0].OldDigest != p.digest || get(t, p.options.Streams, "team-app").ResourceVersion != version {
		t.Errorf("record %+v", record)
	}
	bc, err := p.options.BuildConfigs.Get(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if bc.LastBuild.Outcome != buildconfig.Unchanged || bc.Triggers[0].LastBuiltImage != "r/base@sha256:bb" || len(bc.Tags) != 2 {
		t.Errorf("build config %+v, last build %+v", bc, bc.LastBuild)
	}
	p.options.Streams = NewFile(filepath.Join(t.TempDir(), "lost"), p.options.Registry)
	if record, err = Run(t.Context(), p.options); err != nil || record.Unchanged || Current(get(t, p.options.Streams, "team-app"), "latest") != p.digest {
		t.Errorf("record %+v, %v", record, err)
	}
}
