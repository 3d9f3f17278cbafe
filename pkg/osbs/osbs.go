// Package osbs is what a program uses to have images built: create a build, follow it, read its logs, cancel it, list builds.
//
// An Instance is where builds run. Package instance opens the one that osbs.conf names; without any configuration that is the
// local instance, which needs neither a cluster nor a network.
package osbs

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Instance is where builds run. Its methods are safe for concurrent use; errors have kinds (package failure).
type Instance interface {
	// Create starts a build and returns at once; the build runs until Close, whatever happens to ctx afterwards.
	Create(ctx context.Context, r Request) (*Build, error)
	// ResumeBuild finishes a build that failed, or was cancelled, after its image was built: it takes the lock again, and pushes, syncs and imports that
	// image. It returns at once, as Create does, with a build whose Resumes is set. An empty lockPolicy means the policy of the build. The error is
	// failure.NotFound if there is no such build, and failure.Conflict if it cannot be resumed; its hint says what would be right.
	ResumeBuild(ctx context.Context, name, lockPolicy string) (*Build, error)
	// Plan says what Create would do, without doing any of it.
	Plan(ctx context.Context, r Request) (*Plan, error)
	// Get returns one build; failure.NotFound if there is none of that name.
	Get(ctx context.Context, name string) (*Build, error)
	// List returns builds, the newest first.
	List(ctx context.Context, f Filter) ([]Build, error)
	// Watch yields the build's state now and after each change until it has ended. With an empty name it yields every build
	// of the instance until ctx ends.
	Watch(ctx context.Context, name string) iter.Seq2[Event, error]
	// Logs copies the build's log to w, by whole lines; with follow it goes on until the build has ended.
	Logs(ctx context.Context, name string, follow bool, w io.Writer) error
	// Cancel ends a build and returns when it has ended. A build that has ended already is failure.Conflict.
	Cancel(ctx context.Context, name string) error
	// BuildConfigs returns the build configs, sorted by name.
	BuildConfigs(ctx context.Context) ([]buildconfig.BuildConfig, error)
	// Outlook says how things stand with rebuilds, for all build configs.
	Outlook(ctx context.Context) (*Outlook, error)
	// SetPaused puts the autorebuilds of one build config off, or ends that, and says whether that is new. What was missed is due then.
	SetPaused(ctx context.Context, buildConfig string, paused bool) (changed bool, err error)
	// RequestRebuild asks for a build of each of the build configs, whether anything has changed or not, and says by which time the
	// request is known: a build that begins for it, or for a later one, has it among its reasons. Which is built when, the planner says:
	// parents come before what is built on them. It is failure.Conflict if one of them is paused or off, or all builds are paused;
	// nothing is asked for then.
	RequestRebuild(ctx context.Context, user string, buildConfigs []string) (at time.Time, err error)
	// WithdrawRebuild takes away what was asked for at that time and has not begun.
	WithdrawRebuild(ctx context.Context, at time.Time, buildConfigs []string) error
	// ImportImage reads the tag of an ImageStream (all its tags, if tag is empty) from the registry again.
	ImportImage(ctx context.Context, imageStream, tag string) (*workspace.Import, error)
	// Wait returns when every build that this instance has started here, and every rebuild that those cause, has ended.
	Wait(ctx context.Context) error
	// Close cancels what still runs here and frees what the instance holds.
	Close() error
}

