// Package process tells whether a process that did something earlier still runs, and is not another one with its number.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// ID is one process of one boot of one machine, so that a later process with the same number is another one.
type ID struct {
	PID int `json:"pid"`
	// Start is the process's start in clock ticks after the boot.
	Start string `json:"start"`
	Boot  string `json:"boot"`
	// Namespace is the PID namespace in which PID means it.
	Namespace string `json:"namespace"`
}

// Observer sees processes. One is enough for a program, since what it reads of itself does not change.
type Observer struct{ boot, namespace string }

// NewObserver reads what all processes that it sees have in common.
func NewObserver() (*Observer, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, failure.New(failure.Internal, "reading the boot id: %w", err)
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil, failure.New(failure.Internal, "reading the PID namespace: %w", err)
	}
	return &Observer{boot: strings.TrimSpace(string(boot)), namespace: namespace}, nil
}

// Identify describes a process that runs now. That it does not is failure.NotFound.
func (o *Observer) Identify(pid int) (ID, error) {
	start, running, err := o.start(pid)
	if err != nil {
		return ID{}, err
	}
	if !running {
		return ID{}, failure.New(failure.NotFound, "process %d does not run", pid)
	}
	return ID{PID: pid, Start: start, Boot: o.boot, Namespace: o.namespace}, nil
}

// Alive says whether the process may still run. Of a process in another PID namespace nothing can be seen: while the machine has not
// been booted again, it counts as running.
func (o *Observer) Alive(p ID) bool {
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
func (o *Observer) start(pid int) (start string, running bool, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
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
