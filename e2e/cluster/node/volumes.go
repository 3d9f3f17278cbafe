package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// volumesDir is where kube-controller-manager makes the volumes of claims: it knows no other place.
const volumesDir = "/tmp/hostpath_pv"

// openVolumes lets every user write into the directories that appear below dir, which are the volumes of claims. kube-controller-manager makes
// them for root alone, and Kubernetes does not apply a pod's fsGroup to volumes of this kind; provisioners for people open them like this.
func openVolumes(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watching volumes: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_CREATE|unix.IN_ONLYDIR); err != nil {
		return fmt.Errorf("watching volumes: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = events.Close() })()
	for buffer := make([]byte, 64<<10); ; {
		// What an event says is not needed: there are few volumes, so all are looked at.
		volumes, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if err := os.Chmod(v, 0o777); err != nil && !os.IsNotExist(err) {
				return err
			}
		}
		if _, err := events.Read(buffer); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching volumes: %w", err)
		}
	}
}
