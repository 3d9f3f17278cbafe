//go:build e2e

package state

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
)

const contenders = 10

// lease is the Lease of the lock, as the API has it.
func (s *space) lease(t *testing.T, name string) *coordinationv1.Lease {
	t.Helper()
	lease, err := s.Kube.CoordinationV1().Leases(s.Name).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return lease
}

func (s *space) wantHolder(t *testing.T, name, want string) {
	t.Helper()
	h, err := s.locker(t).Holder(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	if h != nil {
		got = h.Build
	}
	if got != want {
		t.Errorf("the holder is %q, want %q", got, want)
	}
}

// waits waits until exactly these builds wait, in this order.
func (s *space) waits(t *testing.T, name string, want ...string) {
	t.Helper()
	l := s.locker(t)
	s.poll(t, fmt.Sprint(want, " to wait"), func(ctx context.Context) (bool, error) {
		got, err := l.Waiting(ctx, name)
		return slices.EqualFunc(got, want, func(h lock.Holder, name string) bool { return h.Build == name }), err
	})
}

func TestTenContendersUnderFail(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	var mu sync.Mutex
	var held []string
	var refused []error
	var wg sync.WaitGroup
	for i := range contenders {
		r, l := s.run(t, fmt.Sprint("build-", i)), s.locker(t)
		r.Policy = lock.Fail
		wg.Go(func() {
			err := l.Acquire(t.Context(), "app", r)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				held = append(held, r.Build)
				return
			}
			refused = append(refused, err)
		})
	}
	wg.Wait()
	if len(held) != 1 {
		t.Fatalf("%v hold the lock", held)
	}
	s.wantHolder(t, "app", held[0])
	for _, err := range refused {
		wantKind(t, err, failure.Conflict)
		if want := "Build " + held[0] + " for app in state Running, can't proceed."; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	if n := *s.lease(t, "app").Spec.LeaseTransitions; n != 1 {
		t.Errorf("the Lease had %d holders", n)
	}
}

// Ten wait for one lock. Each that gets it ends in another way, and the next has it then; never have two.
func TestTenContendersUnderWait(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	first := s.run(t, "first")
	if err := s.locker(t).Acquire(t.Context(), "app", first); err != nil {
		t.Fatal(err)
	}
	ends := []func(*testing.T, string){s.cancel, s.remove, s.fail}
	var holders atomic.Int32
	var mu sync.Mutex
	var got []string
	var wg sync.WaitGroup
	names := make([]string, 0, contenders)
	for i := range contenders {
		r, l := s.run(t, fmt.Sprint("build-", i)), s.locker(t)
		names = append(names, r.Build)
		wg.Go(func() {
			if err := l.Acquire(t.Context(), "app", r); err != nil {
				t.Error(err)
				return
			}
			if n := holders.Add(1); n != 1 {
				t.Errorf("%d hold the lock", n)
			}
			mu.Lock()
			got = append(got, r.Build)
			mu.Unlock()
			s.wantHolder(t, "app", r.Build)
			holders.Add(-1)
			ends[i%len(ends)](t, r.Build)
		})
	}
	s.poll(t, "all to wait", func(ctx context.Context) (bool, error) {
		w, err := s.locker(t).Waiting(ctx, "app")
		return len(w) == contenders, err
	})
	waiting, err := s.locker(t).Waiting(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	s.cancel(t, "first")
	wg.Wait()
	var want []string // those of one second in the order in which they came
	for _, h := range waiting {
		want = append(want, h.Build)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got the lock in the order %v, waited in the order %v", got, want)
	}
	if slices.Sort(got); !slices.Equal(got, names) {
		t.Errorf("%v had the lock, of %v", got, names)
	}
	if n := *s.lease(t, "app").Spec.LeaseTransitions; n != contenders+1 {
		t.Errorf("the Lease had %d holders", n)
	}
}

// Whatever becomes of the holder, the next has the lock without any clean-up.
func TestHolderThatEnds(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	for name, end := range map[string]func(*testing.T, string){"cancelled": s.cancel, "deleted": s.remove, "failed": s.fail} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := s.run(t, name+"-a"), s.run(t, name+"-b")
			if err := s.locker(t).Acquire(t.Context(), name, a); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- s.locker(t).Acquire(t.Context(), name, b) }()
			s.waits(t, name, b.Build)
			end(t, a.Build)
			if err := <-done; err != nil {
				t.Error(err)
			}
			s.wantHolder(t, name, b.Build)
		})
	}
}

