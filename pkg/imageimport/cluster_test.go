package imageimport

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

const (
	streams = "image.openshift.io/v1/imagestreams"
	imports = "image.openshift.io/v1/imagestreamimports"
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// newImageAPI is an API server whose imports answer the digest digestA for each image, behind a proxy that may fail.
func newImageAPI(t *testing.T) (*Cluster, *apitest.Server, *faultproxy.Proxy) {
	t.Helper()
	s := apitest.Start(t, streams)
	s.Handle(imports, func(w http.ResponseWriter, r *http.Request) {
		var request imagev1.ImageStreamImport
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		for _, spec := range request.Spec.Images {
			if spec.ImportPolicy.ImportMode != imagev1.ImportModePreserveOriginal || spec.ImportPolicy.Insecure {
				t.Errorf("the policy is %+v", spec.ImportPolicy)
			}
			request.Status.Images = append(request.Status.Images, imagev1.ImageImportStatus{
				Tag: spec.To.Name, Status: metav1.Status{Status: metav1.StatusSuccess}, Image: &imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: digestA}},
			})
		}
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(request)
	})
	p := faultproxy.Start(t, s.URL)
	return NewCluster(apitest.Client(t, p.URL)), s, p
}

func TestClusterKeepsStreams(t *testing.T) {
	t.Parallel()
	c, _, _ := newImageAPI(t)
	_, err := c.Get(t.Context(), "b")
	wantKind(t, err, failure.NotFound)
	for _, name := range []string{"b", "a"} {
		if _, err := c.Create(t.Context(), &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"}}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.Create(t.Context(), &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "b"}})
	wantKind(t, err, failure.Conflict)
	if all, err := c.List(t.Context()); err != nil || len(all) != 2 || all[0].Name != "a" {
		t.Errorf("got %v, %v", all, err)
	}
	if err := c.Delete(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	wantKind(t, c.Delete(t.Context(), "b"), failure.NotFound)
}

// Faults of the API server during an import into a new stream: which are ridden out, and how often is tried.
func TestClusterImport(t *testing.T) {
	t.Parallel()
	exists := apitest.Status(http.StatusConflict, metav1.StatusReasonAlreadyExists, "already exists")
	conflict := apitest.Status(http.StatusConflict, metav1.StatusReasonConflict, "the image stream was updated")
	down := faultproxy.Status(http.StatusServiceUnavailable)
	for name, test := range map[string]struct {
		rules []faultproxy.Rule
		want  failure.Kind
	}{
		"nothing":                   {nil, ""},
		"409s":                      {[]faultproxy.Rule{{Method: "POST", Path: "imports$", Count: 1, Fault: exists}, {Method: "POST", Path: "imports$", Count: 1, Fault: conflict}}, ""},
		"409s for ever":             {[]faultproxy.Rule{{Method: "POST", Path: "imports$", Fault: conflict}}, failure.Conflict},
		"stream created by another": {[]faultproxy.Rule{{Method: "POST", Path: "streams$", Count: 1, Fault: faultproxy.ResetAfter()}}, ""},
		"503 for a while":           {[]faultproxy.Rule{{Count: 3, Fault: down}, {Method: "POST", Count: 3, Fault: down}}, ""},
		"503 for ever":              {[]faultproxy.Rule{{Method: "POST", Path: "imports$", Fault: down}}, failure.Unavailable},
		"lost answer":               {[]faultproxy.Rule{{Method: "POST", Path: "imports$", Count: 1, Fault: faultproxy.ResetAfter()}}, ""},
		"no rights":                 {[]faultproxy.Rule{{Method: "POST", Path: "imports$", Fault: apitest.Status(http.StatusForbidden, metav1.StatusReasonForbidden, "no")}}, failure.Unauthorized},
		"not served":                {[]faultproxy.Rule{{Fault: faultproxy.Answer(http.StatusNotFound, "text/plain", "404 page not found\n")}}, failure.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, s, p := newImageAPI(t)
			for _, r := range test.rules {
				p.Add(r)
			}
			tags, err := Import(t.Context(), quick(), c, "app", []Source{{Tag: "1", From: "r.example.com/app:1"}, {Tag: "latest", From: "r.example.com/app:latest"}})
			wantKind(t, err, test.want)
			if n := p.Count("POST .*imports"); n > 5 {
				t.Errorf("%d tries", n)
			}
			if test.want != "" {
				return
			}
			if diff := cmp.Diff([]workspace.ImportedTag{{Tag: "1", Digest: digestA}, {Tag: "latest", Digest: digestA}}, tags); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if s.UID(streams, "app") == "" {
				t.Error("there is no stream")
			}
		})
	}
}

// A stream is created only when there is none: not when nobody knows.
func TestClusterDoesNotCreateWithoutKnowing(t *testing.T) {
	t.Parallel()
	c, _, p := newImageAPI(t)
	p.Add(faultproxy.Rule{Method: "GET", Fault: faultproxy.Status(http.StatusServiceUnavailable)})
	_, err := Import(t.Context(), quick(), c, "app", []Source{{Tag: "1", From: "r.example.com/app:1"}})
	wantKind(t, err, failure.Unavailable)
	if n := p.Count("POST"); n != 0 {
		t.Errorf("%d objects were created", n)
	}
}

// A slow import does not put what it has read over what another import has brought meanwhile.
func TestSlowImportIsOvertaken(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	older, newer := newImage(t), newImage(t)
	from := r.Push(t, "base:latest", older)
	proxy := faultproxy.Start(t, r.URL)
	through := strings.Replace(from, r.Host, proxy.Host, 1)
	dir := t.TempDir()
	fast := NewFile(dir, r.Client(t))
	slow := NewFile(dir, quickClient(t, registry.Options{Insecure: []string{proxy.Host}}))
	var once sync.Once
	proxy.Add(faultproxy.Rule{Path: "manifests/latest", Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, req) // the older image; it arrives when the newer one has been imported
		once.Do(func() {
			r.Push(t, "base:latest", newer)
			if _, err := importTag(t, fast, from); err != nil {
				t.Error(err)
			}
		})
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}})
	if _, err := importTag(t, slow, through); err != nil {
		t.Fatal(err)
	}
	want := []string{digestOf(t, newer)}
	if diff := cmp.Diff(want, items(get(t, fast, "base"), "latest")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What may be read insecurely and what may not are imported apart.
func TestImportImageKeepsSecureTagsApart(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	from := r.Push(t, "base:latest", newImage(t))
	s := NewFile(t.TempDir(), r.Client(t))
	_, err := Import(t.Context(), quick(), s, "base", []Source{{Tag: "a", From: from, Insecure: true}, {Tag: "b", From: from}, {Tag: "c", From: from, Insecure: true}})
	if err != nil {
		t.Fatal(err)
	}
	recorder := &recording{Store: s}
	if _, err := ImportImage(t.Context(), quick(), recorder, "base", ""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "a c"}, recorder.requests); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// recording remembers the tags of each import.
type recording struct {
	Store
	requests []string
}

func (r *recording) Import(ctx context.Context, request *imagev1.ImageStreamImport) (*imagev1.ImageStreamImport, error) {
	tags := make([]string, 0, len(request.Spec.Images))
	for _, spec := range request.Spec.Images {
		tags = append(tags, spec.To.Name)
	}
	r.requests = append(r.requests, strings.Join(tags, " "))
	return r.Store.Import(ctx, request)
}
