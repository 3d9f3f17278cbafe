package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/redact"
)

// maxLog bounds the log of one build, in bytes: what a Dockerfile prints must not fill the disk.
const maxLog = 64 << 20

// buildLog is the log of one build: what the stages tell and what the build prints, by whole lines, secrets masked, a header before
// each stage.
type buildLog struct {
	file  *os.File
	lines io.WriteCloser
}

// openLog makes the log. A build that is begun again after its process was killed goes on in the same log.
func openLog(path string, secrets *redact.Set) (*buildLog, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, failure.New(failure.Storage, "making the log: %w", err)
	}
	return &buildLog{file: file, lines: secrets.Writer(&boundedWriter{next: file, left: maxLog})}, nil
}

// Write adds to the log.
func (l *buildLog) Write(p []byte) (int, error) { return l.lines.Write(p) }

// header begins a stage's part of the log.
func (l *buildLog) header(stage string, now time.Time) {
	fmt.Fprintf(l, "== %s (%s)\n", stage, now.Format(time.TimeOnly))
}

func (l *buildLog) close() error {
	if err := l.lines.Close(); err != nil {
		l.file.Close()
		return err
	}
	return l.file.Close()
}

// logger writes messages to the log, those of level debug only if debug says so.
func (l *buildLog) logger(debug bool) *slog.Logger {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return slog.New(logline.NewHandler(l, level, ""))
}

// boundedWriter drops what goes beyond a limit, and says once that it does.
type boundedWriter struct {
	next io.Writer
	left int64
	full bool
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.full {
		return len(p), nil
	}
	if int64(len(p)) > b.left {
		b.full = true
		_, err := io.WriteString(b.next, "\n[the log is cut off here: it is too long]\n")
		return len(p), err
	}
	b.left -= int64(len(p))
	return b.next.Write(p)
}

const (
	// logPoll is how often a log that is followed is looked at for more.
	logPoll = 50 * time.Millisecond
	// logChunk is how much of a log is read at once, in bytes.
	logChunk = 64 << 10
)

// follower copies a log by whole lines.
type follower struct {
	file *os.File
	w    io.Writer
	buf  []byte
	rest []byte
}

// copy copies the whole lines that are there now.
func (f *follower) copy() error {
	for {
		n, err := f.file.Read(f.buf)
		if n > 0 {
			if err := f.lines(f.buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return failure.New(failure.Storage, "reading the log: %w", err)
		}
	}
}

func (f *follower) lines(p []byte) error {
	f.rest = append(f.rest, p...)
	end := strings.LastIndexByte(string(f.rest), '\n') + 1
	if end == 0 && len(f.rest) < logChunk {
		return nil
	}
	if end == 0 {
		end = len(f.rest)
	}
	if _, err := f.w.Write(f.rest[:end]); err != nil {
		return err
	}
	f.rest = append(f.rest[:0], f.rest[end:]...)
	return nil
}

// flush writes a last line that has no end.
func (f *follower) flush() error {
	if len(f.rest) == 0 {
		return nil
	}
	_, err := f.w.Write(append(f.rest, '\n'))
	f.rest = nil
	return err
}

// waitForLog opens a build's log, and waits for it if it is to be followed.
func waitForLog(ctx context.Context, path string, ended func() (bool, error)) (*os.File, error) {
	poll := time.NewTicker(logPoll)
	defer poll.Stop()
	for {
		file, err := os.Open(path)
		if err == nil {
			return file, nil
		}
		if !os.IsNotExist(err) {
			return nil, failure.New(failure.Storage, "opening the log: %w", err)
		}
		if done, err := ended(); done || err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-poll.C:
		}
	}
}

// copyLog copies the log at path to w until ended says that there will be no more; sooner if changed fires.
func copyLog(ctx context.Context, path string, w io.Writer, ended func() (bool, error), changed <-chan struct{}) error {
	file, err := waitForLog(ctx, path, ended)
	if err != nil || file == nil {
		return err
	}
	defer file.Close()
	f := &follower{file: file, w: w, buf: make([]byte, logChunk)}
	poll := time.NewTicker(logPoll)
	defer poll.Stop()
	for {
		done, err := ended() // before the copy, so that nothing is missed in between
		if err != nil {
			return err
		}
		if err := f.copy(); err != nil {
			return err
		}
		if done {
			return f.flush()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		case <-changed:
		}
	}
}
