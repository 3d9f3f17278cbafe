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
	noSource   = regexp.MustCompile(`checking on sources under "[^"]*": copier: stat: ("[^"]*"): no such file or directory`)
	sourcesAt  = regexp.MustCompile(`checking on sources under "[^"]*": copier: `)
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
	f.Step, f.Message = match[1], withoutPaths(match[2])
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		f.Exit = exit.ExitCode()
	} else if code := exitStatus.FindStringSubmatch(f.Message); code != nil {
		f.Exit, _ = strconv.Atoi(code[1])
	}
	if kind := kindOfText(f.Message); f.Exit == 0 && kind != failure.BuildFailed {
		f.Kind, f.Message, f.Step = string(kind), f.Step+": "+plainText(f.Message), ""
	}
	return f
}

// withoutPaths says what COPY and ADD did not find without telling where the library has mounted it.
func withoutPaths(message string) string {
	message = noSource.ReplaceAllString(message, "there is no $1 in what it copies from, or the ignore file leaves it out")
	return sourcesAt.ReplaceAllString(message, "")
}

// The library's texts for what is wrong with a Dockerfile rather than with the running of it.
var texts = []struct {
	text string
	kind failure.Kind
	say  string
}{
	{"denied by source policy", failure.InvalidInput, "it names an image that detect-base has not found in the Dockerfile, so nothing pins it"},
	{"no stage or image found with that name", failure.InvalidInput, "it names no stage, and no image that detect-base has found in the Dockerfile"},
	{"Unknown instruction", failure.InvalidInput, "there is no such instruction"},
	{"unknown instruction", failure.InvalidInput, "there is no such instruction"},
	{"failed to process", failure.InvalidInput, ""},
	{"parse", failure.InvalidInput, ""},
	{"target", failure.InvalidInput, ""},
}

// kindOfText sorts the library's errors, which have no types.
func kindOfText(message string) failure.Kind {
	for _, t := range texts {
		if strings.Contains(message, t.text) {
			return t.kind
		}
	}
	return failure.BuildFailed
}

// plainText replaces what is for programmers.
func plainText(message string) string {
	for _, t := range texts {
		if t.say != "" && strings.Contains(message, t.text) {
			return t.say
		}
	}
	return message
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
