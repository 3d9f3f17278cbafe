package osbs

import (
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Outlook is how things stand with rebuilds at one moment: what the planner needs to say what is due, and what people ask besides.
type Outlook struct {
	// Namespace is the instance's on its cluster; empty for the local instance.
	Namespace string
	// Configs and State are the planner's: rebuild.New(o.Configs, o.State) says what is due. State.Budget is that of Bounds, 0 if it is
	// not known. A base in another namespace than the instance's is namespace/name:tag.
	Configs []rebuild.Config
	State   rebuild.State
	// Images is what is known besides of each build config, by its name. Malformed ones are here, too.
	Images map[string]Image
	// Unwatched: nobody is there who starts what is due. It does not matter where a command does.
	Unwatched bool
	// Paused is set while no build may begin.
	Paused *Pause
	// Bounds are how many builds may begin; nil if that is not known.
	Bounds *Bounds
	// HomeRegistries are the hosts whose images have ImageStreams without a registry's hash in the name: imagestream.TagFor needs them.
	HomeRegistries []string
	// Unread says what could not be read, each with its reason; what depends on it is missing from the rest.
	Unread []string
}

// Image is a build config and how its builds went.
type Image struct {
	// BuildConfig is nil if it is malformed, which Malformed explains then.
	BuildConfig *buildconfig.BuildConfig
	Malformed   string
	// Took is how long the newest successful build took that is still known, from its start to its end with all waiting in between,
	// and TookBuild its name. 0 and empty if none is known.
	Took      time.Duration
	TookBuild string
}

// Pause says that no build may begin.
type Pause struct {
	Since time.Time
	// By is the user, empty if it is not known.
	By string
}

// Bounds are how many builds may begin. 0 is no bound.
type Bounds struct {
	// Concurrent is how many builds may run before no rebuild is started, Rate how many rebuilds may start in a minute.
	Concurrent, Rate int
}
