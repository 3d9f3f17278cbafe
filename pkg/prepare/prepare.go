// Package prepare is the stage between lock and build. It decides whether there is something to build, checks what must be true
// before a build, and for an autorebuild bumps the release. It ends in one of three ways: go on, skipped, or an error.
package prepare

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/dockerfile"
	"github.com/osbs-tekton/osbs/pkg/dockerfile/pinned"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/git"
	"github.com/osbs-tekton/osbs/pkg/giturl"
	"github.com/osbs-tekton/osbs/pkg/labels"
	"github.com/osbs-tekton/osbs/pkg/release"
	"github.com/osbs-tekton/osbs/pkg/repoconfig"
	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// When a bumped release is pushed to the branch.
const (
	// BumpAfterBuild pushes in Publish, so that a failed build leaves the branch as it was.
	BumpAfterBuild = "after-build"
	// BumpBeforeBuild pushes in Run.
	BumpBeforeBuild = "before-build"
	// BumpNever leaves the release alone.
	BumpNever = "never"
)

// Options say what kind of build is prepared.
type Options struct {
	step.Env
	Workspace workspace.Dir
	// Autorebuild says that an ImageStream change started the build, not a user.
	Autorebuild bool
	// GitURL is used instead of that in the clone stage's record if it is not empty: the record has no credentials.
	GitURL string
	// GitCommit is the commit that the user expects at the branch's head, in 7 to 40 hex digits; empty means any.
	GitCommit string
	// GitSecretDir, CAFile, Home and AgentSocket are those of git.Options.
	GitSecretDir, CAFile, Home, AgentSocket string
	// Submodules is that of clone.Options; it is used when the branch has moved and is cloned again.
	Submodules bool
	// RepoConfig is the name of the repo config file; empty means repoconfig.DefaultName.
	RepoConfig string
	// BumpRelease is one of the constants; empty means BumpAfterBuild.
	BumpRelease string
	// Release replaces the label release; empty means that the Dockerfile says it.
	Release string
	// Component replaces the label com.redhat.component; empty means that the Dockerfile says it.
	Component string
	// BuildArgs are NAME=VALUE; they take part when LABEL values are expanded.
	BuildArgs []string
	// Scratch and Isolated builds check no branch, and never bump.
	Scratch, Isolated bool
	// CommitterName and CommitterEmail sign the bump commit; empty means OSBS.
	CommitterName, CommitterEmail string
}

// preparation is one run of the stage.
type preparation struct {
	Options
	cloned workspace.Clone
	bases  workspace.DetectBase
	repo   *repository
	// config is what the repository says of autorebuilds; for a user's build it is nobody's business.
	config repoconfig.Config
}

// Run prepares the build in the workspace and leaves the record of the stage. Running it again, also after a crash, gives the same
// record.
//
// Kinds of errors: InvalidInput for the repo config file, labels and a release that cannot be bumped; Conflict when the branch is
// not at the expected commit; those of git.Remote.
func Run(ctx context.Context, o Options) (workspace.Prepare, error) {
	p, err := o.start()
	if err != nil {
		return workspace.Prepare{}, err
	}
	record, err := p.run(ctx)
	if err != nil {
		return workspace.Prepare{}, err
	}
	return record, workspace.Write(o.Workspace, record)
}

// start reads what the earlier stages left.
func (o Options) start() (*preparation, error) {
	o.Env = o.WithDefaults()
	if o.RepoConfig == "" {
		o.RepoConfig = repoconfig.DefaultName
	}
	switch o.BumpRelease {
	case "":
		o.BumpRelease = BumpAfterBuild
	case BumpAfterBuild, BumpBeforeBuild, BumpNever:
	default:
		return nil, failure.New(failure.Usage, "bump-release %q: accepted are %s, %s and %s", o.BumpRelease, BumpAfterBuild, BumpBeforeBuild, BumpNever)
	}
	p := &preparation{Options: o}
	var err error
	if p.cloned, err = workspace.Read[workspace.Clone](o.Workspace); err != nil {
		return nil, err
	}
	if p.bases, err = workspace.Read[workspace.DetectBase](o.Workspace); err != nil {
		return nil, err
	}
	p.repo = openRepository(o.Workspace.Source())
	return p, nil
}

