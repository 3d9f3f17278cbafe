// Package situation is how things stand on a cluster, as the planner of rebuilds needs it: build configs, the newest image of each
// ImageStreamTag, and builds. It makes that of API objects, whoever has got them: a watcher's caches, or one reading of the lists.
package situation

import (
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Objects are what the API has at one moment. All but Streams are of one namespace.
type Objects struct {
	// Configs are the ConfigMaps of build configs.
	Configs []*corev1.ConfigMap
	// Streams may be of several namespaces.
	Streams []imagev1.ImageStream
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
	// Graph is of all Configs that can be read, and State what else the planner needs. Its budget is not set.
	Graph *rebuild.Graph
	State rebuild.State
	// Run finds a run by name; Newest is the one of each build config that was created last, throwaway ones left out.
	Run    func(name string) *PipelineRun
	Newest map[string]*PipelineRun
	Paused bool
}

// Config is a build config as it was last read.
type Config struct {
	Object *corev1.ConfigMap
	// BuildConfig is what Object says, and Planned what the planner needs of it; neither is there if Err says what is malformed.
	BuildConfig *buildconfig.BuildConfig
	Planned     rebuild.Config
	Err         error
}

// Reader makes situations, and keeps what need not be read again: build configs change seldom, compared with all else.
type Reader struct {
	// Namespace is the build configs' own.
	Namespace string

	configs map[string]*Config
	graph   *rebuild.Graph
}

// Read makes the situation of what there is.
func (r *Reader) Read(o Objects) *Situation {
	r.readConfigs(o.Configs)
	s := &Situation{Configs: r.configs, Graph: r.graph, Run: o.Run, Newest: map[string]*PipelineRun{}, Paused: o.Paused}
	s.State.Overtaken = map[string]bool{}
	s.State.Tags = imageimport.States(r.Namespace, o.Streams)
	for _, run := range o.Runs {
		config := run.configIn(o.Holders)
		if config == "" || run.Facts.Throwaway {
			continue
		}
		if before := s.Newest[config]; before == nil || later(run, before) {
			s.Newest[config] = run
		}
		if b, ok := s.planned(config, run); ok {
			s.State.Builds = append(s.State.Builds, b)
		}
	}
	s.attribute()
	return s
}

// readConfigs parses the build configs that have changed, and makes the graph again if any has.
func (r *Reader) readConfigs(stored []*corev1.ConfigMap) {
	now := make(map[string]*Config, len(stored))
	changed := r.graph == nil || len(stored) != len(r.configs)
	for _, object := range stored {
		before := r.configs[object.Name]
		if before != nil && before.Object.ResourceVersion == object.ResourceVersion && before.Object.UID == object.UID {
			now[object.Name] = before
			continue
		}
		changed = true
		now[object.Name] = r.parse(object)
	}
	r.configs = now
	if !changed {
		return
	}
	configs := make([]rebuild.Config, 0, len(now))
	for _, c := range now {
		if c.Err == nil {
			configs = append(configs, c.Planned)
		}
	}
	r.graph = rebuild.NewGraph(configs)
}

func (r *Reader) parse(object *corev1.ConfigMap) *Config {
	c := &Config{Object: object}
	if c.BuildConfig, c.Err = configmap.From(object); c.Err != nil {
		return c
	}
	c.Planned = rebuild.FromBuildConfig(c.BuildConfig)
	for i, base := range c.Planned.Bases { // a trigger may name its own namespace
		c.Planned.Bases[i].Tag = strings.TrimPrefix(base.Tag, r.Namespace+"/")
	}
	return c
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
	b := rebuild.Build{Config: config, Name: run.Name, Created: run.CreationTimestamp.Time}
	if c := s.Configs[config]; c != nil && run.Facts.BaseDigest != "" {
		b.Digests = event.ParseDigests(run.Facts.BaseDigest, c.tags())
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

func (c *Config) tags() []string {
	tags := make([]string, 0, len(c.Planned.Bases))
	for _, base := range c.Planned.Bases {
		tags = append(tags, base.Tag)
	}
	return tags
}

// attribute notes which run moved a tag to where it is.
func (s *Situation) attribute() {
	for name, c := range s.Configs {
		run := s.Newest[name]
		if run == nil || run.Facts.Digest == "" {
			continue
		}
		for _, produced := range c.Planned.Produces {
			if tag, ok := s.State.Tags[produced]; ok && tag.Digest == run.Facts.Digest {
				tag.By = run.Name
				s.State.Tags[produced] = tag
			}
		}
	}
}

// Created says when a run was created, and whether it exists.
func (s *Situation) Created(run string) (time.Time, bool) {
	r := s.Run(run)
	if r == nil {
		return time.Time{}, false
	}
	return r.CreationTimestamp.Time, true
}

// Plan plans without what was asked for already, where the PipelineRun exists and what it did is not seen yet: state.Postponed, which
// must not be nil, gets its name. Where it is seen that another build came after it, state.Overtaken gets the name.
func (s *Situation) Plan(state rebuild.State) rebuild.Plan {
	if state.Overtaken == nil {
		state.Overtaken = map[string]bool{}
	}
	for {
		plan := s.Graph.Plan(state)
		asked := false
		for _, item := range plan.Start() {
			run := s.Run(item.Build)
			if run == nil {
				continue
			}
			asked = true
			if s.overtaken(item.Config, run) {
				state.Overtaken[item.Build] = true
			} else {
				state.Postponed[item.Build] = true
			}
		}
		if !asked {
			return plan
		}
	}
}

// overtaken says that a run has succeeded, and that what is known of the build config is what a later build has written.
func (s *Situation) overtaken(config string, run *PipelineRun) bool {
	c := s.Configs[config]
	if c == nil || c.BuildConfig == nil || c.BuildConfig.LastBuild == nil || run.Facts.State != Succeeded || run.Facts.Ended.IsZero() {
		return false
	}
	last := c.BuildConfig.LastBuild
	return last.Name != run.Name && last.Ended.After(run.Facts.Ended)
}
