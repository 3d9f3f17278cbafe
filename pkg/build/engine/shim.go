package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The protocol of the storage library's package unshare, which a constructor written in C speaks when cgo is on. Every name begins
// with shimPrefix; the values are descriptors, but for the flags and the two switches.
const (
	shimPrefix   = "_Containers-"
	shimFlags    = shimPrefix + "unshare"
	shimPid      = shimPrefix + "pid-pipe"
	shimContinue = shimPrefix + "continue-pipe"
	shimSetsid   = shimPrefix + "setsid"
	shimSetpgrp  = shimPrefix + "setpgrp"
	shimTerminal = shimPrefix + "ctty"
)

// unshareShim stands in for that constructor when cgo is off: the process was started to tell its id, to wait until the parent is
// done with it, to leave some namespaces, and to become the program that it was meant to be. Without it every RUN fails.
//
// A user namespace cannot be left this way, because a Go process has several threads; the engine enters its own when it is started.
func unshareShim() {
	value, ok := os.LookupEnv(shimFlags)
	if !ok {
		return
	}
	runtime.LockOSThread() // never unlocked: this thread becomes the program
	fmt.Fprintln(os.Stderr, "build engine: unshare:", becomeUnshared(value))
	os.Exit(1)
}

// becomeUnshared returns only if it fails.
func becomeUnshared(value string) error {
	flags, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	if flags&unix.CLONE_NEWUSER != 0 {
		return errors.New("a user namespace cannot be entered here")
	}
	if err := handshake(); err != nil {
		return err
	}
	if err := settle(); err != nil {
		return err
	}
	if flags != 0 {
		if err := unix.Unshare(flags); err != nil {
			return fmt.Errorf("unshare(%#x): %w", flags, err)
		}
	}
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, shimPrefix) {
			env = append(env, e)
		}
	}
	return fmt.Errorf("exec: %w", syscall.Exec("/proc/self/exe", os.Args, env)) //nolint:gosec // this very program
}

// handshake tells the parent our process id and waits for it to close its pipe; what it writes there is why we must not go on.
func handshake() error {
	if fd, ok := number(shimPid); ok {
		f := os.NewFile(uintptr(fd), "pid")
		if _, err := fmt.Fprint(f, os.Getpid()); err != nil {
			return fmt.Errorf("telling the process id: %w", err)
		}
		f.Close()
	}
	if fd, ok := number(shimContinue); ok {
		f := os.NewFile(uintptr(fd), "continue")
		defer f.Close()
		if refusal, err := io.ReadAll(io.LimitReader(f, 1<<16)); err != nil || len(refusal) > 0 {
			return fmt.Errorf("waiting for the parent: %w: %s", err, refusal)
		}
	}
	return nil
}

// settle makes the session, process group and terminal that were asked for.
func settle() error {
	if n, _ := number(shimSetsid); n == 1 {
		if _, err := unix.Setsid(); err != nil {
			return fmt.Errorf("setsid: %w", err)
		}
	}
	if n, _ := number(shimSetpgrp); n == 1 {
		if err := unix.Setpgid(0, 0); err != nil {
			return fmt.Errorf("setpgid: %w", err)
		}
	}
	if fd, ok := number(shimTerminal); ok {
		if err := unix.IoctlSetInt(fd, unix.TIOCSCTTY, 0); err != nil {
			return fmt.Errorf("controlling terminal: %w", err)
		}
	}
	return nil
}

func number(name string) (int, bool) {
	n, err := strconv.Atoi(os.Getenv(name))
	return n, err == nil
}
