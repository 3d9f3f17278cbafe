package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// ReadSettings reads the file that Start wrote.
func ReadSettings(file string) (Settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Settings{}, err
	}
	var s Settings
	return s, json.Unmarshal(text, &s)
}

// Init is the first process in the namespaces: it prepares them, starts the supervisor (this program with the arguments given), and reaps whatever loses its parent. It returns
// when the supervisor has ended, and then nothing may be left to do: the kernel kills the others.
func Init(ctx context.Context, s Settings, supervisor ...string) error {
	if os.Getpid() != 1 {
		return errors.New("this is started by `cluster up`, not by people")
	}
	if err := isolate(ctx, s); err != nil {
		return err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	child, err := syscall.ForkExec(executable, append([]string{executable}, supervisor...), &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	go func() {
		for range signals {
			_ = syscall.Kill(child, syscall.SIGTERM)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("waiting for the supervisor: %w", err)
		}
		if pid == child {
			return nil
		}
	}
}
