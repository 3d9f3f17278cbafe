package engine

import (
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// The library's texts that say which instruction failed and how its command ended.
var (
	failedStep = regexp.MustCompile(`(?s)building at STEP "(.*?)": (.*)`)
	exitStatus = regexp.MustCompile(`exit status (\d+)$`)
)

// describe turns an error into what the parent is told.
func describe(err error) *wire.Fault {
	f := &wire.Fault{Kind: string(failure.KindOf(err)), Message: err.Error()}
	var classified *failure.Error
	if errors.As(err, &classified) {
		return f
	}
	if isStorageError(err) {
		f.Kind = string(failure.Storage)
		return f
	}
	f.Kind = string(failure.BuildFailed)
	match := failedStep.FindStringSubmatch(f.Message)
	if match == nil {
		f.Kind = string(kindOfText(f.Message))
		return f
	}
	f.Step, f.Message = match[1], match[2]
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		f.Exit = exit.ExitCode()
	} else if code := exitStatus.FindStringSubmatch(f.Message); code != nil {
		f.Exit, _ = strconv.Atoi(code[1])
	}
	return f
}

// kindOfText sorts the library's errors that have no step: nearly all are about the Dockerfile.
func kindOfText(message string) failure.Kind {
	for text, kind := range map[string]failure.Kind{
		"denied by source policy": failure.InvalidInput, "no stages": failure.InvalidInput, "parse": failure.InvalidInput,
		"unknown instruction": failure.InvalidInput, "target": failure.InvalidInput, "no contents": failure.InvalidInput,
	} {
		if strings.Contains(message, text) {
			return kind
		}
	}
	return failure.BuildFailed
}

// isStorageError says that the disk, not the Dockerfile, is the cause.
func isStorageError(err error) bool {
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	text := err.Error()
	return strings.Contains(text, "no space left on device") || strings.Contains(text, "disk quota exceeded")
}

// storageFault classifies an error of the storage.
func storageFault(err error, doing string) error {
	var classified *failure.Error
	if errors.As(err, &classified) {
		return err
	}
	if isStorageError(err) {
		return failure.New(failure.Storage, "%s: %w", doing, err)
	}
	return failure.New(failure.Untrusted, "%s: %w", doing, err)
}
