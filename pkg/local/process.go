package local

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process identifies a process for good: a process id alone is given to another process after a while, and after a boot.
type process struct {
	PID    int    `json:"pid"`
	Start  string `json:"start"` // clock ticks since boot
	BootID string `json:"bootID"`
	// Namespace is the PID namespace in which PID means the process.
	Namespace string `json:"namespace"`
}

// thisProcess identifies the process that calls it.
func thisProcess() (process, error) {
	boot, err := bootID()
	if err != nil {
		return process{}, err
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return process{}, err
	}
	namespace, err := pidNamespace()
	if err != nil {
		return process{}, err
	}
	return process{PID: os.Getpid(), Start: start, BootID: boot, Namespace: namespace}, nil
}

// alive says whether the process still runs. When that cannot be found out it says that it does: better a build that looks as if it
// ran than two of one build config.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	if boot, err := bootID(); err == nil && boot != p.BootID {
		return false
	}
	if namespace, err := pidNamespace(); err != nil || namespace != p.Namespace {
		return true
	}
	start, err := startTime(p.PID)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	return err != nil || start == p.Start
}

func pidNamespace() (string, error) {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", fmt.Errorf("reading the PID namespace: %w", err)
	}
	return namespace, nil
}

func bootID() (string, error) {
	data, err := readBounded("/proc/sys/kernel/random/boot_id", 128)
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// startTime is field 22 of /proc/PID/stat. Field 2, the command, is in parentheses and may hold anything. A zombie has ended.
func startTime(pid int) (string, error) {
	data, err := readBounded("/proc/"+strconv.Itoa(pid)+"/stat", 8<<10)
	if err != nil {
		return "", fmt.Errorf("reading the start time of process %d: %w", pid, err)
	}
	const state, start = 0, 19 // counted after the command
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) <= start {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	return fields[start], nil
}
