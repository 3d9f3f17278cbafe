// Package situation is how things stand on a cluster, as the planner of rebuilds needs it: build configs, the newest image of each
// ImageStreamTag, and builds. It makes that of API objects, whoever has got them: a watcher's caches, or one reading of the lists.
package situation

import (
	"slices"
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Objects are what the API has at one moment. All but Streams are of one namespace.
type Objects struct {
	// Configs are the ConfigMaps of build configs.
	Configs []*corev1.ConfigMap
	// Streams may be of several namespaces.
	Streams []*imagev1.ImageStream
	Runs    []*PipelineRun
	// Run finds one of Runs by name, nil if there is none.
	Run func(name string) *PipelineRun
	// Holders are the UIDs of PipelineRuns that hold a lock, each with the lock's name, which is the build config's; see Holders.
	Holders map[string]string
	// Paused: a person has put all builds off.
	Paused bool
}

// Situation is how things stand: what the planner needs, and what its answer refers to.
type Situation struct {
	// Configs by name, those that cannot be read among them.
	Configs map[string]*Config
	// State is what else the planner needs. Its budget is not set, and its builds only by List.
	State rebuild.State
	// Run finds a run by name; Newest is the one of each build config that was created last, throwaway ones left out.
	Run    func(name string) *PipelineRun
	Newest map[string]*PipelineRun
	// Begun are, for each build config, the times of the requests of people that runs have begun for.
	Begun  map[string][]time.Time
	Paused bool

	planner *rebuild.Planner
	// builds of each build config that the planner must know; pending are those that it was told of besides.
	builds  map[string][]rebuild.Build
	pending map[string][]rebuild.Build
	// finished are, for each build config, failed runs that another one has finished, by name, with that one: they count as having succeeded
	// when it did.
	finished map[string]map[string]*PipelineRun
	// ofOvertaken has the build configs of State.Overtaken.
	ofOvertaken map[string]string
}

// AnnotationLastAutorebuild is the newest autorebuild whose bases were written into the triggers of a build config: when its
// PipelineRun was created, and its name. Without it a run would be recorded again when a later one has been removed.
const AnnotationLastAutorebuild = "osbs.dev/last-autorebuild"

// Config is a build config as it was last read.
type Config struct {
	Object *corev1.ConfigMap
	// BuildConfig is what Object says, and Planned what the planner needs of it; neither is there if Err says what is malformed.
	BuildConfig *buildconfig.BuildConfig
	Planned     rebuild.Config
	Err         error

	// read is the last Read of its Reader that has seen it.
	read uint64
}

// Holders are the UIDs of the PipelineRuns that hold a lock, each with the lock's name.
func Holders(leases []*coordinationv1.Lease) map[string]string {
	out := map[string]string{}
	for _, lease := range leases {
		holder := Holder(lease) // PIPELINERUN/UID
		if uid := holder[strings.LastIndexByte(holder, '/')+1:]; uid != "" {
			out[uid] = lease.Name
		}
	}
	return out
}

// Holder is the holderIdentity of a Lease, empty if it has none.
func Holder(l *coordinationv1.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

// later orders runs by creation; the API tells seconds only.
func later(a, b *PipelineRun) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name > b.Name
	}
	return b.CreationTimestamp.Before(&a.CreationTimestamp)
}

// planned is what the planner must know of a run; of one that succeeded it is nothing.
func (s *Situation) planned(config string, run *PipelineRun) (rebuild.Build, bool) {
	b := rebuild.Build{Config: config, Name: run.Name, Created: run.CreationTimestamp.Time, Requested: run.Facts.Requested}
	if c := s.Configs[config]; c != nil && run.Facts.BaseDigest != "" {
		b.Digests = event.ParseDigests(run.Facts.BaseDigest, c.Tags())
	}
	switch run.Facts.State {
	case Running:
		b.State = rebuild.BuildRunning
	case Failed:
		b.State = rebuild.BuildFailed
	case Skipped:
		b.State = rebuild.BuildSkipped
	case Succeeded:
		return b, false
	}
	return b, true
}

// Tags are the names of its bases.
func (c *Config) Tags() []string {
	tags := make([]string, 0, len(c.Planned.Bases))
	for _, base := range c.Planned.Bases {
		tags = append(tags, base.Tag)
	}
	return tags
}

// Created says when a run was created, and whether it exists.
func (s *Situation) Created(run string) (time.Time, bool) {
	r := s.Run(run)
	if r == nil {
		return time.Time{}, false
	}
	return r.CreationTimestamp.Time, true
}

// Plan says what is due. pending are builds that were asked for and are no runs yet. What was asked for already, where the PipelineRun exists
// and what it did is not seen yet, is not due: postponed, which must not be nil, gets its name. Where it is seen that another build came after
// it, State.Overtaken gets the name.
func (s *Situation) Plan(budget int, pending []rebuild.Build, postponed map[string]bool) rebuild.Plan {
	s.expect(pending)
	for build := range s.State.Overtaken {
		if run := s.Run(build); run == nil || !s.overtaken(s.ofOvertaken[build], run) {
			s.overtake(s.ofOvertaken[build], build, false)
		}
	}
	for {
		plan := s.planner.Plan(budget, postponed)
		asked := false
		for i := range plan.Items {
			item := &plan.Items[i]
			if item.Verdict != rebuild.Ready {
				continue
			}
			run := s.Run(item.Build)
			if run == nil {
				continue
			}
			asked = true
			if rebuild.RequestedAt(item.Reasons).IsZero() && s.overtaken(item.Config, run) {
				s.overtake(item.Config, item.Build, true)
			} else {
				postponed[item.Build] = true
			}
		}
		if !asked {
			return plan
		}
	}
}

// overtaken says that a run has succeeded, and that what is known of the build config is what a later build has written: one that ended before
// the run did cannot have ended in the same second, since only one has the lock.
func (s *Situation) overtaken(config string, run *PipelineRun) bool {
	c := s.Configs[config]
	if by := s.finished[config][run.Name]; by != nil {
		run = by
	}
	if c == nil || c.BuildConfig == nil || c.BuildConfig.LastBuild == nil || run.Facts.State != Succeeded || run.Facts.Ended.IsZero() {
		return false
	}
	last := c.BuildConfig.LastBuild
	return last.Name != run.Name && !last.Ended.Before(run.Facts.Ended)
}

// overtake notes that a build was overtaken, or that it does not count as that any more.
func (s *Situation) overtake(config, build string, on bool) {
	if on {
		s.State.Overtaken[build], s.ofOvertaken[build] = true, config
	} else {
		delete(s.State.Overtaken, build)
		delete(s.ofOvertaken, build)
	}
	s.planner.SetOvertaken(config, build, on)
}

// expect tells the planner of pending builds, and that those of the last time may not be pending any more.
func (s *Situation) expect(pending []rebuild.Build) {
	before := s.pending
	s.pending = map[string][]rebuild.Build{}
	for _, b := range pending {
		s.pending[b.Config] = append(s.pending[b.Config], b)
	}
	for config := range before {
		if len(s.pending[config]) == 0 {
			s.tell(config)
		}
	}
	for config := range s.pending {
		s.tell(config)
	}
}

// tell tells the planner of all builds of a build config.
func (s *Situation) tell(config string) {
	s.planner.SetBuilds(config, slices.Concat(s.builds[config], s.pending[config]))
}
