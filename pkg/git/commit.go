package git

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Commit is what is needed of a commit object.
type Commit struct {
	Tree    Hash
	Parents []Hash
	// Time is the committer's, in UTC.
	Time time.Time
}

// ParseCommit reads a commit object.
func ParseCommit(h Hash, data []byte) (Commit, error) {
	header, _, _ := bytes.Cut(data, []byte("\n\n"))
	var c Commit
	seen := false
	for line := range strings.SplitSeq(string(header), "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch {
		case key == "tree" && plumbing.IsHash(value):
			c.Tree = plumbing.NewHash(value)
		case key == "parent" && plumbing.IsHash(value):
			c.Parents = append(c.Parents, plumbing.NewHash(value))
		case key == "committer" && !seen:
			seen = true
			c.Time = committerTime(value)
		}
	}
	if c.Tree.IsZero() {
		return c, failure.New(failure.InvalidInput, "commit %s is malformed: it has no tree", h)
	}
	return c, nil
}

// committerTime reads the seconds since 1970 in NAME <MAIL> SECONDS ZONE. A time that cannot be read, or is before 1970, is 1970.
func committerTime(value string) time.Time {
	_, rest, _ := strings.Cut(value[strings.LastIndex(value, ">")+1:], " ")
	number, _, _ := strings.Cut(rest, " ")
	seconds, err := strconv.ParseInt(number, 10, 64)
	const year9999 = 253402300799
	if err != nil || seconds < 0 || seconds > year9999 {
		seconds = 0
	}
	return time.Unix(seconds, 0).UTC()
}
