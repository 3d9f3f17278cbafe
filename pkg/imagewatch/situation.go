package imagewatch

import (
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/imageimport"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// objects are what the caches hold at one moment.
type objects struct {
	configs []*corev1.ConfigMap
	streams []imagev1.ImageStream
	runs    []*PipelineRun
	// run finds one of them by name, nil if there is none.
	run func(name string) *PipelineRun
	// holders are the UIDs of PipelineRuns that hold a lock, each with the lock's name, which is the build config's.
	holders map[string]string
	// paused: a person has put all builds off.
	paused bool
}

// situation is how things stand: what the planner needs, and what its answer refers to.
type situation struct {
	configs map[string]*known
	graph   *rebuild.Graph
	state   rebuild.State
	// run finds a run by name; newest is the one of each build config that was created last, throwaway ones left out.
	run    func(name string) *PipelineRun
	newest map[string]*PipelineRun
	paused bool
}

// known is a build config as it was last read.
type known struct {
	object *corev1.ConfigMap
	bc     *buildconfig.BuildConfig
	config rebuild.Config
	err    error
}

// reader makes situations, and keeps what need not be read again: build configs change seldom, compared with all else.
type reader struct {
	namespace string
	configs   map[string]*known
	graph     *rebuild.Graph
}

// read makes the situation of what the caches hold.
func (r *reader) read(o objects) *situation {
	r.readConfigs(o.configs)
	s := &situation{configs: r.configs, graph: r.graph, run: o.run, newest: map[string]*PipelineRun{}, paused: o.paused}
	s.state.Tags = imageimport.States(r.namespace, o.streams)
	for _, run := range o.runs {
		config := configOf(run, o.holders)
		if config == "" || run.facts.throwaway {
			continue
		}
		if before := s.newest[config]; before == nil || later(run, before) {
			s.newest[config] = run
		}
		if b, ok := s.planned(config, run); ok {
			s.state.Builds = append(s.state.Builds, b)
		}
	}
	s.attribute()
	return s
}

// readConfigs parses the build configs that have changed, and makes the graph again if any has.
func (r *reader) readConfigs(stored []*corev1.ConfigMap) {
	now := make(map[string]*known, len(stored))
	changed := r.graph == nil || len(stored) != len(r.configs)
	for _, object := range stored {
		before := r.configs[object.Name]
		if before != nil && before.object.ResourceVersion == object.ResourceVersion && before.object.UID == object.UID {
			now[object.Name] = before
			continue
		}
		changed = true
		k := &known{object: object}
		if k.bc, k.err = configmap.From(object); k.err == nil {
			k.config = rebuild.FromBuildConfig(k.bc)
			for i, base := range k.config.Bases { // a trigger may name its own namespace
				k.config.Bases[i].Tag = strings.TrimPrefix(base.Tag, r.namespace+"/")
			}
		}
		now[object.Name] = k
	}
	r.configs = now
	if !changed {
		return
	}
	configs := make([]rebuild.Config, 0, len(now))
	for _, k := range now {
		if k.err == nil {
			configs = append(configs, k.config)
		}
	}
	r.graph = rebuild.NewGraph(configs)
}

// configOf is the build config of a run: its label says it, or, for a run that somebody made by hand, the lock that it holds.
func configOf(run *PipelineRun, holders map[string]string) string {
	if run.facts.config != "" {
		return run.facts.config
	}
	return holders[string(run.UID)]
}

// holderUID is the UID in the holderIdentity of a lock, PIPELINERUN/UID.
func holderUID(identity string) string {
	return identity[strings.LastIndexByte(identity, '/')+1:]
}

// later orders runs by creation; the API tells seconds only.
func later(a, b *PipelineRun) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name > b.Name
	}
	return b.CreationTimestamp.Before(&a.CreationTimestamp)
}

// planned is what the planner must know of a run; of one that succeeded it is nothing.
func (s *situation) planned(config string, run *PipelineRun) (rebuild.Build, bool) {
	b := rebuild.Build{Config: config, Name: run.Name, Created: run.CreationTimestamp.Time}
	if k := s.configs[config]; k != nil && run.facts.baseDigest != "" {
		b.Digests = event.ParseDigests(run.facts.baseDigest, k.tags())
	}
	switch run.facts.state {
	case runRunning:
		b.State = rebuild.BuildRunning
	case runFailed:
		b.State = rebuild.BuildFailed
	case runSkipped:
		b.State = rebuild.BuildSkipped
	case runSucceeded:
		return b, false
	}
	return b, true
}

func (k *known) tags() []string {
	tags := make([]string, 0, len(k.config.Bases))
	for _, base := range k.config.Bases {
		tags = append(tags, base.Tag)
	}
	return tags
}

// attribute notes which run moved a tag to where it is.
func (s *situation) attribute() {
	for name, k := range s.configs {
		run := s.newest[name]
		if run == nil || run.facts.digest == "" {
			continue
		}
		for _, produced := range k.config.Produces {
			if tag, ok := s.state.Tags[produced]; ok && tag.Digest == run.facts.digest {
				tag.By = run.Name
				s.state.Tags[produced] = tag
			}
		}
	}
}

// created says when a run was created, and whether it exists.
func (s *situation) created(run string) (time.Time, bool) {
	r := s.run(run)
	if r == nil {
		return time.Time{}, false
	}
	return r.CreationTimestamp.Time, true
}