// A holder that was deleted while a pod of its runs is no free lock: the pod may still do something.
func TestHolderWhosePodOutlivesIt(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	a, b := s.run(t, "a"), s.run(t, "b")
	if err := s.locker(t).Acquire(t.Context(), "app", a); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a-pod", Labels: map[string]string{"tekton.dev/pipelineRunUID": a.UID}},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"example.com/no-such-node": "true"}, // it never starts, and nobody knows that
			Containers:   []corev1.Container{{Name: "step", Image: "registry.example.com/none"}},
		},
	}
	if _, err := s.Kube.CoreV1().Pods(s.Name).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.remove(t, "a")
	s.poll(t, "the PipelineRun to be gone", func(ctx context.Context) (bool, error) {
		_, err := s.locker(t).Created(ctx, a.Holder)
		if failure.KindOf(err) == failure.NotFound {
			return true, nil
		}
		return false, err
	})
	b.Policy = lock.Fail
	wantKind(t, s.locker(t).Acquire(t.Context(), "app", b), failure.Conflict)
	if err := s.Kube.CoreV1().Pods(s.Name).Delete(t.Context(), "a-pod", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	b.Policy = lock.Wait
	if err := s.locker(t).Acquire(t.Context(), "app", b); err != nil {
		t.Error(err)
	}
}

// The lock step is killed, not its PipelineRun: the build holds the lock, and has it when the step is tried again.
func TestHolderWhoseStepIsKilled(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	a, b := s.run(t, "a"), s.run(t, "b")
	ctx, kill := context.WithCancel(t.Context())
	if err := s.locker(t).Acquire(ctx, "app", a); err != nil {
		t.Fatal(err)
	}
	kill()
	b.Policy = lock.Fail
	wantKind(t, s.locker(t).Acquire(t.Context(), "app", b), failure.Conflict)
	if err := s.locker(t).Acquire(t.Context(), "app", a); err != nil {
		t.Error(err)
	}
}

func TestNewestAutorebuildWaits(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	user := s.run(t, "user")
	if err := s.locker(t).Acquire(t.Context(), "app", user); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for _, name := range []string{"older", "newer"} {
		r := s.run(t, name)
		r.Autorebuild = true
		go func() { results <- s.locker(t).Acquire(t.Context(), "app", r) }()
		s.waits(t, "app", name)
	}
	err := <-results
	wantKind(t, err, failure.Skipped)
	if want := "build older of app is superseded by newer, a newer autorebuild"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	s.remove(t, "user")
	if err := <-results; err != nil {
		t.Error(err)
	}
	s.wantHolder(t, "app", "newer")
}

func TestWaiterThatGivesUp(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	a, b, c := s.run(t, "a"), s.run(t, "b"), s.run(t, "c")
	if err := s.locker(t).Acquire(t.Context(), "app", a); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	given, served := make(chan error, 1), make(chan error, 1)
	go func() { given <- s.locker(t).Acquire(ctx, "app", b) }()
	s.waits(t, "app", "b")
	go func() { served <- s.locker(t).Acquire(t.Context(), "app", c) }()
	s.waits(t, "app", "b", "c")
	why := failure.New(failure.TimedOut, "too long")
	cancel(why)
	if err := <-given; !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	s.waits(t, "app", "c")
	s.cancel(t, "a")
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// The API server is killed and comes back while builds wait, and while one asks for the lock: all have it in the end, one after the other.
func TestLockWhileTheAPIServerRestarts(t *testing.T) {
	s := newSpace(t)
	a, b, c := s.run(t, "a"), s.run(t, "b"), s.run(t, "c")
	if err := s.locker(t).Acquire(t.Context(), "app", a); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	var holders atomic.Int32
	take := func(r lock.Request) {
		err := s.locker(t).Acquire(t.Context(), "app", r)
		if n := holders.Add(1); err == nil && n != 1 {
			t.Errorf("%d hold the lock", n)
		}
		holders.Add(-1)
		if err == nil {
			s.remove(t, r.Build)
		} else {
			t.Error(err)
		}
		results <- err
	}
	go take(b)
	s.waits(t, "app", "b")
	testbed.Kill(t, testbed.APIServer)
	go take(c)
	testbed.Start(t, testbed.APIServer)
	s.waits(t, "app", "b", "c")
	s.wantHolder(t, "app", "a")
	s.remove(t, "a")
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// Without the rights the error says what is missing, and nothing is taken for free.
func TestNoRights(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	a, b := s.run(t, "a"), s.run(t, "b")
	if err := s.locker(t).Acquire(t.Context(), "app", a); err != nil {
		t.Fatal(err)
	}
	s.cancel(t, "a")
	role, err := s.Kube.RbacV1().Roles(s.Name).Get(t.Context(), serviceAccount, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, rule := range role.Rules {
		if slices.Contains(rule.Resources, "pods") {
			role.Rules = slices.Delete(role.Rules, i, i+1)
			break
		}
	}
	if _, err := s.Kube.RbacV1().Roles(s.Name).Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	b.Policy = lock.Fail
	s.poll(t, "the right to be gone", func(ctx context.Context) (bool, error) {
		_, err := s.locker(t).Waiting(ctx, "app")
		return failure.KindOf(err) == failure.Unauthorized, nil
	})
	err = s.locker(t).Acquire(t.Context(), "app", b)
	wantKind(t, err, failure.Unauthorized)
	if err == nil || !strings.Contains(err.Error(), `cannot list resource "pods"`) {
		t.Errorf("the error does not say what is missing: %v", err)
	}
}
