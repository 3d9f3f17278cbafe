// Package buildconfig is what is known about one image on one branch: where its sources are, with which parameters it is built, what
// triggers it, what it produces and how its last build ended. Its sub-packages store it: configmap has the form that a cluster and
// files share, filestore keeps that form as files, clusterstore in a cluster.
package buildconfig

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

// BuildConfig is one build config. Copy it with Clone before changing what a Store returned to somebody else.
type BuildConfig struct {
	// Name follows the rule of the function Name, unless a person chose another.
	Name string `json:"name"`
	// GitURL has no credentials.
	GitURL    string `json:"gitUrl"`
	GitBranch string `json:"gitBranch"`
	// GitCommit is the commit that the last build was made from. An autorebuild's bump of the release becomes it when it has been
	// imported; until then it is the commit below that.
	GitCommit  string     `json:"gitCommit,omitempty"`
	Parameters Parameters `json:"parameters"`
	// Triggers are the bases on whose change the build config is rebuilt.
	Triggers []Trigger `json:"triggers,omitempty"`
	// ImageStream and Tags are what its builds import; empty before the first success.
	ImageStream string   `json:"imageStream,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	// Paused: a person has put autorebuilds off until a person resumes them. What was missed is rebuilt then.
	Paused bool `json:"paused,omitempty"`
	// Disabled: a person wants no autorebuilds of this build config. The repo config file's `enabled` is not kept here: it is read
	// from the branch's head by each autorebuild.
	Disabled bool `json:"disabled,omitempty"`
	// Requested is the rebuild that a person has asked for, until it has begun; nil if there is none.
	Requested *Request `json:"requested,omitempty"`
	// LastBuild is the build that ended last, nil before the first.
	LastBuild *LastBuild `json:"lastBuild,omitempty"`
	// ResourceVersion is the Store's: an Update succeeds only on the version that it was read at.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// CreationTime is set by the Store.
	CreationTime time.Time `json:"creationTime,omitzero"`

	// Stored is the stored form as it was read, with all that other programs put there; a Store carries it through an Update.
	Stored any `json:"-"`
}

// Parameters are what a build is made with besides its sources; an autorebuild repeats them. The words are those of the flags.
type Parameters struct {
	Dockerfile        string   `json:"dockerfile,omitempty"`
	DockerfileTarget  string   `json:"dockerfileTarget,omitempty"`
	BuildArgs         []string `json:"buildArgs,omitempty"`
	Platform          string   `json:"platform,omitempty"`
	Architecture      string   `json:"architecture,omitempty"`
	Component         string   `json:"component,omitempty"`
	Target            string   `json:"target,omitempty"`
	User              string   `json:"user,omitempty"`
	RepoConfig        string   `json:"repoConfig,omitempty"`
	BumpRelease       string   `json:"bumpRelease,omitempty"`
	Format            string   `json:"format,omitempty"`
	Compression       string   `json:"compression,omitempty"`
	SourceRegistryURI string   `json:"sourceRegistryURI,omitempty"`
	// Pipeline is the name of the Pipeline that builds it on a cluster; empty means the instance's.
	Pipeline string `json:"pipeline,omitempty"`
	// Extra holds parameters of a customised pipeline, by name.
	Extra map[string]string `json:"extra,omitempty"`
}

// Trigger is one base on whose change the build config is rebuilt.
type Trigger struct {
	// ImageStreamTag is name:tag; Namespace is empty for the build config's own.
	ImageStreamTag string `json:"imageStreamTag"`
	Namespace      string `json:"namespace,omitempty"`
	Paused         bool   `json:"paused,omitempty"`
	// LastTriggeredImage is the image, repository@digest, that the last build which got the lock was made from.
	LastTriggeredImage string `json:"lastTriggeredImage,omitempty"`
	// LastTriggeredManifest is the digest of the platform's manifest in it, if that is an index: a stream may name either.
	LastTriggeredManifest string `json:"lastTriggeredManifest,omitempty"`
	// LastTriggerTime is a moment at which the registry's tag had not yet been read by that build; zero if an event named the digest.
	// A stream that has named another digest since before then is behind the registry, not ahead of the build.
	LastTriggerTime time.Time `json:"lastTriggerTime,omitzero"`
	// LastBuiltImage is the image, repository@digest, that the last successful build was made from.
	LastBuiltImage string `json:"lastBuiltImage,omitempty"`
}

// LastBuild is how a build ended.
type LastBuild struct {
	Name        string    `json:"name"`
	Outcome     Outcome   `json:"outcome"`
	Autorebuild bool      `json:"autorebuild,omitempty"`
	Ended       time.Time `json:"ended,omitzero"`
	// Message says why it did not succeed.
	Message string `json:"message,omitempty"`
	// Succeeded is the build that succeeded last before this one, which did not.
	Succeeded string `json:"succeeded,omitempty"`
}

// LastSucceeded is the name of the build that succeeded last, empty if none has. l may be nil.
func (l *LastBuild) LastSucceeded() string {
	switch {
	case l == nil:
		return ""
	case l.Outcome == Succeeded, l.Outcome == Unchanged:
		return l.Name
	default:
		return l.Succeeded
	}
}

// Outcome is how a build ended, in one word.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Skipped   Outcome = "skipped"
	Cancelled Outcome = "cancelled"
	// Unchanged: an autorebuild had the same content as the image before it, so that nothing was moved or imported.
	Unchanged Outcome = "unchanged"
)

// Store keeps build configs. Its errors have kinds: NotFound, Conflict (Create of one that exists, Update of one that has changed
// since it was read), InvalidInput (what is stored is malformed), Storage, Unavailable.
type Store interface {
	Get(ctx context.Context, name string) (*BuildConfig, error)
	// List returns all, by name.
	List(ctx context.Context) ([]*BuildConfig, error)
	// Create returns what was stored, with its resource version.
	Create(ctx context.Context, bc *BuildConfig) (*BuildConfig, error)
	// Update stores bc if bc.ResourceVersion is still the stored one. What other programs stored beside it is kept.
	Update(ctx context.Context, bc *BuildConfig) (*BuildConfig, error)
	// Delete of one that does not exist is NotFound.
	Delete(ctx context.Context, name string) error
}

// Change reads the build config, calls change on it and updates it, again from the start when somebody else was faster, for about
// a quarter of a minute. It returns what was stored. An error of change ends it, and is returned as it is.
func Change(ctx context.Context, s Store, name string, change func(*BuildConfig) error) (*BuildConfig, error) {
	var stored *BuildConfig
	var ended error
	patience := retry.Policy{Attempts: 40, First: 5 * time.Millisecond, Max: 500 * time.Millisecond}
	err := retry.Do(ctx, nil, patience, "updating build config "+name, func(ctx context.Context) error {
		bc, err := s.Get(ctx, name)
		if err == nil {
			err = change(bc)
		}
		if err == nil {
			if stored, err = s.Update(ctx, bc); failure.KindOf(err) == failure.Conflict {
				return retry.Temporary(err)
			}
		}
		ended = err
		return nil
	})
	if err == nil {
		err = ended
	}
	return stored, err
}

// Clone is a deep copy, but for Stored, which nobody changes in place.
func (bc *BuildConfig) Clone() *BuildConfig {
	out := *bc
	out.Parameters = bc.Parameters.clone()
	out.Triggers = slices.Clone(bc.Triggers)
	out.Tags = slices.Clone(bc.Tags)
	if bc.LastBuild != nil {
		last := *bc.LastBuild
		out.LastBuild = &last
	}
	if bc.Requested != nil {
		requested := *bc.Requested
		out.Requested = &requested
	}
	return &out
}

func (p Parameters) clone() Parameters {
	p.BuildArgs = slices.Clone(p.BuildArgs)
	if p.Extra != nil {
		extra := make(map[string]string, len(p.Extra))
		for k, v := range p.Extra {
			extra[k] = v
		}
		p.Extra = extra
	}
	return p
}

// Digest is the digest of an image that is written repository@digest, or empty.
func Digest(image string) string {
	_, digest, _ := strings.Cut(image, "@")
	return digest
}

// Produces are the ImageStreamTags that its builds import, name:tag.
func (bc *BuildConfig) Produces() []string {
	out := make([]string, 0, len(bc.Tags))
	for _, tag := range bc.Tags {
		out = append(out, bc.ImageStream+":"+tag)
	}
	return out
}
