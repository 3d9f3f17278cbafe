package imagewatch

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

const (
	space = "team"
	// slowest is how long the EventListener takes at most, and how long a PipelineRun is kept at least.
	slowest = DefaultConfirmTimeout
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// world is a cluster, its EventListener, its builds, and a watcher that may die at any moment and whose caches are behind.
type world struct {
	t   *testing.T
	r   *rand.Rand
	now time.Time
	// What the API server has. Runs are kept in full, as simRun.
	configs map[string]*corev1.ConfigMap
	streams map[string]imagev1.ImageStream
	runs    map[string]*simRun
	// What the watcher's caches have.
	seen situation.Objects
	// What the EventListener has accepted and not worked on yet.
	inbox []event.Event
	// The watcher.
	reader   situation.Reader
	dispatch *dispatcher
	answers  []func()
	// calm: nothing fails, nothing dies, nothing lags any more.
	calm bool
	// broken build configs fail; asked counts the PipelineRuns that were made for each state of the bases.
	broken map[string]bool
	asked  map[string]int
	// newest is the time of the newest event of a build config that became a PipelineRun; overtaken, that an older one did after it.
	newest    map[string]string
	overtaken map[string]bool
	// requests counts what people have asked for, by build config and time; answered the PipelineRuns that were made for it.
	requests, answered map[string]int
	digests            int
	version            int
	// story is what happened, for a test that fails.
	story []string
}

func (w *world) note(format string, args ...any) {
	w.story = append(w.story, w.now.Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
}

// tail is what happened with one build config.
func (w *world) tail(config string) string {
	var lines []string
	for _, line := range w.story {
		if strings.Contains(line, config) || strings.Contains(line, "restart") {
			lines = append(lines, strings.ReplaceAll(line, "sha256:00000000000000000000000000000000000000000000000000000000000000", ""))
		}
	}
	return strings.Join(lines, "\n")
}

type simRun struct {
	situation.PipelineRun
	digests map[string]string
	created time.Time
	locked  bool
}

// newWorld has roots that nobody builds, and images on them and on each other, all of them up to date.
func newWorld(t *testing.T, seed uint64, images int) *world {
	t.Helper()
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 7)), now: noon, configs: map[string]*corev1.ConfigMap{}, streams: map[string]imagev1.ImageStream{},
		runs: map[string]*simRun{}, broken: map[string]bool{}, asked: map[string]int{},
		newest: map[string]string{}, overtaken: map[string]bool{}, requests: map[string]int{}, answered: map[string]int{},
	}
	for i := range 3 {
		w.move(fmt.Sprintf("root%d", i))
	}
	for i := range images {
		name := fmt.Sprintf("img%d", i)
		bc := &buildconfig.BuildConfig{
			Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", ImageStream: name, Tags: []string{"latest"},
			LastBuild: &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
		}
		bases := map[string]bool{}
		for range 1 + w.r.IntN(2) {
			base := fmt.Sprintf("root%d", w.r.IntN(3))
			if i > 0 && w.r.IntN(3) > 0 {
				base = fmt.Sprintf("img%d", w.r.IntN(i))
			}
			if !bases[base] {
				bases[base] = true
				image := "r.example.com/" + base + "@" + w.digest(base)
				bc.Triggers = append(bc.Triggers, buildconfig.Trigger{ImageStreamTag: base + ":latest", LastTriggeredImage: image, LastBuiltImage: image})
			}
		}
		w.move(name)
		w.store(bc, nil)
	}
	w.restart()
	w.look(true)
	return w
}

func (w *world) digest(stream string) string { return w.streams[stream].Status.Tags[0].Items[0].Image }

// move gives a stream's tag a digest that nothing had before.
func (w *world) move(stream string) {
	w.digests++
	w.tick()
	s := imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: stream, Namespace: space}}
	s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "latest", Items: []imagev1.TagEvent{{
		Image: fmt.Sprintf("sha256:%064x", w.digests), Created: metav1.NewTime(w.now), Generation: int64(w.digests),
	}}}}
	w.streams[stream] = s
	w.note("moved %s to %x", stream, w.digests)
}

func (w *world) tick() { w.now = w.now.Add(time.Second) }

// store writes a build config, with the annotations that object has.
func (w *world) store(bc *buildconfig.BuildConfig, object *corev1.ConfigMap) {
	w.t.Helper()
	if object == nil {
		var err error
		if object, err = configmap.To(bc); err != nil {
			w.t.Fatal(err)
		}
	}
	w.version++
	object = object.DeepCopy()
	object.ResourceVersion = strconv.Itoa(w.version)
	w.configs[object.Name] = object
}

func (w *world) change(name string, change func(*buildconfig.BuildConfig)) {
	w.t.Helper()
	bc, err := configmap.From(w.configs[name])
	if err != nil {
		w.t.Fatal(err)
	}
	bc = bc.Clone()
	change(bc)
	w.store(bc, nil)
}

