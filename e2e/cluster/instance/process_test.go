package instance

import (
	"os/exec"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(waited) }()
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Alive() {
		t.Error("a process that runs is not alive")
	}
	for what, other := range map[string]Process{
		"another start": {PID: p.PID, Start: "1", Boot: p.Boot},
		"another boot":  {PID: p.PID, Start: p.Start, Boot: "x"},
		"no process":    {},
	} {
		if other.Alive() {
			t.Errorf("%s: alive", what)
		}
		if err := other.end(t.Context(), time.Second); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !p.Alive() {
		t.Fatal("another process was ended")
	}
	if err := p.end(t.Context(), 10*time.Second); err != nil {
		t.Error(err)
	}
	<-waited
	if p.Alive() {
		t.Error("alive after its end")
	}
}

func TestDefaultNames(t *testing.T) {
	seen := map[string]string{}
	for _, checkout := range []string{"/home/jane/osbs", "/srv/osbs", "/srv/Über Größe", "/", "/srv/a-very-long-name-of-a-directory-that-goes-on-"} {
		name := defaultName(checkout)
		if !validName.MatchString(name) {
			t.Errorf("%s: %q is not a valid name", checkout, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s are both %s", checkout, other, name)
		}
		seen[name] = checkout
	}
}
