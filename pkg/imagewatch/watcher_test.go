package imagewatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	imagefake "github.com/openshift/client-go/image/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	sourcetesting "k8s.io/client-go/tools/cache/testing"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// rig is an API for one watcher or several, and an EventListener, all in this process. The time is that of package synctest.
type rig struct {
	t     *testing.T
	kube  *fake.Clientset
	image *imagefake.Clientset
	runs  *sourcetesting.FakeControllerSource
	el    *listener
	o     Options
}

func newRig(t *testing.T) *rig {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("not a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &rig{
		t: t, kube: fake.NewClientset(), image: imagefake.NewClientset(), runs: sourcetesting.NewFakeControllerSource(),
		o: Options{Namespace: space, URL: "http://el-osbs.team.svc:8080", TokenFile: token, Identity: "a"},
	}
	r.el = &listener{t: t, runs: r.runs, token: []byte("not a secret"), made: map[string]int{}}
	t.Cleanup(r.runs.Shutdown)
	version := 0
	bump := func(action clienttesting.Action) (bool, runtime.Object, error) { // the fake leaves the resource version as it is
		version++
		if a, ok := action.(clienttesting.CreateAction); ok {
			if object, ok := a.GetObject().(metav1.Object); ok {
				object.SetResourceVersion(fmt.Sprint(version))
			}
		}
		return false, nil, nil
	}
	for _, verb := range []string{"create", "update"} {
		r.kube.PrependReactor(verb, "configmaps", bump)
		r.image.PrependReactor(verb, "imagestreams", bump)
	}
	return r
}

func digestOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// stream gives name:latest a digest.
func (r *rig) stream(namespace, name string, n int) {
	r.t.Helper()
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "latest", Items: []imagev1.TagEvent{{Image: digestOf(n), Created: metav1.Now(), Generation: int64(n)}}}}
	streams := r.image.ImageV1().ImageStreams(namespace)
	if before, err := streams.Get(context.Background(), name, metav1.GetOptions{}); err == nil {
		s.Status.Tags[0].Items = append(s.Status.Tags[0].Items, before.Status.Tags[0].Items...)
	}
	_, err := streams.Create(context.Background(), s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = streams.Update(context.Background(), s, metav1.UpdateOptions{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// config is a build config that was built on digest 1 of each base, name or namespace/name.
func (r *rig) config(name string, bases ...string) {
	r.t.Helper()
	bc := &buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", ImageStream: name, Tags: []string{"latest"},
		LastBuild: &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
	}
	for _, base := range bases {
		namespace, stream, found := strings.Cut(base, "/")
		if !found {
			namespace, stream = "", base
		}
		image := "r.example.com/" + stream + "@" + digestOf(1)
		bc.Triggers = append(bc.Triggers, buildconfig.Trigger{
			ImageStreamTag: stream + ":latest", Namespace: namespace, LastTriggeredImage: image, LastBuiltImage: image,
		})
	}
	cm, err := configmap.To(bc)
	if err != nil {
		r.t.Fatal(err)
	}
	cm.Namespace = space
	if _, err := r.kube.CoreV1().ConfigMaps(space).Create(context.Background(), cm, metav1.CreateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// ask notes a person's request in a build config.
func (r *rig) ask(name string, at time.Time) {
	r.t.Helper()
	bc, _ := r.buildConfig(name)
	bc.Requested = &buildconfig.Request{Time: at, User: "anne"}
	cm, err := configmap.To(bc)
	if err == nil {
		_, err = r.kube.CoreV1().ConfigMaps(space).Update(r.t.Context(), cm, metav1.UpdateOptions{})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) buildConfig(name string) (*buildconfig.BuildConfig, *corev1.ConfigMap) {
	r.t.Helper()
	cm, err := r.kube.CoreV1().ConfigMaps(space).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	bc, err := configmap.From(cm)
	if err != nil {
		r.t.Fatal(err)
	}
	return bc, cm
}

// change changes a build config.
func (r *rig) change(name string, change func(*buildconfig.BuildConfig)) {
	r.t.Helper()
	bc, _ := r.buildConfig(name)
	change(bc)
	cm, err := configmap.To(bc)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.kube.CoreV1().ConfigMaps(space).Update(context.Background(), cm, metav1.UpdateOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// eventsOf are the reasons of the Kubernetes Events on a build config.
func (r *rig) eventsOf(name string) []string {
	r.t.Helper()
	list, err := r.kube.CoreV1().Events(space).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, e := range list.Items {
		if e.InvolvedObject.Name == name && e.InvolvedObject.Kind == "ConfigMap" {
			out = append(out, e.Reason)
		}
	}
	slices.Sort(out)
	return out
}

func (r *rig) watcher(change func(*Options)) *Watcher {
	r.t.Helper()
	o := r.o
	if change != nil {
		change(&o)
	}
	w, err := New(o, situation.Clients{Kube: r.kube, Image: r.image, Runs: cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  func(_ context.Context, o metav1.ListOptions) (runtime.Object, error) { return r.runs.List(o) },
		WatchFuncWithContext: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) { return r.runs.Watch(o) },
	}, r.kube)})
	if err != nil {
		r.t.Fatal(err)
	}
	w.http.Transport = r.el
	return w
}

// start has a watcher lead, without an election, until the function that it returns is called, as if it was killed then.
func (r *rig) start(change func(*Options)) (kill func()) {
	w := r.watcher(change)
	return r.run(func(ctx context.Context) error {
		return w.watching(ctx, func(ctx context.Context) error { return w.lead(ctx, false) })
	})
}

func (r *rig) run(watch func(context.Context) error) (kill func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- watch(ctx) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			r.t.Errorf("the watcher ended with %v", err)
		}
	}
}

// after lets the cluster work for a time.
func after(d time.Duration) {
	time.Sleep(d) // of the synctest bubble
	synctest.Wait()
}

// listener is an EventListener: it verifies, answers, and perhaps makes a PipelineRun, at once or when told.
type listener struct {
	t     *testing.T
	runs  *sourcetesting.FakeControllerSource
	token []byte
	mu    sync.Mutex
	// answer says what to do with the n-th event, from 0; nil is "make".
	answer func(n int, e event.Event) answer
	got    []event.Event
	late   []event.Event
	made   map[string]int
}

type answer string

const (
	makeRun  answer = "make"
	makeLate answer = "late" // 202, and a PipelineRun when told
	lose     answer = "lose" // 202 and nothing
	fails    answer = "fail" // 500
	hang     answer = "hang"
	refuse   answer = "refuse" // no connection
)

func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	e, err := event.Read(r, l.token)
	if err != nil {
		l.t.Error(err)
	}
	l.mu.Lock()
	n := len(l.got)
	l.got = append(l.got, e)
	what := makeRun
	if l.answer != nil {
		what = l.answer(n, e)
	}
	status := http.StatusAccepted
	switch what {
	case makeRun:
		l.make(e)
	case makeLate:
		l.late = append(l.late, e)
	case fails:
		status = http.StatusInternalServerError
	}
	l.mu.Unlock()
	switch what {
	case refuse:
		return nil, errors.New("connection refused")
	case hang:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
}

func (l *listener) make(e event.Event) {
	if l.made[e.PipelineRunName]++; l.made[e.PipelineRunName] > 1 {
		return // AlreadyExists
	}
	l.runs.Add(runOf(e))
}

func (l *listener) makeLate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.late {
		l.make(e)
	}
	l.late = nil
}

func (l *listener) count() (events, runs int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.got), len(l.made)
}

func (l *listener) last() event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.got) == 0 {
		return event.Event{}
	}
	return l.got[len(l.got)-1]
}

// runOf is the PipelineRun that the TriggerTemplate makes of an event.
func runOf(e event.Event) *situation.PipelineRun {
	run := &situation.PipelineRun{}
	run.Name, run.Namespace, run.CreationTimestamp = e.PipelineRunName, space, metav1.Now()
	run.Labels = map[string]string{event.LabelBuildConfig: e.BuildConfig, event.LabelAutorebuild: "true"}
	run.Annotations = map[string]string{event.AnnotationBaseDigest: e.BaseDigest, event.AnnotationReasons: e.Reasons}
	return run
}

// finish ends a PipelineRun.
func (r *rig) finish(e event.Event, status metav1.ConditionStatus, results map[string]string) {
	run := runOf(e)
	now := metav1.Now()
	run.Status.CompletionTime = &now
	run.Status.Conditions = []situation.Condition{{Type: "Succeeded", Status: status, Reason: "Failed", Message: "RUN failed"}}
	for name, value := range results {
		text, _ := json.Marshal(value)
		run.Status.Results = append(run.Status.Results, situation.Param{Name: name, Value: text})
	}
	r.runs.Modify(run)
}

