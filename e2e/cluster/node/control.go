package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Supervise serves requests for components over the socket, until it is told to end or the node's lifetime is over.
func Supervise(ctx context.Context, s Settings) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, s.Lifetime)
	defer cancel()
	if err := os.RemoveAll(s.Socket()); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", s.Socket())
	if err != nil {
		return fmt.Errorf("listening for requests: %w", err)
	}
	v := newSupervisor(s)
	server := &http.Server{Handler: v.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(listener) }()
	go func() { failed <- openVolumes(ctx, volumesDir) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		err = nil
	}
	// What is left is killed by the kernel. These keep data that somebody may want to look at.
	return errors.Join(err, v.stop("kubelet", syscall.SIGTERM), v.stop("etcd", syscall.SIGTERM))
}

// handler knows GET /status, and POST /start/NAME, /stop/NAME, /kill/NAME, /hold/NAME, /go-on/NAME.
func (v *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(v.status())
	})
	mux.HandleFunc("POST /start/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, v.start(r.Context(), r.PathValue("name")))
	})
	mux.HandleFunc("POST /stop/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, v.stop(r.PathValue("name"), syscall.SIGTERM))
	})
	mux.HandleFunc("POST /kill/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, v.stop(r.PathValue("name"), syscall.SIGKILL))
	})
	mux.HandleFunc("POST /hold/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, v.signal(r.PathValue("name"), syscall.SIGSTOP))
	})
	mux.HandleFunc("POST /go-on/{name}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, v.signal(r.PathValue("name"), syscall.SIGCONT))
	})
	return mux
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// Control asks a node's supervisor.
type Control struct{ client *http.Client }

// NewControl is a control of the node with these settings, running or not.
func NewControl(s Settings) *Control {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", s.Socket())
	}
	return &Control{client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Start starts components one after the other, each when the one before it answers.
func (c *Control) Start(ctx context.Context, components ...string) error {
	return c.each(ctx, "start", components)
}

// Stop asks components to end, and waits.
func (c *Control) Stop(ctx context.Context, components ...string) error {
	return c.each(ctx, "stop", components)
}

// Kill ends components without asking.
func (c *Control) Kill(ctx context.Context, components ...string) error {
	return c.each(ctx, "kill", components)
}

// Hold has components stand still: they accept connections, and answer none.
func (c *Control) Hold(ctx context.Context, components ...string) error {
	return c.each(ctx, "hold", components)
}

// GoOn has components go on that were held.
func (c *Control) GoOn(ctx context.Context, components ...string) error {
	return c.each(ctx, "go-on", components)
}

// Status is what each component that was started does.
func (c *Control) Status(ctx context.Context) (map[string]string, error) {
	text, err := c.request(ctx, http.MethodGet, "status")
	if err != nil {
		return nil, err
	}
	var all map[string]string
	return all, json.Unmarshal(text, &all)
}

func (c *Control) each(ctx context.Context, verb string, components []string) error {
	for _, name := range components {
		if _, err := c.request(ctx, http.MethodPost, verb+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (c *Control) request(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor/"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the supervisor: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(text)))
	}
	return text, err
}
