package local

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/internal/process"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

func newRecords(t *testing.T) records {
	t.Helper()
	dir := dataDir(t.TempDir())
	if err := dir.open(); err != nil {
		t.Fatal(err)
	}
	seen, err := process.NewObserver()
	if err != nil {
		t.Fatal(err)
	}
	self, err := seen.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return records{dir: dir, self: self, seen: seen, log: slog.New(slog.DiscardHandler)}
}

func sample(name string, created time.Time, state osbs.State) record {
	return record{Build: osbs.Build{Name: name, BuildConfig: "config", State: state, Created: created}}
}

func TestRecordIsCreatedOnce(t *testing.T) {
	r := newRecords(t)
	var created, conflicts int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			rec := sample("one", time.Now(), osbs.New)
			err := r.create(&rec)
			mu.Lock()
			defer mu.Unlock()
			switch failure.KindOf(err) {
			case "":
				created++
			case failure.Conflict:
				conflicts++
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if created != 1 || conflicts != 19 {
		t.Errorf("created %d times, %d conflicts", created, conflicts)
	}
	if left, err := filepath.Glob(filepath.Join(r.dir.builds(), newPrefix+"*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	r := newRecords(t)
	want := sample("one", time.Unix(5, 0).UTC(), osbs.Running)
	want.BaseDigests = map[string]string{"base:1.0": "sha256:aa"}
	if err := r.create(&want); err != nil {
		t.Fatal(err)
	}
	want.State = osbs.Complete
	if err := r.save(&want); err != nil {
		t.Fatal(err)
	}
	got, err := r.get("one")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRecordNames(t *testing.T) {
	r := newRecords(t)
	for _, name := range []string{"", "..", "../x", "a/b", ".new-1", "-x", "A", "none"} {
		if _, err := r.get(name); failure.KindOf(err) != failure.NotFound {
			t.Errorf("get(%q): %v", name, err)
		}
	}
}

func TestMalformedRecordHidesNoOther(t *testing.T) {
	r := newRecords(t)
	good := sample("good", time.Now(), osbs.Complete)
	if err := r.create(&good); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"bad": "{", "other": `{"name":"good"}`} {
		if err := os.MkdirAll(r.dir.build(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.dir.build(name), recordFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.get(name); failure.KindOf(err) != failure.Storage {
			t.Errorf("get(%q): %v", name, err)
		}
	}
	all, err := r.all(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "good" {
		t.Errorf("all: %+v, %v", all, err)
	}
}

func TestPrune(t *testing.T) {
	r := newRecords(t)
	for n, state := range []osbs.State{osbs.Complete, osbs.Running, osbs.Failed, osbs.Complete, osbs.Skipped} {
		rec := sample(string(rune('a'+n)), time.Unix(int64(n), 0), state)
		if err := r.create(&rec); err != nil {
			t.Fatal(err)
		}
	}
	old := filepath.Join(r.dir.builds(), newPrefix+"old")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*halfMade)); err != nil {
		t.Fatal(err)
	}
	if err := r.prune(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	all, err := r.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names string
	for _, rec := range all {
		names += rec.Name
	}
	if names != "edb" { // the running one stays, whatever its age
		t.Errorf("left: %s", names)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("what was half made is still there: %v", err)
	}
}

func TestBuildOfDeadProcessHasFailed(t *testing.T) {
	r := newRecords(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	rec := sample("one", time.Now(), osbs.Running)
	rec.Stages = []osbs.StageStatus{{Name: "clone", State: osbs.Complete}, {Name: "build", State: osbs.Running}}
	if err := r.create(&rec); err != nil {
		t.Fatal(err)
	}
	if b := r.view(rec); b.State != osbs.Running {
		t.Errorf("of a process that lives: %s", b.State)
	}
	rec.Owner.PID = dead.Process.Pid
	b := r.view(rec)
	if b.State != osbs.Failed || b.Failure == nil || b.Failure.Stage != "build" || b.Stages[1].State != osbs.Failed || b.Finished == nil {
		t.Errorf("of a process that is gone: %+v %+v", b, b.Failure)
	}
	if rec.Stages[1].State != osbs.Running {
		t.Error("the record itself was changed")
	}
}
