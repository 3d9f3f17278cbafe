package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// process is one process of one boot of one machine, so that a later process with the same number is another one.
type process struct {
	PID int `json:"pid"`
	// Start is the process's start in clock ticks after the boot.
	Start string `json:"start"`
	Boot  string `json:"boot"`
	// Namespace is the PID namespace in which PID means it.
	Namespace string `json:"namespace"`
}

// observer sees processes. There is one for each Locker, since what it reads of itself does not change.
type observer struct {
	proc            string
	boot, namespace string
}

func newObserver(proc string) (*observer, error) {
	boot, err := os.ReadFile(proc + "/sys/kernel/random/boot_id")
	if err != nil {
		return nil, failure.New(failure.Internal, "reading the boot id: %w", err)
	}
	namespace, err := os.Readlink(proc + "/self/ns/pid")
	if err != nil {
		return nil, failure.New(failure.Internal, "reading the PID namespace: %w", err)
	}
	return &observer{proc: proc, boot: strings.TrimSpace(string(boot)), namespace: namespace}, nil
}

// identify describes a process that runs now. That it does not is failure.NotFound.
func (o *observer) identify(pid int) (process, error) {
	start, running, err := o.start(pid)
	if err != nil {
		return process{}, err
	}
	if !running {
		return process{}, failure.New(failure.NotFound, "process %d, which the build lives in, does not run", pid)
	}
	return process{PID: pid, Start: start, Boot: o.boot, Namespace: o.namespace}, nil
}

// alive says whether the process may still run. Of a process in another PID namespace nothing can be seen: while the machine has not
// been booted again, it counts as running.
func (o *observer) alive(p process) bool {
	if p.Boot != o.boot {
		return false
	}
	if p.Namespace != o.namespace {
		return true
	}
	start, running, err := o.start(p.PID)
	return err != nil || running && start == p.Start
}

// start is the start time of a process. One that has ended and waits to be reaped does not run.
func (o *observer) start(pid int) (start string, running bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("%s/%d/stat", o.proc, pid)) //nolint:gosec // a number cannot leave /proc
	if errors.Is(err, fs.ErrNotExist) || isGone(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, failure.New(failure.Internal, "looking at process %d: %w", pid, err)
	}
	// The name, in parentheses, may hold anything; after it come the state, 18th the number of threads, 20th the start time
	// (proc_pid_stat(5)). While a killed process ends, its first thread is a zombie before the others have stopped.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return "", false, failure.New(failure.Internal, "process %s has a malformed stat file", strconv.Itoa(pid))
	}
	ended := slices.Contains([]string{"Z", "X", "x"}, fields[0]) && (fields[17] == "0" || fields[17] == "1")
	return fields[19], !ended, nil
}
