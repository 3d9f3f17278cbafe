package instance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// packages are what is taken from Debian.
var packages = []string{
	"ca-certificates", "iproute2", "iptables", "util-linux", "mount", "containernetworking-plugins", "docker-registry", "git", "openssh-client",
	"busybox-static", "tini", "gcc", "libc6-dev", "libseccomp-dev", "libseccomp2",
}

// install installs those of some packages that are missing. No daemon of theirs is started.
func (i *Instance) install(ctx context.Context, packages ...string) error {
	var missing []string
	for _, p := range packages {
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f=${Status}", p).Output()
		if err != nil || !strings.Contains(string(out), "ok installed") {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintf(i.Progress, "installing: %s\n", strings.Join(missing, " "))
	install := append([]string{"-qq", "-y", "--no-install-recommends", "install"}, missing...)
	for _, args := range [][]string{{"-qq", "update"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}
