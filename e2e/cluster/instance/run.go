package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/e2e/cluster/node"
)

// ErrDown says that there is no cluster.
var ErrDown = errors.New("the cluster is not up: `make cluster-up` brings it up")

// enter is the script that goes before a command inside: what the cluster hides from its daemons, people see.
const enter = `umount -l /tmp /var/lib /var/log && cd "$1" && shift && exec "$@"`

// insideVariable is set for commands inside, so that the program knows where it is when it is called by one of them.
const insideVariable = "OSBS_E2E_INSIDE"

func (i *Instance) inside() bool { return os.Getenv(insideVariable) == i.Name }

// command is the argument list that runs a command in the cluster's namespaces, in the directory dir.
func (i *Instance) command(dir string, args ...string) ([]string, error) {
	state, running, err := i.State()
	if err != nil {
		return nil, err
	}
	if !running {
		return nil, ErrDown
	}
	if i.inside() {
		return append([]string{"env", "--chdir=" + dir}, args...), nil
	}
	return append([]string{"nsenter", "--target", strconv.Itoa(state.Process.PID), "--mount", "--pid", "--net", "--ipc", "--uts", "--",
		"unshare", "--mount", "sh", "-c", enter, "sh", dir}, args...), nil
}

// variables is the environment of commands inside.
func (i *Instance) variables() ([]string, error) {
	s, err := node.ReadSettings(i.path("etc/settings.json"))
	if err != nil {
		return nil, err
	}
	env := os.Environ()
	for name, value := range i.commandEnvironment(s) {
		env = append(env, name+"="+value)
	}
	return append(env, "PATH="+i.path("bin")+":"+os.Getenv("PATH")), nil
}

// Exec replaces the program by a command inside the cluster. It returns only if that fails.
func (i *Instance) Exec(args ...string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	full, err := i.command(dir, args...)
	if err != nil {
		return err
	}
	env, err := i.variables()
	if err != nil {
		return err
	}
	program, err := exec.LookPath(full[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, full, env)
}

// Run runs a command inside the cluster, and returns what it prints.
func (i *Instance) Run(ctx context.Context, dir, input string, args ...string) (string, error) {
	full, err := i.command(dir, args...)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, full[0], full[1:]...)
	if cmd.Env, err = i.variables(); err != nil {
		return "", err
	}
	// nsenter has a child, which would go on if nsenter alone were killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &said
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return string(out), nil
}

func (i *Instance) kubectl(ctx context.Context, input string, args ...string) (string, error) {
	return i.Run(ctx, "/", input, append([]string{"kubectl"}, args...)...)
}
