package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

type maps = cluster.Resource[corev1.ConfigMap]

func open(t *testing.T) (maps, *apitest.Server, *faultproxy.Proxy) {
	t.Helper()
	s := apitest.Start(t, "v1/configmaps")
	p := faultproxy.Start(t, s.URL)
	return cluster.For[corev1.ConfigMap](apitest.Client(t, p.URL), corev1.SchemeGroupVersion, "configmaps", "ConfigMap"), s, p
}

func named(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func create(t *testing.T, r maps, name string) *corev1.ConfigMap {
	t.Helper()
	cm, err := r.Create(t.Context(), name, named(name))
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if got := failure.KindOf(err); got != want {
		t.Errorf("error %v has the kind %q, want %q", err, got, want)
	}
}

func TestResource(t *testing.T) {
	t.Parallel()
	r, _, _ := open(t)
	ctx := t.Context()
	_, err := r.Get(ctx, "a")
	wantKind(t, err, failure.NotFound)
	wantKind(t, r.Delete(ctx, "a"), failure.NotFound)
	_, err = r.Update(ctx, "a", named("a"))
	wantKind(t, err, failure.NotFound)
	stored := create(t, r, "a")
	_, err = r.Create(ctx, "a", named("a"))
	wantKind(t, err, failure.Conflict)
	stored.Data = map[string]string{"k": "v"}
	updated, err := r.Update(ctx, "a", stored)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(ctx, "a"); err != nil || got.Data["k"] != "v" || got.ResourceVersion != updated.ResourceVersion {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = r.Update(ctx, "a", stored)
	wantKind(t, err, failure.Conflict)
	if err := r.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "..", "a/b", "a%2fb"} {
		_, err := r.Get(ctx, name)
		wantKind(t, err, failure.Usage)
	}
}

func TestListReadsAllPages(t *testing.T) {
	t.Parallel()
	r, s, p := open(t)
	s.PageSize = 3
	for i := range 10 {
		cm := named(fmt.Sprint("m", i))
		cm.Labels = map[string]string{"even": fmt.Sprint(i%2 == 0)}
		s.Put(t, "v1/configmaps", cm)
	}
	all, err := r.List(t.Context(), cluster.Selection{})
	if err != nil || len(all) != 10 {
		t.Errorf("%d objects, %v", len(all), err)
	}
	if n := p.Count("GET .*configmaps$"); n != 4 {
		t.Errorf("%d requests for 4 pages", n)
	}
	some, err := r.List(t.Context(), cluster.Selection{Labels: "even=true", Fields: "metadata.name!=m4"})
	if err != nil || len(some) != 4 {
		t.Errorf("%d objects, %v", len(some), err)
	}
}

func TestListBeginsAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expired int
		want    failure.Kind
	}{"once": {1, ""}, "for ever": {0, failure.Unavailable}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, s, p := open(t)
			s.PageSize = 2
			for i := range 3 {
				create(t, r, fmt.Sprint("m", i))
			}
			expired := apitest.Status(http.StatusGone, metav1.StatusReasonExpired, "the list is too old")
			p.Add(faultproxy.Rule{Method: http.MethodGet, Count: c.expired, Fault: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.URL.Query().Get("continue") == "" {
					next.ServeHTTP(w, r)
					return
				}
				expired(w, r, next)
			}, Skip: 1})
			if c.expired == 0 {
				_, err := r.List(t.Context(), cluster.Selection{})
				wantKind(t, err, c.want)
				return
			}
			all, err := r.List(t.Context(), cluster.Selection{})
			if err != nil || len(all) != 3 {
				t.Errorf("%d objects, %v", len(all), err)
			}
		})
	}
}

