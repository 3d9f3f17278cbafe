package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/osbs-tekton/osbs/internal/apitest"
	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

const (
	leases = "coordination.k8s.io/v1/leases"
	runs   = "tekton.dev/v1/pipelineruns"
	pods   = "v1/pods"
)

// fakeCluster is an API server with PipelineRuns, behind a proxy that may fail.
type fakeCluster struct {
	*apitest.Server
	proxy *faultproxy.Proxy
}

func newCluster(t *testing.T) fakeCluster {
	t.Helper()
	s := apitest.Start(t, leases, runs, pods)
	return fakeCluster{s, faultproxy.Start(t, s.URL)}
}

// locker is the one of one program.
func (c fakeCluster) locker(t *testing.T) *Lease {
	t.Helper()
	l := NewLease(apitest.Client(t, c.proxy.URL), step.Env{})
	l.poll = 2 * time.Millisecond
	return l
}

// run stores a PipelineRun and returns a request of its; second is when it was created.
func (c fakeCluster) run(t *testing.T, name string, second int, status metav1.ConditionStatus) Request {
	t.Helper()
	created := epoch.Add(time.Duration(second) * time.Second)
	r := pipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name + "-uid"), CreationTimestamp: metav1.NewTime(created)}}
	r.Status.Conditions = append(r.Status.Conditions, struct {
		Type   string                 `json:"type"`
		Status metav1.ConditionStatus `json:"status"`
	}{"Succeeded", status})
	c.Put(t, runs, r)
	return Request{Holder: Holder{Build: name, UID: name + "-uid"}, Policy: Wait}
}

func (c fakeCluster) running(t *testing.T, name string, second int) Request {
	t.Helper()
	return c.run(t, name, second, metav1.ConditionUnknown)
}

func (c fakeCluster) ended(t *testing.T, name string) {
	t.Helper()
	c.run(t, name, 0, metav1.ConditionFalse)
}

// pod stores a pod of a build that runs. gone, if not 0, is how long ago it had to be gone.
func (c fakeCluster) pod(t *testing.T, build string, phase string, gone time.Duration) {
	t.Helper()
	p := map[string]any{"metadata": map[string]any{"name": build + "-pod", "labels": map[string]string{labelRunUID: build + "-uid"}}, "status": map[string]string{"phase": phase}}
	if gone != 0 {
		p["metadata"].(map[string]any)["deletionTimestamp"] = metav1.NewTime(time.Now().Add(-gone))
	}
	c.Put(t, pods, p)
}

func acquire(t *testing.T, l *Lease, r Request) {
	t.Helper()
	if err := l.Acquire(t.Context(), "app", r); err != nil {
		t.Fatal(err)
	}
}

func failing(r Request) Request { r.Policy = Fail; return r }

func automatic(r Request) Request { r.Autorebuild = true; return r }

func TestLeaseUnderFail(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := c.locker(t)
	wantHolder(t, l, "")
	a, b, d := failing(c.running(t, "a", 1)), failing(c.running(t, "b", 2)), c.running(t, "d", 3)
	for range 2 { // the second time it holds it already
		acquire(t, l, a)
	}
	wantHolder(t, l, "a")
	err := l.Acquire(t.Context(), "app", b)
	wantKind(t, err, failure.Conflict)
	if want := "Build a for app in state Running, can't proceed."; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	done := make(chan error, 1)
	go func() { done <- l.Acquire(t.Context(), "app", d) }()
	c.waits(t, l, "d")
	err = c.locker(t).Acquire(t.Context(), "app", b)
	if want := "Multiple builds for app running, can't proceed: a, d"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := l.Release(t.Context(), "app", b.Holder); err != nil {
		t.Error(err)
	}
	wantHolder(t, l, "a")
	c.ended(t, "a")
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.ended(t, "d")
	acquire(t, l, b)
	if err := l.Release(t.Context(), "app", b.Holder); err != nil {
		t.Error(err)
	}
	wantHolder(t, l, "")
	if err := l.Release(t.Context(), "other", b.Holder); err != nil || c.UID(leases, "other") != "" {
		t.Errorf("the release of a lock that nobody took: %v", err)
	}
}

