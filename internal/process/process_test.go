package process

import (
	"os"
	"os/exec"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func TestAlive(t *testing.T) {
	seen, err := NewObserver()
	if err != nil {
		t.Fatal(err)
	}
	self, err := seen.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*ID)
		want   bool
	}{
		"itself":            {func(*ID) {}, true},
		"another start":     {func(p *ID) { p.Start = "1" }, false},
		"another boot":      {func(p *ID) { p.Boot = "x" }, false},
		"none":              {func(p *ID) { p.PID = 0 }, false},
		"another namespace": {func(p *ID) { p.Namespace, p.PID = "x", 1<<30 }, true},
	} {
		p := self
		c.change(&p)
		if got := seen.Alive(p); got != c.want {
			t.Errorf("%s: alive %v", name, got)
		}
	}
}

func TestZombieHasEnded(t *testing.T) {
	seen, err := NewObserver()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := seen.Identify(cmd.Process.Pid)
	if err != nil || !seen.Alive(id) {
		t.Fatalf("while it runs: %+v, %v", id, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for seen.Alive(id) { // it is not reaped yet: until it has ended, which is soon
		if t.Context().Err() != nil {
			t.Fatal("it is seen to run")
		}
	}
	_ = cmd.Wait()
	if _, err := seen.Identify(cmd.Process.Pid); failure.KindOf(err) != failure.NotFound {
		t.Errorf("reaped: %v", err)
	}
}