func (r *rig) expect(events, runs int) {
	r.t.Helper()
	if e, n := r.el.count(); e != events || n != runs {
		r.t.Errorf("%d events and %d PipelineRuns, want %d and %d", e, n, events, runs)
	}
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 1)
		r.stream(space, "app", 5)
		r.config("app", "base")
		r.config("top", "app")
		defer r.start(nil)()
		after(time.Minute)
		bc, _ := r.buildConfig("top") // on digest 1 of app, which has digest 5
		if buildconfig.Digest(bc.Triggers[0].LastTriggeredImage) != digestOf(5) {
			t.Errorf("trigger %+v", bc.Triggers[0])
		}
		r.expect(1, 1)
		r.stream(space, "base", 2)
		after(time.Second)
		r.expect(2, 2)
		e := r.el.last()
		if e.BuildConfig != "app" || e.BaseDigest != "base:latest="+digestOf(2) || e.BaseOldDigest != digestOf(1) || e.Reason != "BaseMoved" {
			t.Errorf("%+v", e)
		}
		bc, cm := r.buildConfig("app")
		if got := bc.Triggers[0]; got.LastTriggeredImage != "r.example.com/base@"+digestOf(2) || got.LastBuiltImage != "r.example.com/base@"+digestOf(1) {
			t.Errorf("trigger %+v", got)
		}
		if !strings.HasSuffix(cm.Annotations[situation.AnnotationLastAutorebuild], e.PipelineRunName) {
			t.Errorf("annotations %v", cm.Annotations)
		}
		r.finish(e, metav1.ConditionFalse, nil)
		after(time.Hour)
		r.expect(2, 2) // what failed is not tried again
		if bc, _ = r.buildConfig("app"); bc.LastBuild.Name != e.PipelineRunName || bc.LastBuild.Outcome != buildconfig.Failed || bc.LastBuild.Message != "RUN failed" {
			t.Errorf("last build %+v", bc.LastBuild)
		}
		if got := r.eventsOf("app"); !slices.Equal(got, []string{"RebuildFailed", "RebuildStarted"}) {
			t.Errorf("events %v", got)
		}
		r.runs.Delete(runOf(e)) // pruned
		after(time.Hour)
		r.expect(2, 2)
		r.stream(space, "base", 3)
		after(time.Second)
		r.expect(3, 3)
	})
}

// A person asks for a rebuild of what is up to date: one event, with nobody's base; the request goes when the PipelineRun exists.
func TestRequested(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 1)
		r.config("app", "base")
		r.config("scratch")
		defer r.start(nil)()
		after(time.Minute)
		r.expect(0, 0)
		for n, name := range []string{"app", "scratch"} {
			at := time.Now()
			r.ask(name, at)
			after(5 * time.Second)
			r.expect(n+1, n+1)
			e := r.el.last()
			want := event.Event{Reason: "Requested", CausedBy: "anne", PipelineRunName: rebuild.RequestName(name, at, 0)}
			if name == "app" {
				want.BaseDigest = "base:latest=" + digestOf(1)
			}
			if e.Reason != want.Reason || e.CausedBy != want.CausedBy || e.PipelineRunName != want.PipelineRunName || e.BaseDigest != want.BaseDigest || e.Base != "" {
				t.Errorf("%+v", e)
			}
			if bc, _ := r.buildConfig(name); bc.Requested != nil {
				t.Errorf("the request is still there: %v", bc.Requested)
			}
			r.finish(e, metav1.ConditionFalse, nil)
			after(time.Hour)
			r.expect(n+1, n+1)
		}
	})
}

// An EventListener that loses, refuses, fails and hangs gets the event again until there is a PipelineRun.
func TestUntilThereIsARun(t *testing.T) {
	t.Parallel()
	for _, bad := range []answer{lose, fails, hang, refuse} {
		t.Run(string(bad), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.stream(space, "base", 2)
				for i := range 10 {
					r.config(fmt.Sprintf("app%d", i), "base")
				}
				down := true
				r.el.answer = func(int, event.Event) answer {
					if down {
						return bad
					}
					return makeRun
				}
				defer r.start(func(o *Options) { o.MaxConcurrent = 0; o.Rate = 0 })()
				after(10 * time.Minute)
				events, runs := r.el.count()
				if events < 5 || events > 200 || runs != 0 {
					t.Errorf("%d events in ten minutes, %d PipelineRuns", events, runs)
				}
				r.el.mu.Lock()
				down = false
				r.el.mu.Unlock()
				after(10 * time.Minute)
				after2, runs := r.el.count()
				if runs != 10 || after2 > events+10 {
					t.Errorf("%d events in the end, %d before; %d PipelineRuns", after2, events, runs)
				}
				if got := r.eventsOf("app0"); !slices.Contains(got, "RebuildStarted") {
					t.Errorf("events %v", got)
				}
			})
		})
	}
}