// restart kills the watcher, and whatever it was doing, and starts another.
func (w *world) restart() {
	w.note("restart")
	w.reader = situation.Reader{Namespace: space}
	w.dispatch = newDispatcher(Options{MaxConcurrent: 3, InFlight: 2, ConfirmTimeout: DefaultConfirmTimeout})
	w.answers = nil
}

// look brings the caches up to date: all, or each kind perhaps.
func (w *world) look(all bool) {
	perhaps := func() bool { return all || w.r.IntN(2) == 0 }
	if perhaps() {
		w.seen.Configs = slices.Collect(maps.Values(w.configs))
	}
	if perhaps() {
		w.seen.Streams = nil
		for _, s := range w.streams {
			w.seen.Streams = append(w.seen.Streams, &s)
		}
	}
	if perhaps() {
		found := map[string]*situation.PipelineRun{}
		w.seen.Runs = nil
		for name, run := range w.runs {
			copied := run.PipelineRun
			found[name] = &copied
			w.seen.Runs = append(w.seen.Runs, &copied)
		}
		w.seen.Run = func(name string) *situation.PipelineRun { return found[name] }
	}
}

// turn is one turn of the watcher's loop.
func (w *world) turn() decision {
	w.look(w.calm)
	for _, answer := range w.answers {
		if !w.calm && w.r.IntN(8) == 0 {
			w.restart() // it dies before it knows
			break
		}
		answer()
	}
	w.answers = nil
	s := w.reader.Read(w.seen)
	d := w.dispatch.decide(s, w.now)
	for _, p := range d.send {
		w.send(s.Configs[p.item.Config], p)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Newest)) {
		if k := s.Configs[name]; k != nil && (w.calm || w.r.IntN(2) == 0) {
			w.record(k, s.Newest[name], s.Begun[name])
		}
	}
	return d
}

// send is what the watcher's send does, on this cluster.
func (w *world) send(k *situation.Config, p *delivery) {
	build := p.item.Build
	if w.configs[k.Object.Name].ResourceVersion != k.Object.ResourceVersion {
		w.dispatch.again(build, w.now)
		return
	}
	for _, reason := range p.item.Reasons {
		if reason.Kind != rebuild.BaseMoved {
			continue
		}
		if stream, _, _ := strings.Cut(reason.Base, ":"); w.digest(stream) != reason.NewDigest {
			w.dispatch.again(build, w.now)
			return
		}
	}
	e := event.New(k.BuildConfig, p.item, w.now)
	w.note("send %s", e.PipelineRunName)
	if err := e.Validate(); err != nil {
		w.t.Fatal(err)
	}
	luck := 9
	if !w.calm {
		luck = w.r.IntN(10)
	}
	switch luck {
	case 0: // down
		w.dispatch.failed(build, w.now, true)
	case 1: // accepted and lost
		w.dispatch.accepted(build, w.now)
	case 2: // delivered twice
		w.inbox = append(w.inbox, e, e)
		w.dispatch.accepted(build, w.now)
	case 3: // delivered, but the answer does not come
		w.inbox = append(w.inbox, e)
		w.dispatch.failed(build, w.now, true)
	default:
		w.inbox = append(w.inbox, e)
		w.answers = append(w.answers, func() { w.dispatch.accepted(build, w.now) })
	}
}

func (w *world) record(k *situation.Config, run *situation.PipelineRun, begun []time.Time) {
	changed, news, err := withRun(k.Object, run, begun)
	if err != nil {
		w.t.Fatal(err)
	}
	if news && w.configs[k.Object.Name].ResourceVersion == k.Object.ResourceVersion {
		w.store(nil, changed)
		w.note("recorded %s", run.Name)
	}
}

// listen is the EventListener working on something that it has accepted.
func (w *world) listen() {
	if len(w.inbox) == 0 {
		return
	}
	i := w.r.IntN(len(w.inbox))
	e := w.inbox[i]
	w.inbox = slices.Delete(w.inbox, i, i+1)
	if at, err := time.Parse(time.RFC3339, e.Time); err != nil || w.now.Sub(at) > slowest {
		return
	}
	if w.runs[e.PipelineRunName] != nil {
		return // AlreadyExists
	}
	w.tick()
	w.start(e.PipelineRunName, e.BuildConfig, event.ParseDigests(e.BaseDigest, nil), e.BaseDigest)
	w.requested(w.runs[e.PipelineRunName], e)
	if w.newest[e.BuildConfig] > e.Time { // what is built on the older base after the newer one is then built on the newer one again
		w.overtaken[e.BuildConfig] = true
	}
	w.newest[e.BuildConfig] = max(w.newest[e.BuildConfig], e.Time)
	if e.Reason != string(rebuild.Requested) {
		w.asked[e.BuildConfig+" "+e.BaseDigest]++
	}
	w.note("created %s from %s because %s", e.PipelineRunName, e.BaseDigest, e.Reasons)
}

