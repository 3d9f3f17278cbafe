package node

import (
	"context"

	"github.com/osbs-tekton/osbs/e2e/cluster/gitserver"
)

// ServeGit is the component git.
func ServeGit(ctx context.Context, s Settings) error {
	return gitserver.Serve(ctx, gitserver.Config{
		Root: s.path("var/git"), HTTPS: GitIP + ":443", SSH: GitIP + ":22",
		Certificate: s.path("pki/git.crt"), Key: s.path("pki/git.key"),
		HostKey: s.path("pki/git-host-key"), UserKey: s.path("pki/git-user-key.pub"),
		User: s.Credentials.User, Password: s.Credentials.Password,
	})
}
