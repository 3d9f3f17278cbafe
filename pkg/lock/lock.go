// Package lock lets one build of a build config run at a time. A lock belongs to a build, not to the program that took it: it is free
// as soon as that build has ended or is gone, and no clean-up is needed for that.
package lock

import (
	"context"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Holder is a build.
type Holder struct {
	// Build is its name, for people.
	Build string `json:"build"`
	// UID tells it from every other build, also of the same name.
	UID string `json:"uid"`
	// PID is the process that the build lives and dies with, on this machine; 0 on a cluster.
	PID int `json:"pid,omitempty"`
}

// Policy is what a build does when another one of the same build config runs.
type Policy string

// The policies.
const (
	// Fail ends the build with OSBS's error.
	Fail Policy = "fail"
	// Wait lets builds run in the order in which they were created; of the autorebuilds that wait, only the newest stays.
	Wait Policy = "wait"
)

// ParsePolicy reads a policy.
func ParsePolicy(s string) (Policy, error) {
	switch p := Policy(s); p {
	case Fail, Wait:
		return p, nil
	case "":
		return Fail, nil
	default:
		return "", failure.New(failure.Usage, "lock policy %q is neither %s nor %s", s, Fail, Wait)
	}
}

// Request asks for a lock.
type Request struct {
	Holder
	Policy Policy
	// Created orders those who wait.
	Created time.Time
	// Autorebuild: superseded by a newer autorebuild that waits as well.
	Autorebuild bool
}

// Locker takes and frees locks, each named like its build config.
//
// Acquire returns when the build holds the lock; it succeeds at once for a build that holds it already. Its errors: failure.Conflict
// under Fail when another build runs, failure.Skipped when the build was superseded while it waited, ctx's when that ended. An error
// means that the build neither holds the lock nor waits.
//
// Release frees the lock if holder holds it, and gives up its place if it waits. It is no error if it does neither.
//
// Holder returns who holds the lock, nil if it is free.
type Locker interface {
	Acquire(ctx context.Context, name string, r Request) error
	Release(ctx context.Context, name string, holder Holder) error
	Holder(ctx context.Context, name string) (*Holder, error)
}

// The states of a build that is in the way, in the words of OSBS's errors.
const (
	stateRunning = "Running"
	statePending = "Pending"
)

// busy is OSBS's error for a build that may not wait; running is nil when only waiting builds are in its way.
func busy(name string, running *Holder, waiting []Holder) error {
	builds := make([]string, 0, 1+len(waiting))
	state := statePending
	if running != nil {
		builds, state = append(builds, running.Build), stateRunning
	}
	for _, w := range waiting {
		builds = append(builds, w.Build)
	}
	if len(builds) == 1 {
		return failure.New(failure.Conflict, "Build %s for %s in state %s, can't proceed.", builds[0], name, state)
	}
	return failure.New(failure.Conflict, "Multiple builds for %s running, can't proceed: %s", name, strings.Join(builds, ", "))
}

func superseded(name, build, by string) error {
	return failure.New(failure.Skipped, "build %s of %s is superseded by %s, a newer autorebuild", build, name, by)
}

// leaveTime is how long a build that was cancelled may take to give up its place; if it cannot, its end does that.
const leaveTime = 500 * time.Millisecond

// giveUp leaves the queue after an error, also when ctx has ended. Without it the place would be kept until the build ends.
func giveUp(ctx context.Context, l Locker, name string, holder Holder, why error) error {
	if kind := failure.KindOf(why); kind == failure.Conflict || kind == failure.Skipped {
		return nil // it has no place
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	return l.Release(ctx, name, holder)
}
