package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTime is how long a component may take until it answers, on a busy machine.
	startTime = 4 * time.Minute
	// stopTime is how long it may take to end when asked.
	stopTime = 20 * time.Second
)

// supervisor starts and stops the components of one node.
type supervisor struct {
	settings Settings
	client   *http.Client

	mu      sync.Mutex
	running map[string]*daemon
}

// daemon is a component that was started.
type daemon struct {
	cmd   *exec.Cmd
	since time.Time
	// ended is closed when the process is gone; err says how.
	ended chan struct{}
	err   error
}

func newSupervisor(s Settings) *supervisor {
	return &supervisor{settings: s, running: map[string]*daemon{}, client: &http.Client{
		Timeout:   2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // only: does it answer?
	}}
}

// start runs a component and waits until it answers. One that runs already is left alone.
func (v *supervisor) start(ctx context.Context, name string) error {
	c, ok := v.settings.Components()[name]
	if !ok {
		return fmt.Errorf("there is no component %q", name)
	}
	d, err := v.launch(c)
	if err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for !v.answers(ctx, c.Ready) {
		select {
		case <-d.ended:
			return fmt.Errorf("%s ended while it started: %w; see %s", name, d.err, v.settings.Log(name))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer at %s: %w; see %s", name, c.Ready, ctx.Err(), v.settings.Log(name))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func (v *supervisor) launch(c Component) (*daemon, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d, ok := v.running[c.Name]; ok && !d.gone() {
		return d, nil
	}
	log, err := os.OpenFile(v.settings.Log(c.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program := c.Command[0]
	if own := v.settings.path("bin", program); isFile(own) {
		program = own
	}
	cmd := exec.Command(program, c.Command[1:]...) //nolint:noctx // it outlives the request that starts it
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = append(v.settings.environment(), c.Environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, since: time.Now(), ended: make(chan struct{})}
	go func() {
		if d.err = cmd.Wait(); d.err == nil {
			d.err = errors.New("exit status 0")
		}
		close(d.ended)
	}()
	v.running[c.Name] = d
	return d, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

// stop ends a component: by asking first, or by killing it at once. One that does not run is fine.
func (v *supervisor) stop(name string, signal syscall.Signal) error {
	v.mu.Lock()
	d, ok := v.running[name]
	v.mu.Unlock()
	if !ok || d.gone() {
		return nil
	}
	_ = d.cmd.Process.Signal(syscall.SIGCONT) // one that is held hears of nothing else
	for _, s := range []syscall.Signal{signal, syscall.SIGKILL} {
		_ = d.cmd.Process.Signal(s)
		select {
		case <-d.ended:
			return nil
		case <-time.After(stopTime):
		}
	}
	return fmt.Errorf("%s does not end", name)
}

// signal sends a signal to a component that runs.
func (v *supervisor) signal(name string, signal syscall.Signal) error {
	v.mu.Lock()
	d, ok := v.running[name]
	v.mu.Unlock()
	if !ok || d.gone() {
		return fmt.Errorf("%s does not run", name)
	}
	return d.cmd.Process.Signal(signal)
}

func (d *daemon) gone() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// status describes every component that was ever started.
func (v *supervisor) status() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := map[string]string{}
	for name, d := range v.running {
		all[name] = fmt.Sprintf("running for %s", time.Since(d.since).Round(time.Second))
		if d.gone() {
			all[name] = "ended: " + d.err.Error()
		}
	}
	return all
}

// answers says whether what Ready names does.
func (v *supervisor) answers(ctx context.Context, ready string) bool {
	switch kind, address, _ := strings.Cut(ready, ":"); kind {
	case "":
		return true
	case "tcp", "unix":
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, kind, address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
	if err != nil {
		return false
	}
	response, err := v.client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK || response.StatusCode == http.StatusUnauthorized
}
