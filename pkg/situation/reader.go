package situation

import (
	"slices"
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/imagestream/tagstate"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Reader keeps a situation up to date. Each Read compares what there is with what there was, object by object, and works only on what
// differs: of tens of thousands of objects few do.
type Reader struct {
	// Namespace is the build configs' own.
	Namespace string

	s *Situation
	// read counts the Reads; what the last one has not seen is gone.
	read    uint64
	streams map[streamKey]*knownStream
	runs    map[string]*knownRun
	// ofConfig are the runs of each build config, throwaway ones left out.
	ofConfig map[string][]*PipelineRun
	// tags as the streams say, without who moved them; producers are the build configs of each.
	tags      map[string]rebuild.Tag
	producers map[string][]string
	// stale build configs have got, or lost, a run, or are others than before.
	stale map[string]bool
}

type streamKey struct{ namespace, name string }

type knownStream struct {
	object *imagev1.ImageStream
	tags   map[string]rebuild.Tag
	read   uint64
}

type knownRun struct {
	object *PipelineRun
	// config is empty if the run counts for none.
	config string
	read   uint64
}

// Read brings the situation up to date with what there is. What it returns is valid until the next Read. An object that has changed must be
// another one, as it is in caches; the same one is taken to be unchanged.
func (r *Reader) Read(o Objects) *Situation {
	if r.s == nil {
		r.s = &Situation{
			Configs: map[string]*Config{}, Newest: map[string]*PipelineRun{}, Begun: map[string][]time.Time{},
			State:   rebuild.State{Tags: map[string]rebuild.Tag{}, Overtaken: map[string]bool{}, Requests: map[string]buildconfig.Request{}},
			planner: rebuild.NewPlanner(), builds: map[string][]rebuild.Build{}, ofOvertaken: map[string]string{},
			finished: map[string]map[string]*PipelineRun{},
		}
		r.streams, r.runs, r.ofConfig = map[streamKey]*knownStream{}, map[string]*knownRun{}, map[string][]*PipelineRun{}
		r.tags, r.producers, r.stale = map[string]rebuild.Tag{}, map[string][]string{}, map[string]bool{}
	}
	r.read++
	r.s.Run, r.s.Paused = o.Run, o.Paused
	r.readConfigs(o.Configs)
	r.readStreams(o.Streams)
	r.readRuns(o)
	for config := range r.stale {
		r.refresh(config)
	}
	clear(r.stale)
	return r.s
}

// readConfigs parses the build configs that have changed.
func (r *Reader) readConfigs(stored []*corev1.ConfigMap) {
	for _, object := range stored {
		before := r.s.Configs[object.Name]
		if before != nil && before.Object.ResourceVersion == object.ResourceVersion && before.Object.UID == object.UID {
			before.read = r.read
			continue
		}
		now := r.parse(object)
		now.read = r.read
		r.setConfig(object.Name, before, now)
	}
	if len(r.s.Configs) == len(stored) {
		return
	}
	for name, c := range r.s.Configs {
		if c.read != r.read {
			r.setConfig(name, c, nil)
		}
	}
}

func (r *Reader) parse(object *corev1.ConfigMap) *Config {
	c := &Config{Object: object}
	if c.BuildConfig, c.Err = configmap.From(object); c.Err != nil {
		return c
	}
	c.Planned = rebuild.FromBuildConfig(c.BuildConfig)
	at, _, _ := strings.Cut(object.Annotations[AnnotationLastAutorebuild], " ")
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		c.Planned.TriedAt = t
	}
	for i, base := range c.Planned.Bases { // a trigger may name its own namespace
		c.Planned.Bases[i].Tag = strings.TrimPrefix(base.Tag, r.Namespace+"/")
	}
	return c
}

// setConfig notes a build config that is new, another one than before, or, without now, gone.
func (r *Reader) setConfig(name string, before, now *Config) {
	var old, current []string
	if before != nil {
		old = before.Planned.Produces
	}
	if now == nil {
		delete(r.s.Configs, name)
	} else {
		r.s.Configs[name], current = now, now.Planned.Produces
	}
	if now != nil && now.Err == nil {
		r.s.planner.SetConfig(now.Planned)
	} else {
		r.s.planner.RemoveConfig(name)
	}
	r.stale[name] = true
	if slices.Equal(old, current) {
		return
	}
	for _, tag := range old {
		r.producers[tag] = slices.DeleteFunc(r.producers[tag], func(n string) bool { return n == name })
	}
	for _, tag := range current {
		r.producers[tag] = append(r.producers[tag], name)
		slices.Sort(r.producers[tag])
	}
	for _, tag := range old {
		r.setTag(tag)
	}
}

