//go:build e2e

package autorebuild

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
)

// lossy is an EventListener of the test's own, which does all that a real one may do.
type lossy struct {
	site *site
	// mood is what it does: work, lose (202, and nothing comes of it), fail (500), double (both of two create).
	mood     atomic.Value
	events   atomic.Int32
	creation sync.WaitGroup
}

func newLossy(s *site) *lossy {
	l := &lossy{site: s}
	l.mood.Store("work")
	server := httptest.NewServer(l)
	s.url = server.URL
	s.t.Cleanup(func() {
		server.Close()
		l.creation.Wait()
	})
	return l
}

// ServeHTTP implements http.Handler.
func (l *lossy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := event.Read(r, l.site.token)
	if err != nil {
		l.site.t.Error(err)
	}
	l.events.Add(1)
	mood := l.mood.Load()
	if mood == "mixed" {
		mood = []string{"work", "work", "lose", "fail", "double"}[rand.IntN(5)]
	}
	switch mood {
	case "fail":
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "double":
		l.creation.Go(func() { l.create(e) })
		fallthrough
	case "work":
		l.creation.Go(func() { l.create(e) })
	}
	w.WriteHeader(http.StatusAccepted)
}

// create makes the PipelineRun that the TriggerTemplate would.
func (l *lossy) create(e event.Event) {
	run := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
		"spec": map[string]any{"pipelineRef": map[string]any{"name": "osbs"}, "status": "PipelineRunPending", "managedBy": nobody},
	}}
	run.SetName(e.PipelineRunName)
	run.SetLabels(map[string]string{event.LabelBuildConfig: e.BuildConfig, event.LabelAutorebuild: "true"})
	run.SetAnnotations(map[string]string{event.AnnotationBaseDigest: e.BaseDigest, event.AnnotationReasons: e.Reasons})
	_, err := l.site.all.Resource(pipelineRuns).Namespace(l.site.Name).Create(l.site.t.Context(), run, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) && l.site.t.Context().Err() == nil {
		l.site.t.Error(err)
	}
}

// An EventListener that loses, fails and doubles, under a watcher that is killed: nothing is missed, nothing is twice.
func TestLossyEventListener(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	l := newLossy(s)
	const n = 100
	s.move("base", 1)
	s.configs(n, "base")
	l.mood.Store("mixed")
	w := s.watch("-confirm-timeout=2s")
	s.move("base", 2)
	for range 4 {
		s.quiet(time.Duration(1000+rand.IntN(2000)) * time.Millisecond)
		w.kill()
		s.freeLead()
		w = s.watch("-confirm-timeout=2s")
	}
	s.expect(n, 5*time.Minute)
	s.quiet(5 * time.Second)
	s.exactly(n)
	t.Logf("%d events for %d PipelineRuns", l.events.Load(), n)
}

// The command that runs once, for cron and for people.
func TestOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	newLossy(s)
	s.move("base", 1)
	s.configs(5, "base")
	s.move("base", 2)
	s.once()
	s.exactly(5)
	s.once()
	s.exactly(5)
	for _, name := range []string{"app0000", "app0004"} {
		if got := s.tried(name); got != digest(2) {
			t.Errorf("%s has seen %s", name, got)
		}
	}
}

// Bases of another namespace that may not be read stop nothing else; when they may be read, what is built on them follows.
func TestNamespaceThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, false), newSite(t, false)
	newLossy(s)
	s.move("base", 1)
	other.move("tools", 1)
	s.config("app", "base")
	s.config("foreign", "tools")
	s.must(s.change("foreign", func(bc *buildconfig.BuildConfig) { bc.Triggers[0].Namespace = other.Name }))
	w := s.watch("-watch-namespace=" + other.Name)
	s.move("base", 2)
	other.move("tools", 2)
	s.expect(1, time.Minute)
	denied := fmt.Sprintf(`osbs_imagewatch_denied{what="ImageStreams of %s"}`, other.Name)
	s.until("the metric says so", time.Minute, func() bool { return w.metric(denied) == 1 })
	if !contains(w.said(), "may not be read", other.Name) {
		t.Errorf("the log does not say so:\n%s", w.said())
	}
	_, err := s.Kube.RbacV1().RoleBindings(other.Name).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "watched"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "osbs-imagewatch"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "osbs-imagewatch", Namespace: s.Name}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.expect(2, 2*time.Minute)
	s.until("the metric says so", time.Minute, func() bool { return w.metric(denied) == 0 })
	s.quiet(3 * time.Second)
	s.exactly(2)
}