// requested notes on a run for whom it was started, as the API server keeps it.
func (w *world) requested(run *simRun, e event.Event) {
	var reasons []rebuild.Reason
	if err := json.Unmarshal([]byte(e.Reasons), &reasons); err != nil {
		w.t.Fatal(err)
	}
	if run.Facts.Requested = rebuild.RequestedAt(reasons); !run.Facts.Requested.IsZero() {
		w.answered[e.BuildConfig+" "+run.Facts.Requested.UTC().String()]++
	}
}

// ask is a person who asks for a rebuild. Who asks again before anything has come of it asks once.
func (w *world) ask(name string) {
	w.tick()
	at := w.now
	w.change(name, func(bc *buildconfig.BuildConfig) {
		if bc.Paused {
			return
		}
		if bc.Requested != nil {
			delete(w.requests, name+" "+bc.Requested.Time.UTC().String())
		}
		bc.Requested = &buildconfig.Request{Time: at, User: "anne"}
		w.requests[name+" "+at.UTC().String()]++
	})
	w.note("asked for %s", name)
}

func (w *world) start(name, config string, digests map[string]string, baseDigest string) {
	run := &simRun{digests: digests, created: w.now}
	run.Name, run.Namespace, run.CreationTimestamp = name, space, metav1.NewTime(w.now)
	run.Facts = situation.Facts{BuildConfig: config, Autorebuild: baseDigest != "", BaseDigest: baseDigest, State: situation.Running}
	w.runs[name] = run
}

// work lets a build get on: to its lock, to its end, or away.
func (w *world) work() {
	names := slices.Sorted(maps.Keys(w.runs))
	if len(names) == 0 {
		return
	}
	w.tick()
	run := w.runs[names[w.r.IntN(len(names))]]
	config := run.Facts.BuildConfig
	switch {
	case run.Facts.State != situation.Running:
		if run.locked || run.Facts.Autorebuild && w.configs[config].Annotations[situation.AnnotationLastAutorebuild] >= stamp(&run.PipelineRun) {
			// An event that is repeated when its run has been pruned starts it again; no EventListener is that slow.
			if w.now.Sub(run.Facts.Ended) > slowest && w.dispatch.pending[run.Name] == nil {
				w.note("pruned %s", run.Name)
				delete(w.runs, run.Name)
			}
		}
	case !run.locked && w.r.IntN(10) == 0 && !w.calm:
		w.end(run, situation.Failed)
		w.broken[config] = true // it counts as tried, as if it could not be built
	case !run.locked:
		w.lock(run)
	case w.broken[config]:
		w.end(run, situation.Failed)
	default:
		w.succeed(run)
	}
}

// lock is the lock stage: one build at a time, the oldest first; then the triggers say what it is made from.
func (w *world) lock(run *simRun) {
	for _, other := range w.runs {
		mine, theirs := run.created, other.created
		if other != run && other.Facts.BuildConfig == run.Facts.BuildConfig && other.Facts.State == situation.Running && (other.locked || theirs.Before(mine)) {
			return
		}
	}
	run.locked = true
	defer func() { w.note("locked %s of %s: %v", run.Name, run.Facts.BuildConfig, run.digests) }()
	w.change(run.Facts.BuildConfig, func(bc *buildconfig.BuildConfig) {
		for i, t := range bc.Triggers {
			if run.digests[t.ImageStreamTag] == "" { // a user's build
				stream, _, _ := strings.Cut(t.ImageStreamTag, ":")
				run.digests[t.ImageStreamTag] = w.digest(stream)
				bc.Triggers[i].LastTriggerTime = run.created
			} else {
				bc.Triggers[i].LastTriggerTime = time.Time{}
			}
			repository, _, _ := strings.Cut(t.LastTriggeredImage, "@")
			bc.Triggers[i].LastTriggeredImage = repository + "@" + run.digests[t.ImageStreamTag]
		}
	})
}

func (w *world) end(run *simRun, state situation.RunState) {
	w.tick()
	run.Facts.State, run.Facts.Ended = state, w.now
	w.note("%s %s of %s", state, run.Name, run.Facts.BuildConfig)
}

func (w *world) succeed(run *simRun) {
	w.move(run.Facts.BuildConfig)
	run.Facts.Digest = w.digest(run.Facts.BuildConfig)
	w.change(run.Facts.BuildConfig, func(bc *buildconfig.BuildConfig) {
		for i, t := range bc.Triggers {
			repository, _, _ := strings.Cut(t.LastTriggeredImage, "@")
			bc.Triggers[i].LastBuiltImage = repository + "@" + run.digests[t.ImageStreamTag]
		}
		bc.LastBuild = &buildconfig.LastBuild{Name: run.Name, Outcome: buildconfig.Succeeded, Ended: w.now}
	})
	w.end(run, situation.Succeeded)
}

