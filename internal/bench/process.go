package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// command runs a program to its end and measures it, its children included.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (usage, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start)}
	if err != nil {
		return u, fmt.Errorf("%s %v: %w\n%s", filepath.Base(name), args, err, tail(output.Bytes()))
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return u, fmt.Errorf("%s: no resource usage", name)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.memory = r.Maxrss << 10
	return u, nil
}

// sequence runs commands one after the other and adds up what they took.
func sequence(ctx context.Context, dir string, env []string, commands ...[]string) (usage, error) {
	var all usage
	for _, c := range commands {
		u, err := command(ctx, dir, env, c[0], c[1:]...)
		if err != nil {
			return all, err
		}
		all = all.plus(u)
	}
	return all, nil
}

func tail(b []byte) []byte {
	const most = 4000
	return b[max(0, len(b)-most):]
}

// server is a registry of Debian's docker-registry package on loopback, storing in dir.
type server struct {
	host string
	cmd  *exec.Cmd
}

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}
http: {addr: %q}
`

func startRegistry(ctx context.Context, dir string) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	host := listener.Addr().String()
	listener.Close()
	config := filepath.Join(dir, "registry.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, registryConfig, filepath.Join(dir, "registry"), host), 0o600); err != nil {
		return nil, err
	}
	s := &server{host: host, cmd: exec.CommandContext(ctx, "docker-registry", "serve", config)}
	s.cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/v2/", nil)
		if err != nil {
			return nil, err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.stop()
	return nil, fmt.Errorf("docker-registry does not answer at %s", host)
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// removeStorage removes a directory in which container storage may have left mounts.
func removeStorage(dir string) {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range bytes.SplitSeq(mounts, []byte("\n")) {
		if f := bytes.Fields(line); len(f) > 1 && bytes.HasPrefix(f[1], []byte(dir+"/")) {
			_ = syscall.Unmount(string(f[1]), syscall.MNT_DETACH)
		}
	}
	_ = os.RemoveAll(dir)
}

// findCrane is the path of crane beside the binaries under test or on the PATH; empty if there is none.
func findCrane(bin string) string {
	if p := filepath.Join(bin, "..", ".cache", "tools", "crane"); exists(p) {
		return p
	}
	p, _ := exec.LookPath("crane")
	return p
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
