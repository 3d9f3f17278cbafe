package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.podman.io/storage/pkg/reexec"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// probe is the name under which this test binary tells what it finds around it.
const probe = "osbs-unshare-probe"

func TestMain(m *testing.M) {
	reexec.Register(probe, tell)
	Main()
	os.Exit(m.Run())
}

// tell writes process id, session, mount namespace and what is left of the protocol in the environment.
func tell() {
	session, err := unix.Getsid(0)
	if err != nil {
		fmt.Println(err)
	}
	mounts, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(os.Getpid(), session, mounts)
	for _, e := range os.Environ() {
		if strings.HasPrefix(e, shimPrefix) {
			fmt.Println("left:", e)
		}
	}
}

// The library's unshare.Cmd works with our side of its protocol: with cgo off this is the shim, with cgo on the library's own C.
func TestUnshareCommand(t *testing.T) {
	var out bytes.Buffer
	cmd := unshare.Command(probe)
	cmd.UnshareFlags, cmd.Setsid = unix.CLONE_NEWNS, true
	cmd.Stdout, cmd.Stderr = &out, &out
	hooked := 0
	cmd.Hook = func(pid int) error {
		hooked = pid
		return nil
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	var pid, session int
	var mounts string
	if _, err := fmt.Sscan(out.String(), &pid, &session, &mounts); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	if pid != hooked || pid != session || mounts == ours || strings.Contains(out.String(), "left:") {
		t.Errorf("hook saw %d, our mounts are %s, child says: %s", hooked, ours, &out)
	}
}

// A hook that fails keeps the child from running.
func TestUnshareHookFails(t *testing.T) {
	var out bytes.Buffer
	cmd := unshare.Command(probe)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Hook = func(int) error { return errors.New("refused") }
	err := cmd.Run()
	if err == nil || strings.Contains(out.String(), "mnt:[") {
		t.Errorf("error %v, child says: %s", err, &out)
	}
}

// The names that the library's C code reads are those that the shim reads: a new one in a later version needs a new shim.
func TestProtocolNames(t *testing.T) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "go.podman.io/storage/pkg/unshare").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unshare.c"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, name := range regexp.MustCompile(`"(_Containers-[a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		got[name[1]] = true
	}
	want := map[string]bool{shimFlags: true, shimPid: true, shimContinue: true, shimSetsid: true, shimSetpgrp: true, shimTerminal: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-shim +library):\n%s", diff)
	}
}

func TestShimRefusesUserNamespace(t *testing.T) {
	if err := becomeUnshared(fmt.Sprint(unix.CLONE_NEWUSER)); err == nil || !strings.Contains(err.Error(), "user namespace") {
		t.Error(err)
	}
	if err := becomeUnshared("x"); err == nil {
		t.Error("flags that are no number were taken")
	}
}