// disturb does what nobody planned.
func (w *world) disturb() {
	name := slices.Sorted(maps.Keys(w.configs))[w.r.IntN(len(w.configs))]
	switch w.r.IntN(10) {
	case 8:
		w.ask(name)
	case 9:
		var configs []rebuild.Config
		for _, c := range w.reader.Read(w.seen).Configs {
			configs = append(configs, c.Planned)
		}
		for _, config := range append([]string{name}, rebuild.NewGraph(configs).Below(name)...) {
			w.ask(config)
		}
	case 0, 1:
		w.move(fmt.Sprintf("root%d", w.r.IntN(3)))
	case 2:
		w.broken[name] = true
	case 3:
		w.change(name, func(bc *buildconfig.BuildConfig) { bc.Paused = !bc.Paused })
	case 4:
		w.version++
		w.tick()
		w.start(fmt.Sprintf("user-%d", w.version), name, map[string]string{}, "")
	case 5: // imported by hand
		w.move(name)
	default:
		w.restart()
	}
}

// settle lets everything come to its end.
func (w *world) settle() {
	w.t.Helper()
	w.calm = true
	turns := 0
	for quiet := 0; quiet < 200; {
		d := w.turn()
		before := len(w.inbox)
		for len(w.inbox) > 0 {
			w.listen()
		}
		for range 4 {
			w.work()
		}
		busy := slices.ContainsFunc(slices.Collect(maps.Values(w.runs)), func(r *simRun) bool { return r.Facts.State == situation.Running })
		if len(d.send) > 0 || before > 0 || busy || len(w.dispatch.pending) > 0 {
			quiet = 0
		} else {
			quiet++
		}
		w.now = w.now.Add(5 * time.Second)
		if turns++; turns > 5000 {
			w.t.Fatalf("it does not end:\n%s", strings.Join(w.story[len(w.story)-40:], "\n"))
		}
	}
}

// check says whether all that can be is built on the newest bases, and nothing was asked for twice.
func (w *world) check() {
	w.t.Helper()
	for state, n := range w.asked {
		config, _, _ := strings.Cut(state, " ")
		if n > 1 && !w.overtaken[config] {
			w.t.Errorf("%d PipelineRuns for %s\n%s", n, state, w.tail(config))
		}
	}
	for what, n := range w.answered {
		if n > 1 {
			w.t.Errorf("%d PipelineRuns for the request %s", n, what)
		}
	}
	for what := range w.requests {
		config, at, _ := strings.Cut(what, " ")
		bc, err := configmap.From(w.configs[config])
		if err != nil {
			w.t.Fatal(err)
		}
		if w.answered[what] == 0 && !bc.Paused {
			w.t.Errorf("nothing came of the request %s\n%s", what, w.tail(config))
		}
		if bc.Requested != nil && bc.Requested.Time.UTC().String() == at && w.answered[what] > 0 {
			w.t.Errorf("the request %s is still there", what)
		}
	}
	held := map[string]bool{}
	for i := range len(w.configs) {
		name := fmt.Sprintf("img%d", i)
		bc, err := configmap.From(w.configs[name])
		if err != nil {
			w.t.Fatal(err)
		}
		if bc.Paused {
			continue
		}
		old, below := "", false
		for _, t := range bc.Triggers {
			stream, _, _ := strings.Cut(t.ImageStreamTag, ":")
			below = below || held[stream]
			if buildconfig.Digest(t.LastBuiltImage) != w.digest(stream) {
				old = stream
			}
		}
		held[name] = below || old != "" && w.broken[name]
		if old != "" && !held[name] {
			var why any
			for _, item := range w.turn().plan.Items {
				if item.Config == name {
					why = item
				}
			}
			w.t.Errorf("%s is not built on the newest %s: %+v", name, old, why)
		}
	}
}

// Whatever is lost, late, doubled or killed: nothing is missed and nothing is asked for twice.
func TestWorlds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed, 10)
			for range 150 {
				if w.r.IntN(4) == 0 {
					w.disturb()
				}
				switch w.r.IntN(4) {
				case 0:
					w.listen()
				case 1, 2:
					w.work()
				}
				w.now = w.now.Add(time.Duration(w.r.IntN(8)) * time.Second)
				w.turn()
			}
			w.settle()
			w.check()
			// All is mended and moves once more.
			clear(w.broken)
			for name := range w.configs {
				w.change(name, func(bc *buildconfig.BuildConfig) { bc.Paused = false })
			}
			for i := range 3 {
				w.move(fmt.Sprintf("root%d", i))
			}
			w.settle()
			w.check()
		})
	}
}
