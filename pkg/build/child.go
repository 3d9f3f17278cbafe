package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// grace is how long a cancelled engine may tidy up: a step honours cancellation within a second.
const grace = 500 * time.Millisecond

// maxAnswer bounds what is read of the engine's answer, in bytes.
const maxAnswer = 32 << 20

// runEngine starts the engine, gives it the request, serves its requests for blobs, and returns its answer. When it returns, the
// engine and everything that it started are gone.
func (o Options) runEngine(ctx context.Context, request wire.Build, lock *os.File) (*wire.Image, error) {
	output := newTail(o.Redact.Writer(o.Output))
	defer output.Close()
	fetching, stop := context.WithCancel(ctx)
	defer stop()
	fetcher := &fetcher{ctx: fetching, registry: o.Registry, log: o.Log}
	child, err := newChild(o.Engine, request, lock)
	if err != nil {
		return nil, err
	}
	child.cmd.Stdout, child.cmd.Stderr = output, output
	fetcher.running.Add(1)
	result, err := child.run(ctx, request, fetcher.serve)
	fetchErr := fetcher.failed()
	stop()
	fetcher.running.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("build: %w", context.Cause(ctx))
	case fetchErr != nil:
		return nil, fetchErr
	case err != nil:
		return nil, o.engineDied(err, output)
	case result.Fault != nil:
		return nil, o.foreign(request, o.fault(result.Fault, output))
	}
	for _, w := range result.Warn {
		o.Log.Warn(w)
	}
	return result.Image, nil
}

// engineDied is the error of an engine that ended without an answer, such as one that the kernel killed for its memory.
func (o Options) engineDied(err error, output *tail) error {
	return failure.New(failure.Internal, "the build engine ended without an answer: %w%s", err, o.quote(output))
}

// fault is what the engine says went wrong, with the end of what the failed instruction printed.
func (o Options) fault(f *wire.Fault, output *tail) error {
	message := o.Redact.String(f.Message)
	if f.Step == "" {
		return failure.New(failure.Kind(f.Kind), "%s", message)
	}
	kind := failure.Kind(f.Kind)
	if kind == failure.BuildFailed && strings.Contains(strings.ToLower(output.text()), "no space left on device") {
		kind = failure.Storage
	}
	if f.Exit != 0 {
		message = fmt.Sprintf("exit status %d", f.Exit)
	}
	return failure.New(kind, "%s: %s%s", o.Redact.String(f.Step), message, o.quote(output))
}

// foreign says why a RUN of another architecture fails.
func (o Options) foreign(request wire.Build, err error) error {
	if request.Architecture == runtime.GOARCH || !strings.Contains(err.Error(), "exec format error") {
		return err
	}
	return failure.WithHint(err, "a RUN for %s/%s needs a machine of that architecture, or its emulation; this one has %s. What a stage FROM --platform=$BUILDPLATFORM runs is for this one",
		request.OS, request.Architecture, runtime.GOARCH)
}

func (o Options) quote(output *tail) string {
	if text := output.text(); text != "" {
		return "\n" + o.Redact.String(text)
	}
	return ""
}

// child is the engine's process and our ends of its descriptors.
type child struct {
	cmd      *exec.Cmd
	request  *os.File
	answer   *os.File
	blobs    *os.File
	theirs   []*os.File
	isolated bool // a process namespace ends everything in it with the engine
}

func newChild(engine string, request wire.Build, lock *os.File) (*child, error) {
	c := &child{}
	fail := func(err error) (*child, error) {
		c.close()
		return nil, failure.New(failure.Internal, "starting the build engine: %w", err)
	}
	requestR, requestW, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	c.request, c.theirs = requestW, append(c.theirs, requestR)
	answerR, answerW, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	c.answer, c.theirs = answerR, append(c.theirs, answerW)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	c.blobs = os.NewFile(uintptr(pair[0]), "blobs")
	c.theirs = append(c.theirs, os.NewFile(uintptr(pair[1]), "engine's blobs"))
	c.cmd = &exec.Cmd{
		Path: engine, Args: []string{"osbs-build-engine"}, Dir: "/", Env: environment(request.Temp),
		ExtraFiles: append(c.theirs[:len(c.theirs):len(c.theirs)], lock), WaitDelay: grace,
	}
	return c, nil
}

func (c *child) close() {
	for _, f := range append([]*os.File{c.request, c.answer}, c.theirs...) {
		if f != nil {
			f.Close()
		}
	}
}

