package filestore

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// incrementDir, set in the environment, makes the test binary a process that increments a counter there.
const incrementDir = "OSBS_TEST_INCREMENT_DIR"

const increments = 50

func TestMain(m *testing.M) {
	if dir := os.Getenv(incrementDir); dir != "" {
		os.Exit(increment(dir))
	}
	os.Exit(m.Run())
}

func increment(dir string) int {
	for range increments {
		_, err := buildconfig.Change(context.Background(), New(dir), "counter", func(bc *buildconfig.BuildConfig) error {
			n, err := strconv.Atoi(bc.GitCommit)
			bc.GitCommit = strconv.Itoa(n + 1)
			return err
		})
		if err != nil {
			println(err.Error())
			return 1
		}
	}
	return 0
}

func create(t *testing.T, s *Store, bc buildconfig.BuildConfig) *buildconfig.BuildConfig {
	t.Helper()
	created, err := s.Create(t.Context(), &bc)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func wantKind(t *testing.T, err error, want failure.Kind) {
	t.Helper()
	if got := failure.KindOf(err); got != want {
		t.Errorf("error %v has the kind %q, want %q", err, got, want)
	}
}

func TestLifeOfABuildConfig(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), New(filepath.Join(t.TempDir(), "new"))
	if all, err := s.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("List before the first = %v, %v", all, err)
	}
	_, err := s.Get(ctx, "b")
	wantKind(t, err, failure.NotFound)
	created := create(t, s, buildconfig.BuildConfig{Name: "b", GitURL: "u"})
	create(t, s, buildconfig.BuildConfig{Name: "b-a"})
	_, err = s.Create(ctx, &buildconfig.BuildConfig{Name: "b"})
	wantKind(t, err, failure.Conflict)

	got, err := s.Get(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, got, cmpopts.IgnoreFields(buildconfig.BuildConfig{}, "Stored")); diff != "" {
		t.Errorf("-created +got:\n%s", diff)
	}
	got.GitURL = "v"
	updated, err := s.Update(ctx, got)
	if err != nil {
		t.Fatal(err)
	}
	if updated.ResourceVersion == created.ResourceVersion || !updated.CreationTime.Equal(created.CreationTime) {
		t.Errorf("updated %+v after %+v", updated, created)
	}
	_, err = s.Update(ctx, created)
	wantKind(t, err, failure.Conflict)

	all, err := s.List(ctx)
	if err != nil || len(all) != 2 || all[0].Name != "b" || all[0].GitURL != "v" || all[1].Name != "b-a" {
		t.Errorf("List = %v, %v", all, err)
	}
	if err := s.Delete(ctx, "b"); err != nil {
		t.Error(err)
	}
	wantKind(t, s.Delete(ctx, "b"), failure.NotFound)
	_, err = s.Update(ctx, updated)
	wantKind(t, err, failure.NotFound)
	if again := create(t, s, buildconfig.BuildConfig{Name: "b"}); again.ResourceVersion == created.ResourceVersion {
		t.Error("a resource version came back")
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, s := t.Context(), New(dir)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "A", "a\x00", ".lock"} {
		_, err := s.Get(ctx, name)
		wantKind(t, err, failure.Usage)
		_, err = s.Create(ctx, &buildconfig.BuildConfig{Name: name})
		wantKind(t, err, failure.Usage)
	}
	for name, text := range map[string]string{"bad": "{", "other": "metadata: {name: x}\n", "typed": "metadata: {name: typed}\ndata: [1]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(ctx, name)
		wantKind(t, err, failure.InvalidInput)
	}
	if err := os.WriteFile(filepath.Join(dir, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(filepath.Join(dir, "a-file")).Create(ctx, &buildconfig.BuildConfig{Name: "x"})
	wantKind(t, err, failure.Storage)
}

// No increment of any process is lost, and a reader never sees half a file.
func TestProcessesDoNotLoseUpdates(t *testing.T) {
	t.Parallel()
	const processes = 4
	dir := t.TempDir()
	s := New(dir)
	create(t, s, buildconfig.BuildConfig{Name: "counter", GitCommit: "0"})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	commands := make([]*exec.Cmd, 0, processes)
	for range processes {
		c := exec.CommandContext(t.Context(), exe)
		c.Env, c.Stderr = append(os.Environ(), incrementDir+"="+dir), os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, c)
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for _, c := range commands {
			if e := c.Wait(); e != nil {
				err = e
			}
		}
		done <- err
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		if _, err := s.Get(t.Context(), "counter"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Get(t.Context(), "counter")
	if err != nil || got.GitCommit != strconv.Itoa(processes*increments) {
		t.Errorf("counter is %v, %v; want %d", got, err, processes*increments)
	}
}