// Killed between its event and the PipelineRun, and again: one PipelineRun.
func TestKilledAroundDelivery(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]bool{"PipelineRun before the next watcher": true, "after it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.stream(space, "base", 2)
				r.config("app", "base")
				r.el.answer = func(int, event.Event) answer { return makeLate }
				for range 3 {
					kill := r.start(nil)
					after(time.Second)
					kill()
				}
				if late {
					r.el.makeLate()
				}
				defer r.start(nil)()
				after(time.Minute)
				r.el.makeLate()
				after(time.Hour)
				if _, runs := r.el.count(); runs != 1 {
					t.Errorf("%d PipelineRuns", runs)
				}
				if bc, _ := r.buildConfig("app"); buildconfig.Digest(bc.Triggers[0].LastTriggeredImage) != digestOf(2) {
					t.Errorf("trigger %+v", bc.Triggers[0])
				}
			})
		})
	}
}

func TestOneOfTwoLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 2)
		r.config("app", "base")
		first := r.run(r.watcher(nil).Run)
		after(time.Second)
		second := r.run(r.watcher(func(o *Options) { o.Identity = "b" }).Run)
		after(time.Minute)
		r.expect(1, 1)
		first()
		r.stream(space, "base", 3)
		after(time.Minute)
		r.finish(r.el.last(), metav1.ConditionTrue, nil) // what digest 2 was built into does not matter any more
		after(time.Minute)
		r.expect(2, 2)
		second()
	})
}

func TestBudgetAndRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 2)
		for i := range 30 {
			r.config(fmt.Sprintf("app%02d", i), "base")
		}
		kill := r.start(func(o *Options) { o.MaxConcurrent = 4; o.Rate = 6 })
		after(time.Second)
		r.expect(1, 1) // the burst of 6 a minute is 1
		after(time.Hour)
		r.expect(4, 4)
		kill()
		defer r.start(func(o *Options) { o.MaxConcurrent = 0; o.Rate = 6 })()
		after(65 * time.Second)
		if _, runs := r.el.count(); runs < 10 || runs > 12 {
			t.Errorf("%d PipelineRuns after a minute, 4 before", runs)
		}
		after(time.Hour)
		r.expect(30, 30)
	})
}

func TestPaused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 2)
		r.config("app", "base")
		mark := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "osbs-paused", Namespace: space}}
		if _, err := r.kube.CoreV1().ConfigMaps(space).Create(t.Context(), mark, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		defer r.start(nil)()
		after(time.Hour)
		r.expect(0, 0)
		if err := r.kube.CoreV1().ConfigMaps(space).Delete(t.Context(), mark.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		r.expect(1, 1)
	})
}

// A namespace that may not be read does not stop the rest, and is said once; when it may be read, its bases count.
func TestOtherNamespaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 2)
		r.stream("shared", "tools", 2)
		r.config("app", "base")
		r.config("other", "shared/tools")
		var allowed bool
		var mu sync.Mutex
		r.image.PrependReactor("list", "imagestreams", func(a clienttesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			if a.GetNamespace() == "shared" && !allowed {
				return true, nil, apierrors.NewForbidden(imagev1.Resource("imagestreams"), "", errors.New("no"))
			}
			return false, nil, nil
		})
		w := r.watcher(func(o *Options) { o.WatchNamespaces = []string{"shared"} })
		defer r.run(w.Run)()
		after(time.Minute)
		r.expect(1, 1)
		if got := get(t, w, "/metrics"); !strings.Contains(got, `osbs_imagewatch_denied{what="ImageStreams of shared"} 1`) {
			t.Errorf("metrics:\n%s", got)
		}
		mu.Lock()
		allowed = true
		mu.Unlock()
		after(5 * time.Minute)
		r.expect(2, 2)
		if e := r.el.last(); e.BuildConfig != "other" || e.Base != "shared/tools:latest" || e.BaseDigest != "tools:latest="+digestOf(2) {
			t.Errorf("%+v", e)
		}
		if got := get(t, w, "/metrics"); !strings.Contains(got, `osbs_imagewatch_denied{what="ImageStreams of shared"} 0`) ||
			!strings.Contains(got, "osbs_imagewatch_rebuilds_started_total 2") || !strings.Contains(got, "osbs_imagewatch_leader 1") {
			t.Errorf("metrics:\n%s", got)
		}
		if get(t, w, "/readyz") != "ok\n" || get(t, w, "/healthz") != "ok\n" {
			t.Error("not ready, or not healthy")
		}
	})
}

