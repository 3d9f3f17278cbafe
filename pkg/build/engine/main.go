// Package engine builds images with buildah's library. It is a program in the program: Main turns the process into the engine, or
// into one of the processes that the engine starts, when it was started as one. Package build starts it.
//
// Only commands whose binary may be large link this package.
package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/sirupsen/logrus"
	"go.podman.io/buildah"
	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// maxRequest bounds the request, in bytes: manifests and configurations of bases are in it.
const maxRequest = 256 << 20

// Main must be the first thing that main calls. It returns if this process is neither the engine nor one of its helpers.
func Main() {
	collectEarlyOnceLarge()
	unshareShim()
	if buildah.InitReexec() {
		os.Exit(0)
	}
	version, engine := os.LookupEnv(wire.Env)
	if !engine {
		return
	}
	for _, fd := range []int{wire.Request, wire.Answer, wire.Blobs, wire.Lock} {
		unix.CloseOnExec(fd)
	}
	answer := os.NewFile(wire.Answer, "answer")
	result := wire.Result{}
	if err := run(version, &result); err != nil {
		result.Fault = describe(err)
	}
	if err := json.NewEncoder(answer).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "build engine: answering:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// growth is how much garbage, in percent of what is in use, a process of the engine may have once it has collected garbage at all.
const growth = 40

// collectEarlyOnceLarge keeps the memory of large builds low and costs small ones nothing: most of the engine's processes are short,
// and end before there is a first collection (wire.GarbageLate); after that one, collections are frequent.
func collectEarlyOnceLarge() {
	if os.Getenv("GOGC") != wire.GarbageLate {
		return
	}
	runtime.AddCleanup(new([64]byte), func(percent int) { debug.SetGCPercent(percent) }, growth)
}

// run reads the request and does it.
func run(version string, result *wire.Result) error {
	if err := os.Unsetenv(wire.Env); err != nil {
		return failure.New(failure.Internal, "preparing the environment: %w", err)
	}
	if version != wire.Version {
		return failure.New(failure.Internal, "the engine speaks version %s, the build version %s", wire.Version, version)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	request := os.NewFile(wire.Request, "request")
	var b wire.Build
	if err := json.NewDecoder(io.LimitReader(request, maxRequest)).Decode(&b); err != nil {
		return failure.New(failure.Internal, "reading the request: %w", err)
	}
	request.Close()
	logrus.SetLevel(logrus.ErrorLevel)
	if b.Debug {
		logrus.SetLevel(logrus.DebugLevel)
	}
	go endOthers(ctx)
	image, err := build(ctx, b)
	if ctx.Err() != nil {
		return failure.New(failure.Cancelled, "the build was cancelled: %w", ctx.Err())
	}
	result.Image = image
	return err
}

// endOthers ends every other process when ctx ends: the library looks at ctx between steps only. As the first process of its
// namespace the engine has nobody else in sight; without a namespace of its own, the parent sees to it.
func endOthers(ctx context.Context) {
	<-ctx.Done()
	if os.Getpid() == 1 {
		_ = unix.Kill(-1, unix.SIGKILL)
	}
}
