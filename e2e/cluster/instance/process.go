package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Process is one process of one boot of the machine, so that a later one with the same number is not taken for it.
type Process struct {
	PID int `json:"pid"`
	// Start is when it started, in clock ticks after the boot.
	Start string `json:"start"`
	Boot  string `json:"boot"`
}

// identify describes a process that runs.
func identify(pid int) (Process, error) {
	boot, err := bootID()
	if err != nil {
		return Process{}, err
	}
	start, running := startTime(pid)
	if !running {
		return Process{}, fmt.Errorf("process %d has ended already", pid)
	}
	return Process{PID: pid, Start: start, Boot: boot}, nil
}

// Alive says whether the process still runs.
func (p Process) Alive() bool {
	boot, err := bootID()
	if err != nil || p.PID == 0 || boot != p.Boot {
		return false
	}
	start, running := startTime(p.PID)
	return running && start == p.Start
}

// end asks the process to end, and kills it if it does not within the time.
func (p Process) end(ctx context.Context, patience time.Duration) error {
	for _, try := range []struct {
		signal   syscall.Signal
		patience time.Duration
	}{{syscall.SIGTERM, patience}, {syscall.SIGKILL, 30 * time.Second}} {
		if !p.Alive() {
			return nil
		}
		if err := syscall.Kill(p.PID, try.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending process %d: %w", p.PID, err)
		}
		if p.gone(ctx, try.patience) {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", p.PID)
}

func (p Process) gone(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for p.Alive() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
	return true
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// startTime is the 22nd field of /proc/PID/stat. The name before, in parentheses, may hold anything.
func startTime(pid int) (start string, running bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return fields[19], true
}