// What may not be read any more is shown until it is read again.
func TestDeniedLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 1)
		r.config("app", "base")
		w := r.watcher(nil)
		defer r.run(w.Run)()
		after(time.Minute)
		const what = "ImageStreams of " + space
		shown := func(want string) {
			t.Helper()
			if got := get(t, w, "/metrics"); !strings.Contains(got, `osbs_imagewatch_denied{what="`+what+`"} `+want+"\n") {
				t.Errorf("not %s in the metrics:\n%s", want, got)
			}
		}
		w.caches.tell(w.o, what)(t.Context(), nil, apierrors.NewForbidden(imagev1.Resource("imagestreams"), "", errors.New("no")))
		after(10 * time.Minute)
		shown("1")
		r.stream(space, "base", 2)
		after(time.Minute)
		shown("0")
	})
}

func get(t *testing.T, w *Watcher, path string) string {
	t.Helper()
	out := httptest.NewRecorder()
	w.Handler().ServeHTTP(out, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return out.Body.String()
}

func TestScheduledImports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "half", 1) // has latest, but not 2
		r.config("app", "base", "half", "shared/tools")
		r.config("top", "app") // app has no ImageStream yet, but a build config makes it
		r.config("plain", "plain")
		defer r.start(func(o *Options) { o.Insecure, o.ScheduledImports = []string{"r.example.com"}, true })()
		after(time.Minute)
		list, err := r.image.ImageV1().ImageStreams(space).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range list.Items {
			names = append(names, s.Name)
		}
		if want := []string{"base", "half"}; !slices.Equal(names, want) { // plain is built on itself
			t.Fatalf("ImageStreams %v, want %v", names, want)
		}
		tag := list.Items[0].Spec.Tags[0]
		if tag.Name != "latest" || tag.From.Name != "r.example.com/base:latest" || !tag.ImportPolicy.Scheduled || !tag.ImportPolicy.Insecure {
			t.Errorf("tag %+v", tag)
		}
	})
}

func TestOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 2)
		r.config("app", "base")
		r.config("top", "app")
		r.el.answer = func(n int, _ event.Event) answer {
			if n == 0 {
				return lose
			}
			return makeRun
		}
		if err := r.watcher(nil).Once(t.Context()); err != nil {
			t.Error(err)
		}
		r.expect(2, 1)
		if bc, _ := r.buildConfig("app"); buildconfig.Digest(bc.Triggers[0].LastTriggeredImage) != digestOf(2) {
			t.Errorf("trigger %+v", bc.Triggers[0])
		}
		r.stream(space, "base", 3)
		r.finish(r.el.last(), metav1.ConditionTrue, nil)
		r.el.answer = func(int, event.Event) answer { return fails }
		if err := r.watcher(nil).Once(t.Context()); failure.KindOf(err) != failure.Unavailable {
			t.Errorf("error %v", err)
		}
		r.expect(5, 1)
	})
}

// What cannot be read, or cannot become an event, stops nobody else and is told.
func TestMalformed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 2)
		r.config("app", "base")
		r.config(strings.Repeat("a", 64), "base") // no label's value
		r.config("bad", "base")
		_, cm := r.buildConfig("bad")
		cm.Annotations[configmap.AnnotationTriggers] = "["
		if _, err := r.kube.CoreV1().ConfigMaps(space).Update(t.Context(), cm, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		defer r.start(nil)()
		after(time.Hour)
		r.expect(1, 1)
		if got := r.eventsOf("bad"); !slices.Equal(got, []string{"Malformed"}) {
			t.Errorf("events of bad: %v", got)
		}
		if got := r.eventsOf(strings.Repeat("a", 64)); len(got) == 0 || got[0] != "RebuildNotDelivered" {
			t.Errorf("events: %v", got)
		}
	})
}