// readStreams finds the tags that have changed.
func (r *Reader) readStreams(stored []*imagev1.ImageStream) {
	for _, object := range stored {
		key := streamKey{object.Namespace, object.Name}
		known := r.streams[key]
		if known == nil {
			known = &knownStream{}
			r.streams[key] = known
		}
		if known.read = r.read; known.object != object {
			known.object = object
			r.setStream(known, tagstate.Of(r.Namespace, []imagev1.ImageStream{*object}))
		}
	}
	if len(r.streams) == len(stored) {
		return
	}
	for key, known := range r.streams {
		if known.read != r.read {
			r.setStream(known, nil)
			delete(r.streams, key)
		}
	}
}

func (r *Reader) setStream(known *knownStream, now map[string]rebuild.Tag) {
	for name := range known.tags {
		if _, still := now[name]; !still {
			delete(r.tags, name)
			r.setTag(name)
		}
	}
	for name, tag := range now {
		if known.tags[name] != tag {
			r.tags[name] = tag
			r.setTag(name)
		}
	}
	known.tags = now
}

// setTag notes what a tag is now, and which run has moved it there: the newest of a build config that produces it, if it made this image.
func (r *Reader) setTag(name string) {
	tag, known := r.tags[name]
	for _, config := range r.producers[name] {
		if run := r.s.Newest[config]; run != nil && run.Facts.Digest != "" && run.Facts.Digest == tag.Digest {
			tag.By = run.Name
			break
		}
	}
	if known {
		r.s.State.Tags[name] = tag
	} else {
		delete(r.s.State.Tags, name)
	}
	r.s.planner.SetTag(name, tag)
}

// readRuns finds the build configs whose runs have changed. To which one a run belongs that somebody made by hand depends on the locks.
func (r *Reader) readRuns(o Objects) {
	for _, object := range o.Runs {
		known := r.runs[object.Name]
		if known == nil {
			known = &knownRun{}
			r.runs[object.Name] = known
		}
		known.read = r.read
		if known.object == object && object.Facts.BuildConfig != "" {
			continue
		}
		config := object.configIn(o.Holders)
		if object.Facts.Throwaway {
			config = ""
		}
		r.setRun(known, object, config)
	}
	if len(r.runs) == len(o.Runs) {
		return
	}
	for name, known := range r.runs {
		if known.read != r.read {
			r.setRun(known, nil, "")
			delete(r.runs, name)
		}
	}
}

func (r *Reader) setRun(known *knownRun, object *PipelineRun, config string) {
	if known.object == object && known.config == config {
		return
	}
	if known.config != "" {
		before := known.object
		runs := slices.DeleteFunc(r.ofConfig[known.config], func(run *PipelineRun) bool { return run == before })
		if r.ofConfig[known.config] = runs; len(runs) == 0 {
			delete(r.ofConfig, known.config)
		}
		r.stale[known.config] = true
	}
	if config != "" {
		r.ofConfig[config] = append(r.ofConfig[config], object)
		r.stale[config] = true
	}
	known.object, known.config = object, config
}

// refresh finds anew what follows from the runs of a build config.
func (r *Reader) refresh(config string) {
	var newest *PipelineRun
	var builds []rebuild.Build
	var begun []time.Time
	finished := map[string]*PipelineRun{}
	for _, run := range r.ofConfig[config] {
		if run.Facts.Resumes != "" && run.Facts.State == Succeeded {
			finished[run.Facts.Resumes] = run
		}
	}
	if r.s.finished[config] = finished; len(finished) == 0 {
		delete(r.s.finished, config)
	}
	for _, run := range r.ofConfig[config] {
		if newest == nil || later(run, newest) {
			newest = run
		}
		if b, ok := r.s.planned(config, run); ok && finished[run.Name] == nil {
			builds = append(builds, b)
		}
		if at := run.Facts.Requested; !at.IsZero() {
			begun = append(begun, at)
		}
	}
	r.setBegun(config, begun)
	if r.s.Newest[config] = newest; newest == nil {
		delete(r.s.Newest, config)
	}
	if r.s.builds[config] = builds; len(builds) == 0 {
		delete(r.s.builds, config)
	}
	r.s.tell(config)
	if c := r.s.Configs[config]; c != nil {
		for _, tag := range c.Planned.Produces {
			r.setTag(tag)
		}
	}
}

// setBegun notes for which requests runs have begun, and which is still to be answered.
func (r *Reader) setBegun(config string, begun []time.Time) {
	if r.s.Begun[config] = begun; len(begun) == 0 {
		delete(r.s.Begun, config)
	}
	if c := r.s.Configs[config]; c != nil && c.Err == nil {
		if request, pending := rebuild.Pending(c.BuildConfig.Requested, begun); pending {
			r.s.State.Requests[config] = request
			r.s.planner.SetRequest(config, &request)
			return
		}
	}
	delete(r.s.State.Requests, config)
	r.s.planner.SetRequest(config, nil)
}
