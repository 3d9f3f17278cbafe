package pulpserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/internal/certtest"
)

// Username is Pulp's administrator.
const Username = "admin"

// Options of a server.
type Options struct {
	// Environment is what prepare.sh has printed.
	Environment string
	// Listen is the address to listen on, and Host the name and port under which it is known, and in its certificate; both are on the
	// loopback interface if they are empty.
	Listen, Host string
	// APIRoot is Pulp's setting API_ROOT; empty means /pulp/.
	APIRoot string
	// Workers is how many work on tasks; 0 means two.
	Workers int
}

// Server is a running Pulp.
type Server struct {
	// URL is the server's, Host its name and port, CAFile what signed its certificate.
	URL, Host, CAFile string
	// Password is that of Username.
	Password string

	options Options
	dir     string
	account *syscall.Credential
	front   *front
	// authority has signed the server's certificate.
	authority *certtest.Authority
	database  *process

	mu        sync.Mutex
	processes map[string]*process
}

// Start starts a server, and returns when it answers and its workers wait for tasks. Its files are below dir, which must be empty.
func Start(ctx context.Context, dir string, o Options) (_ *Server, err error) {
	if o.Workers == 0 {
		o.Workers = 2
	}
	if o.APIRoot == "" {
		o.APIRoot = "/pulp/"
	}
	s := &Server{options: o, dir: dir, Password: rand.Text(), processes: map[string]*process{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, s.Logs(4000))
			s.Stop()
		}
	}()
	if s.account, err = databaseAccount(); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL, which has an account of its own, must reach its files
		return nil, err
	}
	if s.front, err = listen(s, o); err != nil {
		return nil, err
	}
	if err := s.configure(o.APIRoot); err != nil {
		return nil, err
	}
	if err := s.startDatabase(ctx); err != nil {
		return nil, err
	}
	if err := s.manage(ctx, "migrate", "--noinput"); err != nil {
		return nil, err
	}
	if err := s.manage(ctx, "reset-admin-password", "--password", s.Password); err != nil {
		return nil, err
	}
	for _, name := range s.programs() {
		if err := s.Launch(name); err != nil {
			return nil, err
		}
	}
	return s, s.await(ctx)
}

// programs are the names of Pulp's processes.
func (s *Server) programs() []string {
	names := []string{"api", "content"}
	for i := range s.options.Workers {
		names = append(names, fmt.Sprintf("worker%d", i))
	}
	return names
}

// socket is where a program listens.
func (s *Server) socket(name string) string { return filepath.Join(s.dir, name+".sock") }

// Launch starts a program of Pulp's that does not run: api, content, worker0, worker1.
func (s *Server) Launch(name string) error {
	program, args := "pulpcore-worker", []string(nil)
	if name == "api" || name == "content" {
		program, args = "pulpcore-"+name, []string{"--bind", "unix:" + s.socket(name), "--timeout", "300", "--workers", "2"}
	}
	p, err := launch(s.dir, name, s.environ(), nil, filepath.Join(s.options.Environment, "bin", program), args...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[name] = p
	return nil
}

// Kill ends a program at once, as a crash would.
func (s *Server) Kill(name string) { s.end(name, syscall.SIGKILL) }

// KillTasks ends at once what a worker works on: each task is a process of its own.
func (s *Server) KillTasks(worker string) {
	s.mu.Lock()
	p := s.processes[worker]
	s.mu.Unlock()
	if p == nil {
		return
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", p.cmd.Process.Pid)) // none if it has just ended
	for _, text := range strings.Fields(string(children)) {
		if child, err := strconv.Atoi(text); err == nil {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	}
}

// Pause has a program stand still until Resume.
func (s *Server) Pause(name string) { s.signal(name, syscall.SIGSTOP) }

// Resume has a program go on.
func (s *Server) Resume(name string) { s.signal(name, syscall.SIGCONT) }

func (s *Server) end(name string, signal syscall.Signal) {
	s.mu.Lock()
	p := s.processes[name]
	delete(s.processes, name)
	s.mu.Unlock()
	if p != nil {
		p.end(signal)
	}
}

func (s *Server) signal(name string, signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.processes[name]; p != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, signal)
	}
}

// Stop ends everything.
func (s *Server) Stop() {
	for _, name := range s.programs() {
		s.signal(name, syscall.SIGCONT)
		s.end(name, syscall.SIGKILL)
	}
	if s.database != nil {
		s.database.end(syscall.SIGINT)
	}
	if s.front != nil {
		_ = s.front.server.Close()
	}
}

// environ is the environment of Pulp's programs. That of this program may have proxies and Python's settings in it, so it is not taken over.
func (s *Server) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "PULP_SETTINGS=" + filepath.Join(s.dir, "settings.py"), "PYTHONDONTWRITEBYTECODE=1"}
}

// manage runs a command of Pulp's own.
func (s *Server) manage(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.options.Environment, "bin", "pulpcore-manager"), args...)
	cmd.Env = s.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pulpcore-manager %s: %w: %s", args[0], err, tail(string(out), 2000))
	}
	return nil
}

// startDatabase makes a database, and a server for it that listens on a socket only.
func (s *Server) startDatabase(ctx context.Context) error {
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(programs) == 0 {
		return errors.New("PostgreSQL is not installed: prepare.sh does that")
	}
	bin, dir := programs[len(programs)-1], filepath.Join(s.dir, "postgres")
	if err := os.Mkdir(dir, 0o711); err != nil {
		return err
	}
	if s.account != nil {
		if err := os.Chown(dir, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data, "--auth", "trust", "--username", "pulp", "--no-sync", "--encoding", "UTF8", "--locale", "C")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: s.account}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a database: %w: %s", err, tail(string(out), 2000))
	}
	// What a crash of the machine would do to it is no matter here.
	s.database, err = launch(s.dir, "postgres", os.Environ(), s.account, filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-h", "", "-c", "fsync=off", "-c", "full_page_writes=off")
	if err != nil {
		return err
	}
	return until(ctx, "PostgreSQL answers", time.Minute, func(ctx context.Context) bool {
		return exec.CommandContext(ctx, filepath.Join(bin, "createdb"), "--host", dir, "--username", "pulp", "pulp").Run() == nil
	})
}

// await waits until the server can do what it is for.
func (s *Server) await(ctx context.Context) error {
	return until(ctx, "Pulp is ready", 2*time.Minute, func(ctx context.Context) bool {
		status, err := s.Status(ctx)
		return err == nil && len(status.Workers) >= s.options.Workers && len(status.Content) > 0
	})
}

// until polls.
func until(ctx context.Context, what string, limit time.Duration, done func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

// Logs is the end of what each process has printed, at most limit bytes of each.
func (s *Server) Logs(limit int) string {
	var b strings.Builder
	for _, name := range append(s.programs(), "postgres") {
		text, err := os.ReadFile(filepath.Join(s.dir, name+".log"))
		if err == nil {
			fmt.Fprintf(&b, "--- %s:\n%s\n", name, tail(string(text), limit))
		}
	}
	return b.String()
}

func tail(text string, limit int) string { return text[max(0, len(text)-limit):] }

// dial connects to a program of the server.
func (s *Server) dial(ctx context.Context, name string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", s.socket(name))
}

// transport speaks to a program of the server.
func (s *Server) transport(name string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx, name) }, DisableKeepAlives: true}
}