// A user's build that had read the older base waits for the lock, and ends after the rebuild: there is one more rebuild.
func TestUndone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 1)
		r.config("app", "base")
		defer r.start(nil)()
		r.stream(space, "base", 2)
		after(time.Second)
		r.expect(1, 1)
		ends := func(build string, n int) {
			r.change("app", func(bc *buildconfig.BuildConfig) {
				made := "r.example.com/base@" + digestOf(n)
				bc.Triggers[0].LastTriggeredImage, bc.Triggers[0].LastBuiltImage = made, made
				bc.LastBuild = &buildconfig.LastBuild{Name: build, Outcome: buildconfig.Succeeded, Ended: time.Now()}
			})
		}
		ends(r.el.last().PipelineRunName, 2)
		r.finish(r.el.last(), metav1.ConditionTrue, nil)
		after(time.Minute)
		ends("of-a-user", 1)
		after(time.Minute)
		r.expect(2, 2)
		if e := r.el.last(); e.BaseDigest != "base:latest="+digestOf(2) {
			t.Errorf("%+v", e)
		}
		ends(r.el.last().PipelineRunName, 2)
		r.finish(r.el.last(), metav1.ConditionTrue, nil)
		after(time.Hour)
		r.expect(2, 2)
	})
}

// PipelineRuns that nobody has asked for are told of, once each; those that another leader has asked for are not.
func TestUnexpected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// spoil changes an event whose PipelineRun is gone, and of which another one comes.
		spoil func(*event.Event)
		// moves is how often the base moves after the event, and late how long the PipelineRun comes after that.
		moves, unexpected int
		late              time.Duration
	}{
		"asked for by another leader": {nil, 0, 0, time.Second},
		"and the base has just moved": {nil, 1, 0, time.Second},
		"replayed":                    {nil, 1, 1, time.Hour},
		"a digest that no tag has":    {func(e *event.Event) { e.BaseDigest = "base:latest=" + digestOf(9) }, 0, 1, time.Second},
		"no such stream":              {func(e *event.Event) { e.BaseDigest = "tools:latest=" + digestOf(9) }, 0, 1, time.Second},
		"no digest":                   {func(e *event.Event) { e.BaseDigest = "" }, 0, 1, time.Second},
		"another name":                {func(e *event.Event) { e.PipelineRunName = "app-by-hand" }, 0, 1, time.Second},
		"no such build config":        {func(e *event.Event) { e.BuildConfig = "none" }, 0, 1, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.stream(space, "base", 1)
				r.config("app", "base")
				r.el.answer = func(int, event.Event) answer { return lose }
				former := r.start(nil)
				r.stream(space, "base", 2)
				after(time.Second)
				former()
				e := r.el.last()
				if c.spoil != nil {
					c.spoil(&e)
				}
				for i := range c.moves {
					r.stream(space, "base", 3+i)
				}
				after(c.late)
				run := runOf(e)
				run.UID = "1"
				r.runs.Add(run)
				w := r.watcher(nil)
				defer r.run(func(ctx context.Context) error {
					return w.watching(ctx, func(ctx context.Context) error { return w.lead(ctx, false) })
				})()
				after(time.Minute)
				want := fmt.Sprintf("osbs_imagewatch_unexpected_rebuilds_total %d\n", c.unexpected)
				if got := get(t, w, "/metrics"); !strings.Contains(got, want) {
					t.Errorf("not %q in the metrics:\n%s", want, got)
				}
				if got := slices.Contains(r.eventsOf("app"), "RebuildUnexpected"); got != (c.unexpected > 0 && e.BuildConfig == "app") {
					t.Errorf("told: %t", got)
				}
			})
		})
	}
}

// A PipelineRun that was recorded, is deleted, and comes again from a recorded event.
func TestUnexpectedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.stream(space, "base", 1)
		r.config("app", "base")
		w := r.watcher(nil)
		defer r.run(func(ctx context.Context) error {
			return w.watching(ctx, func(ctx context.Context) error { return w.lead(ctx, false) })
		})()
		r.stream(space, "base", 2)
		after(time.Minute)
		r.runs.Delete(runOf(r.el.last()))
		after(time.Second)
		again := runOf(r.el.last())
		again.UID = "2"
		r.runs.Add(again)
		after(time.Minute)
		r.expect(1, 1)
		if got := get(t, w, "/metrics"); !strings.Contains(got, "osbs_imagewatch_unexpected_rebuilds_total 1\n") {
			t.Errorf("metrics:\n%s", got)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no namespace": {URL: "http://x", TokenFile: "x"},
		"no URL":       {Namespace: "x", TokenFile: "x"},
		"no token":     {Namespace: "x", URL: "http://x"},
		"rate":         {Namespace: "x", URL: "http://x", TokenFile: "x", Rate: -1},
		"in flight":    {Namespace: "x", URL: "http://x", TokenFile: "x", InFlight: -1},
	} {
		if _, err := New(o, situation.Clients{}); failure.KindOf(err) != failure.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
