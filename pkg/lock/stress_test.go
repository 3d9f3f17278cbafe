package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// workerDir, set in the environment, makes the test binary a process that takes the lock again and again.
const workerDir = "OSBS_TEST_LOCK_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(workerDir); dir != "" {
		if err := worker(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// worker takes the lock until it is killed. Whoever has the lock also takes a flock, which the kernel keeps and frees by itself when
// the process dies: finding that taken proves that two had the lock.
func worker(dir string) error {
	f, err := NewFile(dir)
	if err != nil {
		return err
	}
	f.poll = time.Millisecond
	for i := 0; ; i++ {
		r := Request{
			Holder: Holder{Build: "b", UID: fmt.Sprintf("%d-%d", os.Getpid(), i), PID: os.Getpid()},
			Policy: Wait, Created: time.Now(), Autorebuild: rand.IntN(4) == 0,
		}
		if rand.IntN(4) == 0 {
			r.Policy = Fail
		}
		err := f.Acquire(context.Background(), "app", r)
		if kind := failure.KindOf(err); kind == failure.Conflict || kind == failure.Skipped {
			continue
		}
		if err != nil {
			return err
		}
		if err := critical(dir); err != nil {
			return err
		}
		if rand.IntN(8) == 0 { // the build ends without a clean-up
			return nil
		}
		if err := f.Release(context.Background(), "app", r.Holder); err != nil {
			return err
		}
	}
}

func critical(dir string) (err error) {
	record := flock.New(filepath.Join(dir, "record"))
	defer func() { err = errors.Join(err, record.Close()) }()
	alone, err := record.TryLock()
	if err != nil {
		return err
	}
	if !alone {
		return fmt.Errorf("process %d has the lock, and another one too", os.Getpid())
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	fmt.Fprintln(log, os.Getpid())
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	return log.Close()
}

// Processes take the lock and are killed at random moments. Never do two have it, and it is never stuck.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	const (
		processes = 6
		kills     = 150
		turns     = 300
	)
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ended := make(chan error, processes)
	start := func() *os.Process {
		c := exec.CommandContext(ctx, exe)
		var stderr strings.Builder
		c.Env, c.Stderr = append(os.Environ(), workerDir+"="+dir), &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			err := c.Wait()
			if text := stderr.String(); text != "" {
				ended <- fmt.Errorf("%w: %s", err, text)
				return
			}
			ended <- nil
		}()
		return c.Process
	}
	running := make([]*os.Process, processes)
	for i := range running {
		running[i] = start()
	}
	killed := 0
	for killed < kills || lines(t, dir) < turns {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range running {
				if p.Signal(syscall.Signal(0)) != nil {
					running[i] = start()
					break
				}
			}
		case <-time.After(time.Duration(rand.IntN(15)) * time.Millisecond):
			if running[rand.IntN(processes)].Signal(syscall.SIGKILL) == nil {
				killed++
			}
		case <-ctx.Done():
			t.Fatalf("stuck after %d kills and %d turns", killed, lines(t, dir))
		}
	}
	for _, p := range running {
		_ = p.Kill()
	}
	f := newFile(t, dir)
	if err := f.Acquire(ctx, "app", request("last", 0)); err != nil {
		t.Errorf("after all were killed: %v", err)
	}
	t.Logf("%d kills, %d turns", killed, lines(t, dir))
}

func lines(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}
