package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/process"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

func newFile(t *testing.T, dir string) *File {
	t.Helper()
	f, err := NewFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	f.poll = 2 * time.Millisecond
	return f
}

func request(name string, second int) Request {
	return Request{Holder: Holder{Build: name, UID: name, PID: os.Getpid()}, Policy: Wait, Created: epoch.Add(time.Duration(second) * time.Second)}
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if got := failure.KindOf(err); got != want {
		t.Errorf("error %v has the kind %q, want %q", err, got, want)
	}
}

func wantHolder(t *testing.T, l Locker, want string) {
	t.Helper()
	h, err := l.Holder(context.Background(), "app")
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

// waitFor polls until ok.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("waited a minute for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestFailPolicy(t *testing.T) {
	t.Parallel()
	ctx, f := t.Context(), newFile(t, filepath.Join(t.TempDir(), "new"))
	wantHolder(t, f, "")
	if err := f.Release(ctx, "app", Holder{UID: "x"}); err != nil {
		t.Error(err)
	}
	a, b := request("a", 1), request("b", 2)
	a.Policy, b.Policy = Fail, Fail
	for range 2 { // the second time it holds it already
		if err := f.Acquire(ctx, "app", a); err != nil {
			t.Fatal(err)
		}
	}
	wantHolder(t, f, "a")
	err := f.Acquire(ctx, "app", b)
	wantKind(t, err, failure.Conflict)
	if want := "Build a for app in state Running, can't proceed."; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if err := f.Acquire(ctx, "other", b); err != nil {
		t.Errorf("another lock: %v", err)
	}
	if err := f.Release(ctx, "app", b.Holder); err != nil {
		t.Error(err)
	}
	wantHolder(t, f, "a")
	if err := f.Release(ctx, "app", a.Holder); err != nil {
		t.Error(err)
	}
	if err := f.Acquire(ctx, "app", b); err != nil {
		t.Error(err)
	}
}

func TestWaitingInOrderOfCreation(t *testing.T) {
	t.Parallel()
	const builds = 12
	ctx, f := t.Context(), newFile(t, t.TempDir())
	if err := f.Acquire(ctx, "app", request("first", 0)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got, want []string
	var wg sync.WaitGroup
	for i := range builds {
		r := request(fmt.Sprintf("b%02d", i), builds-i) // arrives first, created last
		want = append(want, r.Build)
		wg.Go(func() {
			if err := f.Acquire(ctx, "app", r); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			got = append(got, r.Build)
			mu.Unlock()
			if err := f.Release(ctx, "app", r.Holder); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, "all to wait", func() bool {
		w, err := f.Waiting(ctx, "app")
		return err == nil && len(w) == builds
	})
	if err := f.Release(ctx, "app", Holder{UID: "first"}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	slices.Reverse(want)
	if !slices.Equal(got, want) {
		t.Errorf("got the lock in the order %v, want %v", got, want)
	}
}

func TestNewestAutorebuildOnly(t *testing.T) {
	t.Parallel()
	ctx, f := t.Context(), newFile(t, t.TempDir())
	if err := f.Acquire(ctx, "app", request("user", 0)); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for i, name := range []string{"older", "newer"} {
		r := request(name, 1+i)
		r.Autorebuild = true
		go func() { results <- f.Acquire(ctx, "app", r) }()
		waitFor(t, name+" to wait", func() bool {
			w, err := f.Waiting(ctx, "app")
			return err == nil && len(w) == 1 && w[0].Build == name
		})
	}
	err := <-results
	wantKind(t, err, failure.Skipped)
	if want := "build older of app is superseded by newer, a newer autorebuild"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	if err := f.Release(ctx, "app", Holder{UID: "user"}); err != nil {
		t.Fatal(err)
	}
	if err := <-results; err != nil {
		t.Error(err)
	}
	wantHolder(t, f, "newer")
}

func TestCancelledWaiterLeaves(t *testing.T) {
	t.Parallel()
	f := newFile(t, t.TempDir())
	f.poll = time.Hour // only the cancellation can end it
	if err := f.Acquire(t.Context(), "app", request("a", 0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Acquire(ctx, "app", request("b", 1)) }()
	waiters := func() int {
		w, err := f.Waiting(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		return len(w)
	}
	waitFor(t, "b to wait", func() bool { return waiters() == 1 })
	why := failure.New(failure.TimedOut, "too long")
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
	if n := waiters(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	wantHolder(t, f, "a")
}

func TestHolderThatIsGone(t *testing.T) {
	t.Parallel()
	alive, err := process.NewObserver()
	if err != nil {
		t.Fatal(err)
	}
	self, err := alive.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*process.ID)
		free   bool
	}{
		"runs":                              {func(*process.ID) {}, false},
		"number given to another process":   {func(p *process.ID) { p.Start = "1" }, true},
		"before the last boot":              {func(p *process.ID) { p.Boot = "other" }, true},
		"no such process":                   {func(p *process.ID) { p.PID = 1 << 30 }, true},
		"another PID namespace: not seen":   {func(p *process.ID) { p.Namespace, p.PID = "pid:[1]", 1<<30 }, false},
		"another namespace before the boot": {func(p *process.ID) { p.Namespace, p.Boot = "pid:[1]", "other" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFile(t, t.TempDir())
			p := self
			c.change(&p)
			e := build("a", 0)
			e.Process = p
			if err := f.change(t.Context(), "app", func(s *state) (bool, error) { s.Holder = &e; return true, nil }); err != nil {
				t.Fatal(err)
			}
			r := request("b", 1)
			r.Policy = Fail
			if err := f.Acquire(t.Context(), "app", r); (err == nil) != c.free {
				t.Errorf("acquire: %v, want free=%v", err, c.free)
			}
		})
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFile(t, dir)
	wantKind(t, f.Acquire(t.Context(), "app", Request{Holder: Holder{Build: "a", PID: 1}}), failure.Usage)
	gone := request("a", 0)
	gone.PID = 1 << 30
	wantKind(t, f.Acquire(t.Context(), "app", gone), failure.NotFound)
	for _, name := range []string{"", "../x", "a/b", ".x", "A", strings.Repeat("a", 300)} {
		wantKind(t, f.Acquire(t.Context(), name, request("a", 0)), failure.Usage)
		_, err := f.Holder(t.Context(), name)
		wantKind(t, err, failure.Usage)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantKind(t, f.Acquire(t.Context(), "bad", request("a", 0)), failure.Storage)
	if _, err := ParsePolicy("queue"); failure.KindOf(err) != failure.Usage {
		t.Errorf("got %v", err)
	}
}