// Request is a build that a user asks for. The names are those of osbs build's flags.
type Request struct {
	GitURL    string `json:"gitUrl"`
	GitBranch string `json:"gitBranch"`
	// GitCommit, if not empty, must be the branch's head.
	GitCommit    string `json:"gitCommit,omitempty"`
	User         string `json:"user"`
	Component    string `json:"component,omitempty"`
	Target       string `json:"target,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	// Scratch builds get a unique tag only, import nothing and are never rebuilt.
	Scratch bool `json:"scratch,omitempty"`
	// Isolated builds get unique and primary tags only, import nothing and are never rebuilt.
	Isolated bool `json:"isolated,omitempty"`
	// Release overrides the release label.
	Release string `json:"release,omitempty"`

	Dockerfile       string   `json:"dockerfile,omitempty"`
	DockerfileTarget string   `json:"dockerfileTarget,omitempty"`
	BuildArgs        []string `json:"buildArgs,omitempty"`
	Platform         string   `json:"platform,omitempty"`
	CPULimit         string   `json:"cpuLimit,omitempty"`
	MemoryLimit      string   `json:"memoryLimit,omitempty"`
	// LockPolicy is fail or wait; empty means the instance's setting.
	LockPolicy string `json:"lockPolicy,omitempty"`
	// NoRebuild leaves the dependents as they are until another build or rebuild brings them up to date.
	NoRebuild bool `json:"noRebuild,omitempty"`
}

// State is where a build is in its life.
type State string

// The states. New and Waiting go over to Running, which goes over to one of the others.
const (
	New       State = "new"       // recorded
	Waiting   State = "waiting"   // for the lock
	Running   State = "running"   //
	Complete  State = "complete"  // the image is built, pushed, synced and imported
	Skipped   State = "skipped"   // the repository asks for no autorebuild
	Failed    State = "failed"    //
	Cancelled State = "cancelled" //
)

// Ended says that the state will not change any more.
func (s State) Ended() bool { return s == Complete || s == Skipped || s == Failed || s == Cancelled }

// Stage names, in the order in which they run.
var stages = [...]string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import"}

// Stages returns the names of the stages in the order in which they run.
func Stages() []string { return append([]string(nil), stages[:]...) }

// Build is one build.
type Build struct {
	Name        string  `json:"name"`
	BuildConfig string  `json:"buildConfig"`
	State       State   `json:"state"`
	Request     Request `json:"request"`
	// Autorebuild says that a change of a base started the build; Reasons are the changes.
	Autorebuild bool             `json:"isAutorebuild"`
	Reasons     []rebuild.Reason `json:"reasons,omitempty"`
	// CausedBy is the build whose image made this one necessary.
	CausedBy string `json:"causedBy,omitempty"`
	// Resumes is the failed build whose image this one finishes: its stages begin with the lock.
	Resumes string `json:"resumes,omitempty"`
	// Resumable says that the build failed, or was cancelled, after its image was built, and that the image is still there: Instance.ResumeBuild
	// can finish it, unless another build has succeeded meanwhile.
	Resumable bool          `json:"resumable,omitempty"`
	Created   time.Time     `json:"created"`
	Started   *time.Time    `json:"started,omitempty"`
	Finished  *time.Time    `json:"finished,omitempty"`
	Stages    []StageStatus `json:"stages,omitempty"`

	// What is known of the result, from the records that the stages leave.
	Commit string           `json:"commit,omitempty"`
	Bases  []workspace.Base `json:"bases,omitempty"`
	Digest string           `json:"digest,omitempty"`
	// Size is the compressed size of all layers, in bytes.
	Size    int64             `json:"sizeBytes,omitempty"`
	Push    *workspace.Push   `json:"push,omitempty"`
	Sync    *workspace.Sync   `json:"sync,omitempty"`
	Import  *workspace.Import `json:"import,omitempty"`
	Failure *Failure          `json:"failure,omitempty"`
	Bump    *workspace.Bump   `json:"bump,omitempty"`
}

// Failure says why a build failed, was cancelled or was skipped.
type Failure struct {
	Stage   string       `json:"stage"`
	Kind    failure.Kind `json:"kind"`
	Message string       `json:"message"`
}

// StageStatus is one stage of a build.
type StageStatus struct {
	Name     string     `json:"name"`
	State    State      `json:"state"`
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
	// Note says in a few words what came of the stage, such as `2 layers uploaded, 3 existed`.
	Note string `json:"note,omitempty"`
}

// Event is a change of a build.
type Event struct {
	Build Build `json:"build"`
	// Stage is the stage that changed, empty when the build itself did.
	Stage string `json:"stage,omitempty"`
}

// Filter selects builds. The zero value selects all.
type Filter struct {
	BuildConfig string
	Running     bool // only builds that have not ended
	Limit       int
}

// Plan is a dry run: what a build would do.
type Plan struct {
	BuildConfig string           `json:"buildConfig"`
	Bases       []workspace.Base `json:"bases"`
	Tags        Tags             `json:"tags"`
	// Dependents are the build configs that would be rebuilt, in the order in which they would be.
	Dependents []Dependent `json:"dependents"`
}

// Tags are those that would be pushed. The random part of the unique tag is another one when the build runs.
type Tags struct {
	Unique   string   `json:"unique"`
	Primary  string   `json:"primary,omitempty"`
	Floating []string `json:"floating"`
}

// Dependent is a build config that would be rebuilt.
type Dependent struct {
	BuildConfig string `json:"buildConfig"`
	// Wave counts from 1: every dependent of one wave can be built as soon as the wave before is.
	Wave int `json:"wave"`
	// On are the ImageStreamTags through which it depends.
	On []string `json:"on"`
}