// Faults of the API server: which are ridden out, and what kind the others have.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault faultproxy.Fault
		count int
		want  failure.Kind
	}{
		"503 for a while":             {faultproxy.Status(503), 3, ""},
		"503 for too long":            {faultproxy.Status(503), 0, failure.Unavailable},
		"429 for a while":             {apitest.Status(429, metav1.StatusReasonTooManyRequests, "slow down"), 2, ""},
		"500":                         {apitest.Status(500, metav1.StatusReasonInternalError, "etcd"), 2, ""},
		"timeout":                     {apitest.Status(504, metav1.StatusReasonTimeout, "etcd"), 2, ""},
		"resets":                      {faultproxy.Reset(), 3, ""},
		"reset for ever":              {faultproxy.Reset(), 0, failure.Unavailable},
		"cut answer":                  {faultproxy.CutResponse(20), 1, ""},
		"401":                         {apitest.Status(401, metav1.StatusReasonUnauthorized, "who?"), 0, failure.Unauthorized},
		"403":                         {apitest.Status(403, metav1.StatusReasonForbidden, "no"), 0, failure.Unauthorized},
		"422":                         {apitest.Status(422, metav1.StatusReasonInvalid, "no"), 1, failure.InvalidInput},
		"API not served, for a while": {faultproxy.Answer(404, "text/plain", "404 page not found\n"), 3, ""},
		"API not served":              {faultproxy.Answer(404, "text/plain", "404 page not found\n"), 0, failure.Unavailable},
		"rubbish":                     {faultproxy.Answer(200, "application/json", "<html>"), 1, failure.Unavailable},
		"rubbish that redirects":      {faultproxy.Answer(302, "text/html", "<html>"), 1, failure.Unavailable},
		"not HTTP":                    {faultproxy.NotHTTP(), 0, failure.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, p := open(t)
			create(t, r, "a")
			p.Add(faultproxy.Rule{Method: http.MethodGet, Path: "^/api/", Count: c.count, Fault: c.fault})
			_, err := r.Get(t.Context(), "a")
			wantKind(t, err, c.want)
			if err != nil && !strings.Contains(err.Error(), "reading ConfigMap a") {
				t.Errorf("the error does not say what was being done: %v", err)
			}
		})
	}
}

// An API server that has just started refuses what it allows a moment later. One that is ready and refuses is not asked for long.
func TestRefusals(t *testing.T) {
	t.Parallel()
	forbidden := apitest.Status(http.StatusForbidden, metav1.StatusReasonForbidden, `RBAC: role "osbs" not found`)
	for name, c := range map[string]struct {
		refused, unready, tries int
		want                    failure.Kind
	}{
		"it starts":                        {3, 3, 4, ""},
		"it was ready when it was asked":   {1, 0, 2, ""},
		"it is ready":                      {9, 0, 2, failure.Unauthorized},
		"it was ready after the first try": {9, 1, 3, failure.Unauthorized},
		"it does not get ready":            {9, 9, 4, failure.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, p := open(t)
			create(t, r, "a")
			p.Add(faultproxy.Rule{Method: http.MethodGet, Path: "configmaps/a", Count: c.refused, Fault: forbidden})
			if c.unready > 0 {
				p.Add(faultproxy.Rule{Path: "readyz", Count: c.unready, Fault: faultproxy.Status(http.StatusInternalServerError)})
			}
			_, err := r.Get(t.Context(), "a")
			wantKind(t, err, c.want)
			if n := p.Count("GET .*configmaps/a"); n != c.tries {
				t.Errorf("%d tries, want %d", n, c.tries)
			}
		})
	}
}

// The answer to a write is lost after the server has done it.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	r, _, p := open(t)
	stored := create(t, r, "a")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		p.Add(faultproxy.Rule{Method: method, Count: 1, Fault: faultproxy.ResetAfter()})
	}
	_, err := r.Create(t.Context(), "b", named("b"))
	wantKind(t, err, failure.Conflict)
	_, err = r.Update(t.Context(), "a", stored)
	wantKind(t, err, failure.Conflict)
	wantKind(t, r.Delete(t.Context(), "a"), failure.NotFound)
}

func TestCancelledRequest(t *testing.T) {
	t.Parallel()
	r, _, p := open(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	p.Add(faultproxy.Rule{Fault: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel(failure.New(failure.TimedOut, "too long"))
		<-r.Context().Done()
	}})
	_, err := r.Get(ctx, "a")
	wantKind(t, err, failure.TimedOut)
}

func TestAnswerIsBounded(t *testing.T) {
	t.Parallel()
	r, _, p := open(t)
	p.Add(faultproxy.Rule{Fault: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		block := []byte(strings.Repeat(" ", 1<<20))
		for range 65 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}})
	_, err := r.Get(t.Context(), "a")
	wantKind(t, err, failure.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

func TestUntrustedServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	c, err := cluster.New(&cluster.Config{REST: &rest.Config{Host: server.URL}, Namespace: "n"}, step.Env{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cluster.For[corev1.ConfigMap](c, corev1.SchemeGroupVersion, "configmaps", "ConfigMap").Get(t.Context(), "a")
	wantKind(t, err, failure.Untrusted)
}
