package git

import (
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// CheckBranch refuses what git does not accept as the name of a branch (git-check-ref-format), with the kind Usage.
func CheckBranch(name string) error {
	if why := badBranch(name); why != "" {
		return failure.New(failure.Usage, "git branch %q: %s", name, why)
	}
	return nil
}

func badBranch(name string) string {
	switch {
	case name == "":
		return "a branch is required"
	case len(name) > 250:
		return "the name is too long"
	case strings.HasPrefix(name, "-"):
		return "the name begins with -"
	case strings.ContainsAny(name, " ~^:?*[\\\x7f") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return "the name holds a character that no branch may have"
	case strings.Contains(name, "..") || strings.Contains(name, "@{") || strings.Contains(name, "//") || name == "@":
		return "the name holds a sequence that no branch may have"
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.HasSuffix(name, "."):
		return "the name begins or ends with a character that no branch may have there"
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return "a part of the name begins with . or ends with .lock"
		}
	}
	return ""
}
