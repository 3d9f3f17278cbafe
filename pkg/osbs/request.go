package osbs

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Check refuses a request that no instance can build, with an error of the kind Usage. The git URL, and what only one kind of instance
// cannot do, is left to the instance.
func (r Request) Check() error {
	switch {
	case r.GitBranch == "":
		return failure.WithHint(failure.New(failure.Usage, "no git branch is given"), "name the branch: -b main")
	case strings.HasPrefix(r.GitBranch, "-"):
		return failure.New(failure.Usage, "git branch %q begins with -", r.GitBranch)
	case r.User == "":
		return failure.WithHint(failure.New(failure.Usage, "no user is given"), "say who builds: -u NAME")
	case r.Scratch && r.Isolated:
		return failure.New(failure.Usage, "a build is scratch or isolated, not both")
	}
	return nil
}

// NewName is the name of a user's build of something. Six random hex digits may meet a name that exists; where builds are stored, the
// second is refused then, not mixed up with the first.
func NewName(of string) (string, error) {
	var raw [3]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	return of + "-" + hex.EncodeToString(raw[:]), nil
}