// waits waits until exactly these builds wait, in this order.
func (c fakeCluster) waits(t *testing.T, l *Lease, want ...string) {
	t.Helper()
	waitFor(t, fmt.Sprint(want, " to wait"), func() bool {
		got, err := l.Waiting(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		return slices.EqualFunc(got, want, func(h Holder, name string) bool { return h.Build == name })
	})
}

// What becomes of a holder, and whether the lock is free then.
func TestLeaseOfAHolderThatIsGone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, c fakeCluster)
		free   bool
	}{
		"runs":              {func(*testing.T, fakeCluster) {}, false},
		"has no status yet": {func(t *testing.T, c fakeCluster) { c.run(t, "a", 1, "") }, false},
		"succeeded":         {func(t *testing.T, c fakeCluster) { c.run(t, "a", 1, metav1.ConditionTrue) }, true},
		"failed":            {func(t *testing.T, c fakeCluster) { c.run(t, "a", 1, metav1.ConditionFalse) }, true},
		"deleted":           {func(_ *testing.T, c fakeCluster) { c.Remove(runs, "a") }, true},
		"another of its name": {func(t *testing.T, c fakeCluster) {
			c.Put(t, runs, pipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
		}, true},
		"is being deleted": {func(t *testing.T, c fakeCluster) {
			now := metav1.Now()
			c.Put(t, runs, pipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "a-uid", DeletionTimestamp: &now}})
		}, true},
		"deleted, its pod runs":                   {func(t *testing.T, c fakeCluster) { c.Remove(runs, "a"); c.pod(t, "a", "Running", 0) }, false},
		"cancelled, its pod is being ended":       {func(t *testing.T, c fakeCluster) { c.ended(t, "a"); c.pod(t, "a", "Running", -time.Minute) }, false},
		"deleted, its pod has ended":              {func(t *testing.T, c fakeCluster) { c.Remove(runs, "a"); c.pod(t, "a", "Succeeded", 0) }, true},
		"deleted, its pod's node does not answer": {func(t *testing.T, c fakeCluster) { c.Remove(runs, "a"); c.pod(t, "a", "Running", time.Hour) }, true},
		"deleted, another build's pod runs":       {func(t *testing.T, c fakeCluster) { c.Remove(runs, "a"); c.pod(t, "z", "Running", 0) }, true},
		"Tekton's API is not served":              {func(_ *testing.T, c fakeCluster) { c.notServed("pipelineruns/a$") }, false},
		"deleted, but nobody knows what pods there are": {func(_ *testing.T, c fakeCluster) {
			c.Remove(runs, "a")
			c.proxy.Add(faultproxy.Rule{Path: "/pods", Fault: apitest.Status(http.StatusForbidden, metav1.StatusReasonForbidden, "no")})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			l := c.locker(t)
			acquire(t, l, c.running(t, "a", 1))
			b := failing(c.running(t, "b", 2))
			test.change(t, c)
			if err := l.Acquire(t.Context(), "app", b); (err == nil) != test.free {
				t.Errorf("acquire: %v, want free=%v", err, test.free)
			}
		})
	}
}

// notServed has the proxy answer as an API server does that does not know the resource.
func (c fakeCluster) notServed(path string) {
	c.proxy.Add(faultproxy.Rule{Path: path, Fault: faultproxy.Answer(http.StatusNotFound, "text/plain", "404 page not found\n")})
}

