package build

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// fetcher gives the engine the layers of bases that it asks for, so that the engine needs no credentials.
type fetcher struct {
	ctx      context.Context //nolint:containedctx // the fetcher lives as long as the build
	registry *registry.Client
	log      *slog.Logger
	running  sync.WaitGroup // serve, and each fetch
	mu       sync.Mutex
	err      error
}

// pipeSize is how much of a blob is under way between the processes, in bytes; the kernel's bound for everybody.
const pipeSize = 1 << 20

// serve answers until the engine closes its end, and closes the socket.
func (f *fetcher) serve(socket *os.File) {
	defer f.running.Done()
	defer socket.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := unix.Read(int(socket.Fd()), buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		var wanted wire.Fetch
		if json.Unmarshal(buffer[:n], &wanted) != nil {
			return
		}
		r, w, err := os.Pipe()
		if err != nil {
			f.fail(failure.New(failure.Internal, "passing a layer on: %w", err))
			return
		}
		_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize)
		err = unix.Sendmsg(int(socket.Fd()), []byte{1}, unix.UnixRights(int(r.Fd())), nil, 0)
		r.Close()
		if err != nil {
			w.Close()
			return
		}
		f.running.Go(func() { f.fetch(wanted, w) })
	}
}

// fetch writes one blob. The engine sees an error as an early end, and it compares digests.
func (f *fetcher) fetch(wanted wire.Fetch, to io.WriteCloser) {
	defer to.Close()
	err := f.copy(wanted, to)
	if err != nil && !errors.Is(err, unix.EPIPE) {
		f.fail(err)
	}
}

func (f *fetcher) copy(wanted wire.Fetch, to io.Writer) error {
	ref := wanted.Repository + "@" + wanted.Digest
	if f.registry == nil {
		return failure.New(failure.Internal, "a layer of a base is missing, and no registry is given: %s", ref)
	}
	repository, err := f.registry.ParseRepository(wanted.Repository)
	if err != nil {
		return err
	}
	f.log.Debug("fetching a layer of a base", "layer", ref)
	layer, err := remote.Layer(repository.Digest(wanted.Digest), f.registry.Remote(f.ctx)...)
	if err != nil {
		return registry.Classify(err, ref)
	}
	body, err := layer.Compressed()
	if err != nil {
		return registry.Classify(err, ref)
	}
	defer body.Close()
	if _, err = io.Copy(to, body); errors.Is(err, unix.EPIPE) {
		return err
	}
	return registry.Classify(err, ref)
}

func (f *fetcher) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *fetcher) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