// environment is all of the engine's. Instructions see none of it but the proxies, as with docker build.
func environment(temp string) []string {
	env := []string{
		wire.Env + "=" + wire.Version,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + filepath.Join(temp, "home"), "TMPDIR=" + temp, "XDG_RUNTIME_DIR=" + filepath.Join(temp, "run"),
		"CONTAINERS_CONF=" + filepath.Join(temp, "containers.conf"),
		"CONTAINERS_REGISTRIES_CONF=" + filepath.Join(temp, "registries.conf"),
		"CONTAINERS_STORAGE_CONF=" + filepath.Join(temp, "storage.conf"),
		"_CONTAINERS_USERNS_CONFIGURED=done", "GOGC=" + wire.GarbageLate,
	}
	// GORACE is what a program that was built with the race detector reads; without it each of the engine's processes sleeps for a second.
	for _, name := range []string{"GORACE", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// run starts the process and returns when it has ended. serve is called in any case, with a socket that ends when the engine does.
func (c *child) run(ctx context.Context, request wire.Build, serve func(*os.File)) (wire.Result, error) {
	defer c.close()
	ended := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The kernel ends the engine when the thread that started it ends, so that thread must last as long.
		runtime.LockOSThread()
		err := c.start()
		started <- err
		if err == nil {
			ended <- c.cmd.Wait()
		}
	}()
	err := <-started
	for _, f := range c.theirs {
		f.Close()
	}
	c.theirs = nil
	go serve(c.blobs)
	if err != nil {
		return wire.Result{}, fmt.Errorf("starting %s: %w", c.cmd.Path, err)
	}
	go c.send(request)
	answered := make(chan answer, 1)
	go func() { answered <- readAnswer(c.answer) }()
	err = c.wait(ctx, ended)
	c.answer.SetReadDeadline(time.Now().Add(grace)) //nolint:errcheck // best effort: all writers are gone already
	got := <-answered
	if got.err == nil {
		return got.result, nil
	}
	return wire.Result{}, errors.Join(err, got.err)
}

// start tries the safest way first: in a process namespace nothing can outlive the engine, even if this process is killed.
func (c *child) start() error {
	attributes, err := namespaces()
	if err != nil {
		return err
	}
	c.cmd.SysProcAttr, c.isolated = attributes, true
	if err = c.cmd.Start(); err == nil || !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	again := *c.cmd
	plain := *attributes
	plain.Cloneflags &^= unix.CLONE_NEWPID
	c.cmd = &exec.Cmd{
		Path: again.Path, Args: again.Args, Dir: again.Dir, Env: again.Env, ExtraFiles: again.ExtraFiles, WaitDelay: again.WaitDelay,
		Stdout: again.Stdout, Stderr: again.Stderr, SysProcAttr: &plain,
	}
	c.isolated = false
	if plainErr := c.cmd.Start(); plainErr != nil {
		return errors.Join(err, plainErr)
	}
	return nil
}

// send writes the request; that the engine is gone shows in its missing answer.
func (c *child) send(request wire.Build) {
	defer c.request.Close()
	data, err := json.Marshal(request)
	if err == nil {
		_, _ = c.request.Write(data)
	}
}

// wait ends the engine when ctx ends.
func (c *child) wait(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = c.cmd.Process.Signal(unix.SIGTERM)
	select {
	case err := <-ended:
		return err
	case <-time.After(grace):
	}
	if !c.isolated {
		killDescendants(c.cmd.Process.Pid)
	}
	_ = c.cmd.Process.Kill()
	return <-ended
}

type answer struct {
	result wire.Result
	err    error
}

func readAnswer(f io.Reader) (a answer) {
	data, err := io.ReadAll(io.LimitReader(f, maxAnswer))
	if err == nil && len(bytes.TrimSpace(data)) == 0 {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = json.Unmarshal(data, &a.result)
	}
	if err != nil {
		a.err = fmt.Errorf("reading its answer: %w", err)
	}
	return a
}

// namespaces gives the engine its own mounts and processes, and, where this process may not mount, its own users.
func namespaces() (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL, Setpgid: true}
	able, err := canMount()
	if err != nil || able {
		return attributes, err
	}
	attributes.Cloneflags |= unix.CLONE_NEWUSER
	if os.Geteuid() != 0 {
		attributes.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
		return attributes, nil
	}
	attributes.GidMappingsEnableSetgroups = true
	if attributes.UidMappings, err = readMap("/proc/self/uid_map"); err != nil {
		return nil, err
	}
	attributes.GidMappings, err = readMap("/proc/self/gid_map")
	return attributes, err
}

// canMount says whether this process has CAP_SYS_ADMIN.
func canMount() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("reading capabilities: %w", err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0, nil
}

// readMap keeps the ids that this process has, each as itself.
func readMap(path string) ([]syscall.SysProcIDMap, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var ids []syscall.SysProcIDMap
	for line := range strings.Lines(string(data)) {
		var first, outside, size int
		if _, err := fmt.Sscan(line, &first, &outside, &size); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		ids = append(ids, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
	}
	return ids, nil
}

// killDescendants ends all that pid has started, where no namespace does it. A process that forks while this looks can escape one
// look, so it looks until there is nothing left, or a bound is reached.
func killDescendants(pid int) {
	for range 20 {
		found := descendants(pid)
		for _, p := range found {
			_ = unix.Kill(p, unix.SIGKILL)
		}
		if len(found) == 0 {
			return
		}
	}
}

// descendants lists the children of pid, their children, and so on, from /proc.
func descendants(pid int) []int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		p, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, alive := parentOf(p); alive {
			children[parent] = append(children[parent], p)
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

// parentOf reads the parent of a process that is not a zombie.
func parentOf(pid int) (int, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[0] == "Z" {
		return 0, false
	}
	parent, err := strconv.Atoi(fields[1])
	return parent, err == nil
}