// The order in which builds get the lock, whatever order they arrive in.
func TestLeaseOrder(t *testing.T) {
	t.Parallel()
	type arrival struct {
		name   string
		second int
		auto   bool
	}
	for name, test := range map[string]struct {
		arrivals           []arrival
		waiting, dead      []string
		superseded, served []string
	}{
		"creation":           {arrivals: []arrival{{"late", 9, false}, {"early", 1, false}, {"middle", 5, false}}, served: []string{"early", "middle", "late"}},
		"created at once":    {arrivals: []arrival{{"y", 2, false}, {"x", 2, false}, {"w", 2, false}}, served: []string{"y", "x", "w"}},
		"newest autorebuild": {arrivals: []arrival{{"old", 1, true}, {"user", 2, false}, {"new", 3, true}}, superseded: []string{"old"}, served: []string{"user", "new"}},
		"older autorebuild arrives late": {
			arrivals: []arrival{{"new", 3, true}, {"user", 4, false}, {"old", 1, true}}, superseded: []string{"old"}, served: []string{"new", "user"},
		},
		"newer autorebuild is dead": {
			arrivals: []arrival{{"user", 1, false}, {"new", 3, true}, {"old", 2, true}}, dead: []string{"new"}, served: []string{"user", "old"},
		},
		"the first of those who wait dies": {
			arrivals: []arrival{{"a", 1, false}, {"b", 2, false}, {"c", 3, false}}, dead: []string{"a"}, served: []string{"b", "c"},
		},
		"those in the middle die": {
			arrivals: []arrival{{"a", 1, false}, {"b", 2, false}, {"c", 3, false}, {"d", 4, false}}, dead: []string{"b", "c"}, served: []string{"a", "d"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			l := c.locker(t)
			acquire(t, l, c.running(t, "first", 0))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			var served, superseded []string
			var wg sync.WaitGroup
			for _, a := range test.arrivals {
				r := c.running(t, a.name, a.second)
				r.Autorebuild = a.auto
				if slices.Contains(test.dead, a.name) {
					c.put(t, l, r)
					c.ended(t, a.name)
					continue
				}
				own := c.locker(t)
				wg.Go(func() {
					err := own.Acquire(ctx, "app", r)
					mu.Lock()
					defer mu.Unlock()
					switch failure.KindOf(err) {
					case "":
						served = append(served, r.Build)
						c.ended(t, r.Build)
					case failure.Skipped:
						superseded = append(superseded, r.Build)
					default:
						t.Error(err)
					}
				})
				waitFor(t, a.name+" to be known", func() bool {
					_, s, err := l.read(ctx, "app")
					mu.Lock()
					defer mu.Unlock()
					return err == nil && (s.knows(r.UID) || slices.Contains(superseded, a.name))
				})
			}
			c.ended(t, "first")
			wg.Wait()
			if diff := cmp.Diff(test.served, served); diff != "" {
				t.Errorf("served: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.superseded, superseded); diff != "" {
				t.Errorf("superseded: -want +got:\n%s", diff)
			}
		})
	}
}

// put has a build wait without a program that looks.
func (c fakeCluster) put(t *testing.T, l *Lease, r Request) {
	t.Helper()
	run, err := l.builds.find(t.Context(), r.Holder)
	if err != nil {
		t.Fatal(err)
	}
	e := entry{Holder: r.Holder, Autorebuild: r.Autorebuild, Created: run.CreationTimestamp.UTC()}
	if _, err := l.look(t.Context(), "app", e, Wait); err != nil {
		t.Fatal(err)
	}
}

// Many programs, an API server on a bad day: 409s, 503s, resets, answers that are lost. Never do two hold the lock, each gets it once.
func TestLeaseContenders(t *testing.T) {
	t.Parallel()
	const contenders = 10
	c := newCluster(t)
	conflict := apitest.Status(http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
	for _, r := range []faultproxy.Rule{
		{Method: http.MethodPut, Skip: 3, Count: 8, Fault: conflict},
		{Method: http.MethodPut, Skip: 15, Count: 3, Fault: faultproxy.ResetAfter()},
		{Method: http.MethodGet, Path: "leases", Skip: 40, Count: 3, Fault: faultproxy.Status(http.StatusServiceUnavailable)},
		{Method: http.MethodGet, Path: "pipelineruns", Skip: 70, Count: 3, Fault: faultproxy.Reset()},
		{Method: http.MethodPost, Count: 1, Fault: faultproxy.ResetAfter()},
	} {
		c.proxy.Add(r)
	}
	var holders, served atomic.Int32
	var wg sync.WaitGroup
	for i := range contenders {
		r, l := c.running(t, fmt.Sprint("b", i), i), c.locker(t)
		wg.Go(func() {
			if err := l.Acquire(t.Context(), "app", r); err != nil {
				t.Error(err)
				return
			}
			if n := holders.Add(1); n != 1 {
				t.Errorf("%d hold the lock", n)
			}
			served.Add(1)
			if h, err := l.Holder(t.Context(), "app"); err != nil || h == nil || h.Build != r.Build {
				t.Errorf("%s holds it, the Lease says %v, %v", r.Build, h, err)
			}
			holders.Add(-1)
			c.ended(t, r.Build)
		})
	}
	wg.Wait()
	if n := served.Load(); n != contenders {
		t.Errorf("%d of %d had the lock", n, contenders)
	}
}

func TestLeaseUnderFailWithContenders(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var held, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 10 {
		r, l := failing(c.running(t, fmt.Sprint("b", i), i)), c.locker(t)
		wg.Go(func() {
			switch err := l.Acquire(t.Context(), "app", r); failure.KindOf(err) {
			case "":
				held.Add(1)
			case failure.Conflict:
				if !strings.HasSuffix(err.Error(), " for app in state Running, can't proceed.") {
					t.Error(err)
				}
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if held.Load() != 1 || refused.Load() != 9 {
		t.Errorf("%d hold it, %d were refused", held.Load(), refused.Load())
	}
}

func TestLeaseWaiterThatGivesUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := c.locker(t)
	acquire(t, l, c.running(t, "a", 1))
	waits := c.locker(t)
	waits.poll = time.Hour // only the cancellation can end it
	b := c.running(t, "b", 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- waits.Acquire(ctx, "app", b) }()
	c.waits(t, l, "b")
	why := failure.New(failure.TimedOut, "too long")
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	_, s, err := l.read(t.Context(), "app")
	if err != nil || s.knows(b.UID) {
		t.Errorf("it is still known: %+v, %v", s, err)
	}
	wantHolder(t, l, "a")
}

// A build that waits bears with an API server that is away; one that has no place yet does not.
func TestLeaseWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := c.locker(t)
	acquire(t, l, c.running(t, "a", 1))
	done := make(chan error, 1)
	b := c.running(t, "b", 2)
	go func() { done <- c.locker(t).Acquire(t.Context(), "app", b) }()
	c.waits(t, l, "b")
	c.proxy.Clear()
	c.proxy.Add(faultproxy.Rule{Count: 30, Fault: faultproxy.Status(http.StatusServiceUnavailable)})
	waitFor(t, "the outage to pass", func() bool { return c.proxy.Count("!$") == 30 })
	c.ended(t, "a")
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.proxy.Add(faultproxy.Rule{Fault: faultproxy.Status(http.StatusServiceUnavailable)})
	wantKind(t, l.Acquire(t.Context(), "app", b), failure.Unavailable)
}

func TestLeaseRefuses(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := c.locker(t)
	b := c.running(t, "b", 1)
	for _, h := range []Holder{{}, {Build: "b"}, {UID: "b-uid"}} {
		wantKind(t, l.Acquire(t.Context(), "app", Request{Holder: h}), failure.Usage)
	}
	wantKind(t, l.Acquire(t.Context(), "app", Request{Holder: Holder{Build: "x", UID: "b-uid"}}), failure.NotFound)
	wantKind(t, l.Acquire(t.Context(), "app", Request{Holder: Holder{Build: "b", UID: "x"}}), failure.NotFound)
	_, err := l.Created(t.Context(), Holder{Build: "b", UID: "x"})
	wantKind(t, err, failure.NotFound)
	if created, err := l.Created(t.Context(), b.Holder); err != nil || !created.Equal(epoch.Add(time.Second)) {
		t.Errorf("created %v, %v", created, err)
	}
	c.run(t, "over", 1, metav1.ConditionFalse)
	wantKind(t, l.Acquire(t.Context(), "app", Request{Holder: Holder{Build: "over", UID: "over-uid"}}), failure.Cancelled)
	wantKind(t, l.Acquire(t.Context(), "../x", b), failure.Usage)

	foreign := coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "foreign"}}
	c.Put(t, leases, foreign)
	wantKind(t, l.Acquire(t.Context(), "foreign", b), failure.Conflict)
	mine, _, err := toLease("queue", nil, &state{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	mine.Annotations = map[string]string{AnnotationQueue: "{"}
	c.Put(t, leases, mine)
	wantKind(t, l.Acquire(t.Context(), "queue", b), failure.InvalidInput)
	holder := "no-uid"
	mine.Name, mine.Annotations, mine.Spec.HolderIdentity = "identity", nil, &holder
	c.Put(t, leases, mine)
	wantKind(t, l.Acquire(t.Context(), "identity", b), failure.InvalidInput)
}

func TestLeaseHoldsABoundedQueue(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := c.locker(t)
	s := &state{Holder: &entry{Holder: Holder{Build: "a", UID: "a-uid"}}}
	c.running(t, "a", 1)
	for i := range maxWaiting {
		s.Waiting = append(s.Waiting, entry{Holder: c.running(t, fmt.Sprint("w", i), 1).Holder, Created: epoch, Arrival: int64(i)})
	}
	lease, _, err := toLease("app", nil, s, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(lease.Annotations[AnnotationQueue]); n > 200<<10 {
		t.Errorf("the annotation has %d bytes", n)
	}
	c.Put(t, leases, lease)
	wantKind(t, l.Acquire(t.Context(), "app", c.running(t, "b", 2)), failure.Unavailable)
}

func TestLeaseForm(t *testing.T) {
	t.Parallel()
	s := &state{Holder: &entry{Holder: Holder{Build: "a", UID: "u"}}, Waiting: []entry{{Holder: Holder{Build: "b", UID: "v"}, Autorebuild: true, Created: epoch, Arrival: 1}}, Next: 1}
	stored, changed, err := toLease("app", nil, s, epoch)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	want := `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"app",` +
		`"labels":{"app.kubernetes.io/managed-by":"osbs","osbs.dev/build-config":"app","osbs.dev/kind":"lock"},"annotations":{"osbs.dev/queue":` +
		`"{\"waiting\":[{\"build\":\"b\",\"uid\":\"v\",\"autorebuild\":true,\"created\":\"2026-01-01T00:00:00Z\",\"arrival\":1}],\"next\":1}"}},` +
		`"spec":{"holderIdentity":"a/u","acquireTime":"2026-01-01T00:00:00.000000Z","renewTime":"2026-01-01T00:00:00.000000Z","leaseTransitions":1}}`
	got, err := json.Marshal(stored)
	if err != nil || string(got) != want {
		t.Errorf("got\n%s, %v, want\n%s", got, err, want)
	}
	if _, changed, err := toLease("app", stored, s, epoch.Add(time.Hour)); err != nil || changed {
		t.Errorf("the same state is a change: %v", err)
	}
	back, err := fromLease(stored)
	s.Holder.Since = epoch
	if diff := cmp.Diff(s, back); diff != "" || err != nil {
		t.Errorf("%v -want +got:\n%s", err, diff)
	}
	free, changed, err := toLease("app", stored, &state{Next: 9}, epoch)
	if err != nil || !changed || free.Spec.HolderIdentity != nil || free.Annotations[AnnotationQueue] != "" || *free.Spec.LeaseTransitions != 1 {
		t.Errorf("got %+v, %v, %v", free, changed, err)
	}
	long, _, err := toLease(strings.Repeat("a", 64), nil, s, epoch)
	if err != nil || long.Labels[LabelBuildConfig] != "" {
		t.Errorf("got %v, %v", long.Labels, err)
	}
}

// Whatever people write into a Lease: it is refused, or a build finds its turn, which the next reader finds too.
func FuzzFromLease(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"a/u", "{"}, {"a", ""}, {"a/u", `{"waiting":[{"build":"b","uid":"v"},{"build":"e","uid":"e"}]}`}, {"/", "null"},
		{"", `{"superseded":[{"build":"e","uid":"e","supersededBy":"x"}]}`}, {"", `{"waiting":[{"build":"b","uid":"v"},{"build":"b","uid":"v"}],"next":-1}`},
	} {
		f.Add(seed[0], seed[1], true)
	}
	f.Fuzz(func(t *testing.T, holder, queue string, auto bool) {
		lease, _, err := toLease("app", nil, &state{}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		lease.Annotations, lease.Spec.HolderIdentity = map[string]string{AnnotationQueue: queue}, &holder
		s, err := fromLease(lease)
		if err != nil {
			return
		}
		e := build("e", 1)
		e.Autorebuild = auto
		res, _ := s.try(e, Wait, epoch)
		if res == waiting {
			if before, _ := s.before(e.UID); before.UID == "" {
				t.Errorf("it waits for nobody: %+v", s)
			}
		}
		next, _, err := toLease("app", lease, s, epoch)
		if err != nil {
			t.Fatal(err)
		}
		again, err := fromLease(next)
		if err != nil {
			t.Fatal(err)
		}
		if after, _ := again.try(e, Wait, epoch); after != res && res != replaced {
			t.Errorf("the turn was %v, the next reader says %v", res, after)
		}
	})
}

func TestPauses(t *testing.T) {
	t.Parallel()
	l := &Lease{poll: placePoll}
	for place, middle := range map[int]time.Duration{0: time.Second, 1: time.Second, 3: 3 * time.Second, 99: maxPoll} {
		for range 100 {
			if d := l.pause(place); d < middle*3/4 || d > middle*5/4 {
				t.Fatalf("place %d: %v", place, d)
			}
		}
	}
}

// A newer autorebuild supersedes one that waits; both learn it.
func TestLeaseSupersedes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := c.locker(t)
	acquire(t, l, c.running(t, "user", 0))
	results := make(chan error, 2)
	for i, name := range []string{"older", "newer"} {
		r, own := automatic(c.running(t, name, 1+i)), c.locker(t)
		go func() { results <- own.Acquire(t.Context(), "app", r) }()
		c.waits(t, l, name)
	}
	err := <-results
	wantKind(t, err, failure.Skipped)
	if want := "build older of app is superseded by newer, a newer autorebuild"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	c.ended(t, "user")
	if err := <-results; err != nil {
		t.Error(err)
	}
	wantHolder(t, l, "newer")
}
