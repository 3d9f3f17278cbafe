package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// leave is what becomes of a build that nobody waits for any more. On the local instance it ends, because it is a part of this program.
// On a cluster it goes on, unless the person at the terminal says that it shall be cancelled.
func (s *session) leave(ctx context.Context, created osbs.Build) {
	if s.config.IsLocal() || s.asksToCancel(created) {
		s.cancelFamily(ctx, created)
		return
	}
	fmt.Fprintf(s.stderr, "osbs: build %s goes on\n  see it:    osbs watch-build %s\n  cancel it: osbs cancel-build %s\n", created.Name, created.Name, created.Name)
}

// asksToCancel asks the person at the terminal; a second interrupt ends the program, and the build goes on.
func (s *session) asksToCancel(created osbs.Build) bool {
	if s.stdin == nil || !s.stderrTTY {
		return false
	}
	fmt.Fprintf(s.stderr, "\nosbs: cancel build %s? y cancels it, anything else leaves it running: ", created.Name)
	answer, err := bufio.NewReader(s.stdin).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(answer), "y")
}