func (p *preparation) run(ctx context.Context) (workspace.Prepare, error) {
	record := workspace.Prepare{State: workspace.StateBuild, Commit: p.cloned.Commit, CommitTime: p.cloned.CommitTime, Labels: map[string]string{}}
	if skipped, err := p.superseded(&record); skipped || err != nil {
		return record, err
	}
	if p.Autorebuild {
		if err := p.readConfig(); err != nil {
			return record, err
		}
		if !p.config.Autorebuild {
			record.State, record.Reason = workspace.StateSkipped, "autorebuild is disabled in "+p.RepoConfig
			p.Log.Info("skipped: " + record.Reason)
			return record, nil
		}
	} else if err := p.checkCommit(ctx); err != nil {
		return record, err
	}
	text, err := p.repo.dockerfile(git.NewHash(p.cloned.Commit), p.bases.Dockerfile)
	if err != nil {
		return record, err
	}
	if p.Autorebuild && !p.Scratch && !p.Isolated {
		if text, err = p.raise(ctx, text, &record); err != nil {
			return record, err
		}
	}
	f, err := dockerfile.Parse(bytes.NewReader(text))
	if err != nil {
		return record, err
	}
	if record.Bump != nil || record.Release != "" {
		p.pin(f)
	}
	if record.Labels, err = p.labels(f, record.Release); err != nil {
		return record, err
	}
	return record, labels.Check(record.Labels, p.Isolated)
}

// superseded ends a build that the lock stage has given up in favour of a newer one.
func (p *preparation) superseded(record *workspace.Prepare) (bool, error) {
	lock, err := workspace.Read[workspace.Lock](p.Workspace)
	if failure.KindOf(err) == failure.NotFound { // a build without a lock
		return false, nil
	}
	if err != nil || lock.State != workspace.StateSkipped {
		return false, err
	}
	record.State, record.Reason = workspace.StateSkipped, lock.Reason
	p.Log.Info("skipped: " + record.Reason)
	return true, nil
}

// readConfig reads what the repository says of autorebuilds at the branch's head. Where that is not what was cloned, the clone stage has
// read it.
func (p *preparation) readConfig() error {
	if p.cloned.Head != "" {
		p.config = repoconfig.Config{Autorebuild: true, Container: repoconfig.Container{AddTimestamp: p.cloned.AddTimestamp}}
		return nil
	}
	var err error
	if p.config, err = repoconfig.Read(p.Workspace.Source(), p.RepoConfig); err != nil {
		return err
	}
	for _, warning := range p.config.Warnings() {
		p.Log.Warn(warning)
	}
	return nil
}

// raise gives an autorebuild a release that no build before it had. It returns the text of the Dockerfile with that release.
func (p *preparation) raise(ctx context.Context, text []byte, record *workspace.Prepare) ([]byte, error) {
	bumps := p.BumpRelease != BumpNever && p.Release == ""
	switch {
	case p.config.AddTimestamp:
		return p.stamp(text, record)
	case bumps && p.cloned.Head != "":
		p.Log.Info("the commit that is built is not the branch's head, so that its release cannot be bumped: it gets a timestamp",
			"commit", p.cloned.Commit, "branch", p.cloned.Branch, "head", p.cloned.Head)
		return p.stamp(text, record)
	case bumps:
		return p.bump(ctx, text, record)
	default:
		return text, nil
	}
}

// stamp adds the time of the build's creation to the release. Nothing of that gets into the repository.
func (p *preparation) stamp(text []byte, record *workspace.Prepare) ([]byte, error) {
	at, err := p.created()
	if err != nil {
		return nil, err
	}
	old := p.Release
	if old != "" {
		record.Release, err = release.Stamped(old, at)
	} else {
		text, old, err = p.stampDockerfile(text, at, record)
	}
	if err == nil && record.Release != "" {
		p.Log.Info("the release has a timestamp", "from", old, "to", record.Release)
	}
	return text, err
}

// stampDockerfile returns the text of the Dockerfile with the new release, and the old release.
func (p *preparation) stampDockerfile(text []byte, at time.Time, record *workspace.Prepare) ([]byte, string, error) {
	o, env := p.expansion()
	result, ok, err := release.Stamp(text, o, env, at)
	if err != nil {
		return nil, "", err
	}
	if !ok {
		record.Reason = "the Dockerfile sets no release that could get a timestamp"
		p.Log.Info(record.Reason)
		return text, "", nil
	}
	record.Release = result.New
	return result.Text, result.Old, nil
}

// created is when the build was created, as the lock stage has recorded it. A build without a lock has no build config, so that nobody
// rebuilds it but by hand.
func (p *preparation) created() (time.Time, error) {
	lock, err := workspace.Read[workspace.Lock](p.Workspace)
	if failure.KindOf(err) == failure.NotFound || err == nil && lock.Created.IsZero() {
		return time.Now(), nil
	}
	return lock.Created, err
}

