// Command osbs has container images built, and shows builds. It is package osbs for people: flags and wiring; what is printed is in
// package report.
package main

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"github.com/osbs-tekton/osbs/pkg/build/engine"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// version is set when the program is linked.
var version string //nolint:gochecknoglobals // the linker writes it, nobody else

// tknPlugin is what the program is called as a plugin of tkn, whose users mean kubectl's current context.
const tknPlugin = "tkn-osbs"

func main() {
	engine.Main() // returns unless this process is a part of a build
	os.Exit(realMain())
}

func realMain() int {
	ctx, stop := interruptible(context.Background(), os.Stderr)
	defer stop()
	home, _ := os.UserHomeDir() // without one there is no ~/.osbs.conf
	p := &program{
		stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, home: home, version: version, now: time.Now,
		stdoutTTY: isTerminal(os.Stdout), stderrTTY: isTerminal(os.Stderr), userName: currentUser,
	}
	if filepath.Base(os.Args[0]) == tknPlugin {
		p.builtIn = osbsconf.Cluster
	}
	if isTerminal(os.Stdin) {
		p.stdin = os.Stdin
	}
	return p.run(ctx, os.Args[1:])
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// currentUser is who runs the program, empty if that cannot be found out.
func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}
