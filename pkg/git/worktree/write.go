package worktree

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Write creates every file that the plan knows to have the content h, and that is not there yet.
func (p *Plan) Write(h Hash, data []byte) error {
	for _, f := range p.take(h) {
		if f.mode == modeLink {
			if err := f.link(data); err != nil {
				return err
			}
			continue
		}
		if err := p.create(f, func(fd int) error { return writeAll(fd, data) }); err != nil {
			return err
		}
	}
	return nil
}

// WriteFrom is Write for a content too large for memory; it is read once for every file that has it.
func (p *Plan) WriteFrom(h Hash, content func(io.Writer) error) error {
	for _, f := range p.take(h) {
		if f.mode == modeLink {
			return refuse(f.path, "the link is too long")
		}
		if err := p.create(f, func(fd int) error { return content(descriptor(fd)) }); err != nil {
			return err
		}
	}
	return nil
}

// descriptor is a file that is written without Go's poller, which costs two system calls a file.
type descriptor int

func (d descriptor) Write(data []byte) (int, error) {
	if err := writeAll(int(d), data); err != nil {
		return 0, err
	}
	return len(data), nil
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// create makes a file that does not exist, never through a link, and remembers what stat says of it for the index.
func (p *Plan) create(f *file, fill func(fd int) error) error {
	mode := f.mode & 0o777
	name := p.root + "/" + f.path
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	}
	if err != nil {
		return failure.New(failure.Storage, "writing %s: %w", f.path, err)
	}
	err = fill(fd)
	if err == nil {
		err = unix.Fstat(fd, &f.stat)
	}
	if err == nil && f.stat.Mode&0o777 != mode { // an unusual umask must not change what is built
		if err = unix.Fchmod(fd, mode); err == nil {
			err = unix.Fstat(fd, &f.stat)
		}
	}
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil {
		return failure.New(failure.Storage, "writing %s: %w", f.path, err)
	}
	f.written = true
	return nil
}

// link remembers where a link points to; Finish makes it.
func (f *file) link(target []byte) error {
	if len(target) == 0 || len(target) > maxLink || strings.ContainsRune(string(target), 0) {
		return refuse(f.path, "the link is malformed")
	}
	f.target = append([]byte{}, target...)
	return nil
}

// Finish makes the links, after every file is written, and writes git's index to the given file. A link may point anywhere, as in
// git: what it points to was not and will not be written through it, and later stages do not follow one out of the sources.
func (p *Plan) Finish(index string) error {
	for _, f := range p.files {
		name := filepath.Join(p.root, f.path)
		switch {
		case f.mode == modeSubmodule:
			continue
		case f.mode == modeLink && f.target != nil:
			if err := os.Symlink(string(f.target), name); err != nil {
				return failure.New(failure.Storage, "writing %s: %w", f.path, err)
			}
			if err := unix.Lstat(name, &f.stat); err != nil {
				return failure.New(failure.Storage, "writing %s: %w", f.path, err)
			}
		case !f.written:
			return failure.New(failure.Internal, "%s was not written: its content %s did not arrive", f.path, f.hash)
		}
	}
	return p.writeIndex(index)
}
