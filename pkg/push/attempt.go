package push

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/tags"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// attemptFile is in the workspace; the push stage alone writes it.
const attemptFile = "push-attempt.json"

// maxAttempt bounds the file, in bytes.
const maxAttempt = 1 << 20

// attempt is what a push that died leaves to the next one of the same build: with it the unique tag stays the same, and a primary
// tag that the first one set is told from one that another build has set.
type attempt struct {
	// Digest is the built image's. A workspace in which something else was built since has a new attempt.
	Digest string `json:"digest"`
	Tags   tagSet `json:"tags"`
	// PrimaryFree holds the repositories in which this build saw that the primary tag did not exist.
	PrimaryFree map[string]bool `json:"primaryFree"`
}

type tagSet tags.Set

// setByPush lists the tags that are set by this stage, in order.
func (s tagSet) setByPush() []string {
	s.Floating = nil
	return tags.Set(s).All()
}

// begin continues the earlier attempt of the same build, with its tags, or starts one with those of set.
func begin(d workspace.Dir, digest string, set tags.Set) (*attempt, error) {
	fresh := &attempt{Digest: digest, Tags: tagSet(set), PrimaryFree: map[string]bool{}}
	f, err := os.Open(filepath.Join(string(d), attemptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, failure.New(failure.Storage, "reading %s: %w", attemptFile, err)
	}
	defer f.Close()
	var earlier attempt
	if err := json.NewDecoder(io.LimitReader(f, maxAttempt)).Decode(&earlier); err != nil {
		return fresh, nil // the machine went down while it was written: without it a primary tag is never taken for our own
	}
	sameImage := earlier.Digest == digest && earlier.Tags.Name == set.Name && earlier.Tags.Primary == set.Primary
	if !sameImage || earlier.Tags.Unique == "" {
		return fresh, nil
	}
	fresh.Tags.Unique = earlier.Tags.Unique
	for repo := range earlier.PrimaryFree {
		fresh.PrimaryFree[repo] = true
	}
	return fresh, nil
}

// Inherit lets the build in the workspace to go on with the push of an earlier build of the same sources, in the workspace from, which
// may have ended at any moment: if it builds the same image, byte for byte, a primary tag that the earlier build has set is its own.
// That there was no push is no error.
func Inherit(from, to workspace.Dir) error {
	data, err := os.ReadFile(filepath.Join(string(from), attemptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failure.New(failure.Storage, "reading %s: %w", attemptFile, err)
	}
	var earlier attempt
	if usable := len(data) <= maxAttempt && json.Unmarshal(data, &earlier) == nil; usable {
		return earlier.save(to)
	}
	return nil // as in begin: without it a primary tag is never taken for our own
}

// save lets the attempt outlive the process. It need not outlive the machine (see begin), so that no time goes into that.
func (a *attempt) save(d workspace.Dir) error {
	data, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return failure.New(failure.Internal, "encoding %s: %w", attemptFile, err)
	}
	final := filepath.Join(string(d), attemptFile)
	err = os.WriteFile(final+".new", append(data, '\n'), 0o600) // one writer: the stage
	if err == nil {
		err = os.Rename(final+".new", final)
	}
	if err != nil {
		return failure.New(failure.Storage, "writing %s: %w", attemptFile, err)
	}
	return nil
}
