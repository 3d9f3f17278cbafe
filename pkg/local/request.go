package local

import (
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// checkRequest refuses what cannot be built. It returns the request as it is recorded, without credentials, and the git URL with
// those that it came with.
func (i *Instance) checkRequest(r osbs.Request) (recorded osbs.Request, gitURL string, err error) {
	u, err := giturl.Parse(r.GitURL)
	if err != nil {
		return r, "", err
	}
	gitURL, r.GitURL = r.GitURL, u.String()
	if err := r.Check(); err != nil {
		return r, "", err
	}
	if r.LockPolicy == "" {
		r.LockPolicy = string(i.conf.LockPolicy)
	}
	if _, err := lock.ParsePolicy(r.LockPolicy); err != nil {
		return r, "", err
	}
	return r, gitURL, nil
}

// parameters are what the build config keeps of a request for autorebuilds.
func (i *Instance) parameters(r osbs.Request) buildconfig.Parameters {
	return buildconfig.Parameters{
		Dockerfile: r.Dockerfile, DockerfileTarget: r.DockerfileTarget, BuildArgs: r.BuildArgs, Platform: r.Platform,
		Architecture: r.Architecture, Component: r.Component, Target: r.Target, User: r.User,
		RepoConfig: i.conf.RepoConfig, BumpRelease: i.conf.BumpRelease, Format: i.conf.Format, Compression: i.conf.Compression,
	}
}

// requestOf is the request that repeats the last build of a build config.
func requestOf(bc *buildconfig.BuildConfig) osbs.Request {
	p := bc.Parameters
	return osbs.Request{
		GitURL: bc.GitURL, GitBranch: bc.GitBranch, User: p.User, Component: p.Component, Target: p.Target, Architecture: p.Architecture,
		Dockerfile: p.Dockerfile, DockerfileTarget: p.DockerfileTarget, BuildArgs: p.BuildArgs, Platform: p.Platform,
		LockPolicy: string(lock.Wait),
	}
}
