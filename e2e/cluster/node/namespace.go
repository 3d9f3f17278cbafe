package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start makes the namespaces and runs Init in them: the program at executable with args, to which the settings' file is added. It returns the
// process id of Init, which goes on when the caller ends.
func Start(s Settings, executable string, args ...string) (pid int, err error) {
	log, err := os.OpenFile(s.Log("supervisor"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	text, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	settings := s.path("etc/settings.json")
	if err := os.WriteFile(settings, text, 0o644); err != nil {
		return 0, err
	}
	args = append(args, settings)
	cmd := exec.Command(executable, args...) //nolint:noctx // it outlives the caller
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("making namespaces: %w", err)
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}

// isolate prepares the namespaces that the process is the first in.
func isolate(ctx context.Context, s Settings) error {
	if err := unix.Sethostname([]byte(Name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := mounts(s); err != nil {
		return err
	}
	return network(ctx)
}

// mounts hides the places where daemons write without being asked. Nothing of it is seen outside.
func mounts(s Settings) error {
	// Private first, so that nothing reaches the machine; then shared, so that the kubelet's mounts reach containerd's.
	for _, flag := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", flag|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("taking the mounts apart: %w", err)
		}
	}
	hosts, err := resolvConf(s)
	if err != nil {
		return err
	}
	overlay := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", filepath.Join(s.Images, "storage"), s.path("var/images-upper"), s.path("var/images-work"))
	for _, m := range append([]mount{
		{"overlay", s.path("var/images"), "overlay", 0, overlay},
		{s.path("private/tmp"), "/tmp", "", unix.MS_BIND, ""},
		{s.path("private/var-lib"), "/var/lib", "", unix.MS_BIND, ""},
		{s.path("private/var-log"), "/var/log", "", unix.MS_BIND, ""},
		{s.path("etc/hosts"), "/etc/hosts", "", unix.MS_BIND, ""},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	}, hosts...) {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.source, m.target, err)
		}
	}
	if len(hosts) == 0 {
		if err := writeResolvConf(s); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/run/netns", "/run/lock"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// resolvConf is the mount over /etc/resolv.conf, or none if that is a link into /run, which will be empty.
func resolvConf(s Settings) ([]mount, error) {
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(target, "/run/") {
		return nil, nil
	}
	return []mount{{s.path("etc/resolv.conf"), target, "", unix.MS_BIND, ""}}, err
}

func writeResolvConf(s Settings) error {
	target, err := os.Readlink("/etc/resolv.conf")
	if err != nil {
		return nil //nolint:nilerr // there is no such file, and nobody misses it
	}
	text, err := os.ReadFile(s.path("etc/resolv.conf"))
	if err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join("/etc", target)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, text, 0o644) //nolint:gosec // where the machine's own link says
}

// network gives the loopback interface the cluster's addresses. There is no other interface but those of pods: nothing leaves.
func network(ctx context.Context) error {
	if err := ip(ctx, "link", "set", "lo", "up"); err != nil {
		return err
	}
	for _, address := range []string{IP, ImagesIP, RegistryIP, GitIP, PulpIP} {
		if err := ip(ctx, "address", "add", address+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	// An address of a Service becomes a pod's on the way out, but only if there is a way at all.
	if err := ip(ctx, "route", "add", ServiceNetwork, "dev", "lo", "src", IP); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	// Only there if bridges pass packets to iptables at all.
	err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