// pin writes the Dockerfile of the new release with pinned bases in place of the one that detect-base left.
func (p *preparation) pin(f *dockerfile.File) {
	o, _ := p.expansion()
	if err := pinned.Write(p.Workspace, f, p.bases, o.BuildArgs); err != nil {
		p.Log.Warn("there is no Dockerfile.pinned, which only other engines than the build stage need", "reason", err)
	}
}

// labels are those that the image will have of the Dockerfile and of the options.
func (p *preparation) labels(f *dockerfile.File, stamped string) (map[string]string, error) {
	o, env := p.expansion()
	all, err := f.Labels(o, env)
	if err != nil {
		return nil, err
	}
	if p.Release != "" {
		if err := labels.CheckRelease(p.Release, p.Isolated); err != nil {
			return nil, err
		}
		all[labels.Release] = p.Release
	}
	if stamped != "" {
		all[labels.Release] = stamped
	}
	if p.Component != "" {
		all[labels.Component] = p.Component
	}
	return all, nil
}

// expansion is what labels are expanded with.
func (p *preparation) expansion() (dockerfile.Options, []string) {
	o := dockerfile.Options{Target: p.bases.DockerfileTarget, Platform: p.bases.Platform, BuildArgs: map[string]string{}}
	for _, arg := range p.BuildArgs {
		if name, value, ok := strings.Cut(arg, "="); ok {
			o.BuildArgs[name] = value
		}
	}
	if parent := p.bases.Parent(); parent != nil {
		return o, parent.Env
	}
	return o, nil
}

// checkCommit refuses a user's build of a commit that is not, or no longer, at the head of the branch.
func (p *preparation) checkCommit(ctx context.Context) error {
	if p.GitCommit == "" || p.Scratch || p.Isolated {
		return nil
	}
	remote, err := p.remote()
	if err != nil {
		return err
	}
	refs, err := remote.List(ctx)
	if err != nil {
		return err
	}
	head, err := refs.Branch(p.cloned.Branch)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(head.String(), p.GitCommit) {
		err := failure.New(failure.Conflict, "Not at expected commit: Branch '%s' is at commit %s (expected %s)", p.cloned.Branch, head, p.GitCommit)
		return failure.WithHint(err, "build the branch's head, or make a scratch or isolated build of the older commit")
	}
	return nil
}

func (p *preparation) remote() (*git.Remote, error) {
	text := p.GitURL
	if text == "" {
		text = p.cloned.URL
	}
	url, err := giturl.Parse(text)
	if err != nil {
		return nil, err
	}
	o := git.Options{Env: p.Env, SecretDir: p.GitSecretDir, CAFile: p.CAFile, Home: p.Home, AgentSocket: p.AgentSocket}
	return git.Open(o, url, true)
}

// bump makes the bump commit, and pushes it if that is to happen before the build. It returns the new text of the Dockerfile.
func (p *preparation) bump(ctx context.Context, text []byte, record *workspace.Prepare) ([]byte, error) {
	o, env := p.expansion()
	result, ok, err := release.Bump(text, o, env)
	if err != nil {
		return nil, err
	}
	if !ok {
		record.Reason = "the Dockerfile sets no release that could be bumped"
		p.Log.Info(record.Reason)
		return text, nil
	}
	if p.BumpRelease == BumpBeforeBuild {
		return p.bumpAndPush(ctx, text, result, record)
	}
	return result.Text, p.commit(result, record)
}

// commit makes the bump commit on top of the clone's commit, in the repository and in the files.
func (p *preparation) commit(result release.Result, record *workspace.Prepare) error {
	commit, err := p.repo.commit(change{
		parents: []git.Hash{git.NewHash(p.cloned.Commit)}, path: p.bases.Dockerfile, text: result.Text, signature: p.signature(), message: message,
	})
	if err != nil {
		return err
	}
	if err := p.repo.checkout(p.cloned.Branch, commit, p.bases.Dockerfile, result.Text); err != nil {
		return err
	}
	record.Commit, record.CommitTime = commit.hash.String(), commit.time
	record.Bump = &workspace.Bump{OldRelease: result.Old, NewRelease: result.New, Where: result.Where}
	p.Log.Info("bumped the release", "from", result.Old, "to", result.New, "where", result.Where, "commit", record.Commit)
	return nil
}

// message is the text of the bump commit.
const message = "Bumped release for automated rebuild"

func (p *preparation) signature() string {
	name, email := p.CommitterName, p.CommitterEmail
	if name == "" {
		name = "OSBS"
	}
	if email == "" {
		email = "osbs@localhost"
	}
	clean := strings.NewReplacer("<", "", ">", "", "\n", " ", "\r", " ", "\x00", "")
	return clean.Replace(name) + " <" + clean.Replace(email) + ">"
}
