package chain

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The profile that the build stage names where there are no user namespaces is shipped, forbids what it does not name, and names nothing that
// reaches beyond the build's own namespaces.
func TestProfileOfBuildStage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../../seccomp", filepath.Base(seccompProfile)))
	if err != nil {
		t.Fatal(err)
	}
	var profile struct {
		DefaultAction string
		Syscalls      []struct {
			Names  []string
			Action string
		}
	}
	if err := json.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	if profile.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Errorf("what is not named gets %s", profile.DefaultAction)
	}
	var allowed []string
	for _, s := range profile.Syscalls {
		if s.Action == "SCMP_ACT_ALLOW" {
			allowed = append(allowed, s.Names...)
		}
	}
	for _, name := range []string{"clone", "unshare", "chroot", "mount", "umount2"} {
		if !slices.Contains(allowed, name) {
			t.Errorf("the engine needs %s", name)
		}
	}
	for _, name := range []string{
		"add_key", "bpf", "delete_module", "finit_module", "init_module", "io_uring_setup", "kexec_load", "keyctl", "open_by_handle_at",
		"move_mount", "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root", "reboot", "request_key", "setns", "settimeofday", "swapon", "syslog", "userfaultfd",
	} {
		if slices.Contains(allowed, name) {
			t.Errorf("%s is allowed", name)
		}
	}
}
