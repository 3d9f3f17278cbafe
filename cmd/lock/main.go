// Command lock is the lock stage: it takes the lock of the build config, and writes what an autorebuild needs into the build config.
package main

import (
	"context"
	"os"
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/clusterstore"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/step"
)

func main() { step.Main(spec()) }

func spec() step.Spec {
	return step.Spec{
		Name:    "lock",
		Summary: "waits or fails while another build of the build config runs, then writes the build config",
		Results: []step.Result{{Name: "build-config", Description: "the name of the build config"}},
		Flags:   flags,
	}
}

// settings are the flags that need more than a string.
type settings struct {
	cluster                                  *cluster.Flags
	lockDir, buildConfigDir, policy, created *string
	baseDigests, buildArgs                   *[]string
}

func flags(f *step.FlagSet) step.Run {
	o := lock.Options{}
	s := settings{
		cluster:        cluster.RegisterFlags(f),
		lockDir:        f.String("lock-dir", "", "directory of the locks; empty means that they are kept in the cluster"),
		buildConfigDir: f.String("buildconfig-dir", "", "directory of the build configs; empty means that they are kept in the cluster"),
		policy:         f.String("lock-policy", string(lock.Fail), "fail or wait: what to do while another build of the build config runs"),
		created:        f.String("created", "", "when the build was created (RFC 3339), which orders those who wait; empty means the time of its PipelineRun, or now if there is no cluster"),
		baseDigests:    f.Words("base-digest", "REF=DIGEST of a base, from the event that started the build"),
		buildArgs:      f.Positional("build-arg", "NAME=VALUE for an ARG of the Dockerfile"),
	}
	f.StringVar(&o.BuildConfig, "build-config", "", "name of the build config; empty means the one of the repository and branch")
	f.StringVar(&o.Holder.Build, "holder", "", "name of the build; on a cluster its PipelineRun's")
	f.StringVar(&o.Holder.UID, "holder-uid", "", "UID of the build; on a cluster its PipelineRun's")
	f.IntVar(&o.Holder.PID, "holder-pid", os.Getppid(), "process that lives as long as the build if there is no cluster; by default the parent process")
	f.DurationVar(&o.Timeout, "lock-timeout", 0, "how long to wait at most; 0 means no limit")
	f.BoolVar(&o.Autorebuild, "is-autorebuild", false, "an ImageStream change started the build, not a user")
	f.StringVar(&o.Reason, "reason", "", "kind of the first reason for an autorebuild, from its event: BaseMoved, or Requested by a person")
	f.StringVar(&o.Resumes, "resumes", "", "name of the failed build that this one finishes; empty if it makes an image of its own")
	f.BoolVar(&o.Scratch, "scratch", false, "a scratch build: the build config stays as it is")
	f.BoolVar(&o.Isolated, "isolated", false, "an isolated build: the build config stays as it is")
	parameters(f, &o.Parameters)
	f.Required("holder", "holder-uid")
	return func(ctx context.Context, env step.Env, out *step.Results) error {
		o.Env, o.Workspace = env, f.Workspace()
		if err := s.fill(&o); err != nil {
			return err
		}
		if err := s.open(ctx, &o); err != nil {
			return err
		}
		record, err := lock.Run(ctx, o)
		if err != nil {
			return err
		}
		return out.Set("build-config", record.BuildConfig)
	}
}

// parameters registers what an autorebuild repeats.
func parameters(f *step.FlagSet, p *buildconfig.Parameters) {
	f.StringVar(&p.Dockerfile, "dockerfile", "", "path of the Dockerfile in the repository")
	f.StringVar(&p.DockerfileTarget, "dockerfile-target", "", "stage of the Dockerfile to build; empty means the last")
	f.StringVar(&p.Platform, "platform", "", "os/arch[/variant] of the image, several separated by commas; empty means linux on this machine's architecture")
	f.StringVar(&p.Architecture, "architecture", "", "value of the label architecture, whatever the Dockerfile says")
	f.StringVar(&p.Component, "component", "", "value of the label com.redhat.component, whatever the Dockerfile says")
	f.StringVar(&p.Target, "target", "", "build target, a part of the unique tag")
	f.StringVar(&p.User, "user", "", "user who asked for the build")
	f.StringVar(&p.RepoConfig, "repo-config", "", "name of the repo config file")
	f.StringVar(&p.BumpRelease, "bump-release", "", "when an autorebuild's release bump is pushed: after-build, before-build or never (no bump)")
	f.StringVar(&p.Format, "format", "", "format of the image: oci, docker, or auto: docker only where the Dockerfile needs it")
	f.StringVar(&p.Compression, "compression", "", "compression of new layers: gzip, zstd or none")
	f.StringVar(&p.SourceRegistryURI, "source-registry-uri", "", "registry that bases come from; no other may then be named")
}

func (s settings) fill(o *lock.Options) error {
	var err error
	if o.Policy, err = lock.ParsePolicy(*s.policy); err != nil {
		return err
	}
	if *s.created != "" {
		if o.Created, err = time.Parse(time.RFC3339, *s.created); err != nil {
			return failure.New(failure.Usage, "created: %w", err)
		}
	}
	for _, pair := range *s.baseDigests {
		reference, digest, found := strings.Cut(pair, "=")
		if !found {
			return failure.New(failure.Usage, "base-digest %q is not REF=DIGEST", pair)
		}
		if o.BaseDigests == nil {
			o.BaseDigests = map[string]string{}
		}
		o.BaseDigests[reference] = digest
	}
	o.Parameters.BuildArgs = *s.buildArgs
	return nil
}

// open opens the directories, or what the cluster has in their place.
func (s settings) open(ctx context.Context, o *lock.Options) error {
	var err error
	switch {
	case *s.lockDir != "" && *s.buildConfigDir != "":
		o.BuildConfigs = filestore.New(*s.buildConfigDir)
		o.Locker, err = lock.NewFile(*s.lockDir)
		return err
	case *s.lockDir != "" || *s.buildConfigDir != "":
		return failure.New(failure.Usage, "-lock-dir and -buildconfig-dir go together: locks and build configs are both files, or both in the cluster")
	}
	client, err := s.cluster.Open(o.Env, "-lock-dir and -buildconfig-dir")
	if err != nil {
		return err
	}
	leases := lock.NewLease(client, o.Env)
	o.Locker, o.BuildConfigs, o.Holder.PID = leases, clusterstore.New(client), 0
	o.Streams, o.Namespace = cluster.For[imagev1.ImageStream](client, imagev1.GroupVersion, "imagestreams", "ImageStream"), client.Namespace()
	if err := leases.Admit(ctx, o.Holder); err != nil {
		return err
	}
	if o.Created.IsZero() {
		o.Created, err = leases.Created(ctx, o.Holder)
	}
	return err
}
