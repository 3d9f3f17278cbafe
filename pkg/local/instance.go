package local

import (
	"context"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/osbs-tekton/osbs/internal/process"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/filestore"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// Instance is the local instance. Close it.
type Instance struct {
	conf     Config
	dir      dataDir
	targets  []registry.URI // where images are pushed to
	embedded bool           // targets are the embedded registry
	records  records
	configs  buildconfig.Store
	locks    *lock.File
	events   broker
	slots    chan struct{} // one for each build that may run

	mu       sync.Mutex
	jobs     map[string]*job
	registry *embeddedRegistry // nil until something needs it
	running  int               // builds and rebuild rounds that have not ended
	idle     chan struct{}     // closed when running is 0
	closed   bool
}

var _ osbs.Instance = (*Instance)(nil)

// Open opens the instance in conf.DataDir, which it makes if need be. It starts nothing: the embedded registry begins when a build
// or an import needs it.
func Open(_ context.Context, conf Config) (*Instance, error) {
	conf, err := conf.withDefaults()
	if err != nil {
		return nil, err
	}
	targets, embedded := conf.destinations()
	if conf.DataDir, err = filepath.Abs(conf.DataDir); err != nil {
		return nil, failure.New(failure.Usage, "data directory: %w", err)
	}
	dir := dataDir(conf.DataDir)
	if err := dir.open(); err != nil {
		return nil, err
	}
	seen, err := process.NewObserver()
	if err != nil {
		return nil, err
	}
	self, err := seen.Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	locks, err := lock.NewFile(dir.locks())
	if err != nil {
		return nil, err
	}
	idle := make(chan struct{})
	close(idle)
	return &Instance{
		conf: conf, dir: dir, targets: targets, embedded: embedded, locks: locks, configs: filestore.New(dir.buildConfigs()),
		records: records{dir: dir, self: self, seen: seen, log: conf.Log},
		slots:   make(chan struct{}, conf.Parallel), jobs: map[string]*job{}, idle: idle,
	}, nil
}

func (i *Instance) now() time.Time { return i.conf.Now().UTC() }

// begin counts something that Wait waits for. It says no once the instance is closed.
func (i *Instance) begin() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return failure.New(failure.Cancelled, "the instance is closed")
	}
	if i.running++; i.running == 1 {
		i.idle = make(chan struct{})
	}
	return nil
}

func (i *Instance) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running--; i.running == 0 {
		close(i.idle)
	}
}

// Create implements osbs.Instance.
func (i *Instance) Create(ctx context.Context, r osbs.Request) (*osbs.Build, error) {
	r, gitURL, err := i.checkRequest(r)
	if err != nil {
		return nil, err
	}
	config := buildconfig.Name(r.GitURL, r.GitBranch)
	name, err := osbs.NewName(config)
	if err != nil {
		return nil, err
	}
	rec := record{Build: osbs.Build{Name: name, BuildConfig: config, State: osbs.New, Request: r, Created: i.now()}}
	j, err := i.start(ctx, rec, gitURL)
	if err != nil {
		return nil, err
	}
	b := j.build()
	return &b, nil
}

// start records a new build and begins it. The build goes on when ctx ends.
func (i *Instance) start(ctx context.Context, rec record, gitURL string) (*job, error) {
	if err := i.begin(); err != nil {
		return nil, err
	}
	if err := i.records.create(&rec); err != nil {
		i.end()
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	j := &job{rec: rec, cancel: cancel, done: make(chan struct{}), gitURL: gitURL}
	i.mu.Lock()
	i.jobs[rec.Name] = j
	closed := i.closed
	i.mu.Unlock()
	if closed {
		cancel(errClosed(rec.Name))
	}
	i.publish(osbs.Event{Build: j.build()})
	go func() {
		defer i.end()
		defer cancel(nil)
		i.run(ctx, j)
	}()
	return j, nil
}

// own is the build of that name if it runs, or ran, in this process.
func (i *Instance) own(name string) *job {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.jobs[name]
}

// Get implements osbs.Instance.
func (i *Instance) Get(_ context.Context, name string) (*osbs.Build, error) {
	if j := i.own(name); j != nil {
		b := j.build()
		return &b, nil
	}
	rec, err := i.records.get(name)
	if err != nil {
		return nil, err
	}
	b := i.records.view(rec)
	return &b, nil
}

// List implements osbs.Instance.
func (i *Instance) List(ctx context.Context, f osbs.Filter) ([]osbs.Build, error) {
	all, err := i.records.all(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]osbs.Build, 0, len(all))
	for _, rec := range all {
		b := i.records.view(rec)
		if j := i.own(rec.Name); j != nil {
			b = j.build()
		}
		if (f.BuildConfig != "" && b.BuildConfig != f.BuildConfig) || (f.Running && b.State.Ended()) {
			continue
		}
		out = append(out, b)
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out, nil
}

// BuildConfigs implements osbs.Instance.
func (i *Instance) BuildConfigs(ctx context.Context) ([]buildconfig.BuildConfig, error) {
	stored, err := i.configs.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]buildconfig.BuildConfig, 0, len(stored))
	for _, bc := range stored {
		out = append(out, *bc)
	}
	slices.SortFunc(out, func(a, b buildconfig.BuildConfig) int { return compare(a.Name, b.Name) })
	return out, nil
}

// watchPoll is how often builds of other processes are looked at.
const watchPoll = 200 * time.Millisecond

// Watch implements osbs.Instance.
func (i *Instance) Watch(ctx context.Context, name string) iter.Seq2[osbs.Event, error] {
	return func(yield func(osbs.Event, error) bool) {
		sub := i.events.subscribe(name) // before the first look, so that nothing is missed in between
		defer sub.close()
		w := &watcher{instance: i, name: name, sub: sub, seen: map[string]osbs.Build{}, yield: yield}
		if err := w.run(ctx); err != nil {
			yield(osbs.Event{}, err)
		}
	}
}

// Logs implements osbs.Instance.
func (i *Instance) Logs(ctx context.Context, name string, follow bool, w io.Writer) error {
	if _, err := i.Get(ctx, name); err != nil {
		return err
	}
	sub := i.events.subscribe(name)
	defer sub.close()
	ended := func() (bool, error) {
		if !follow {
			return true, nil
		}
		b, err := i.Get(ctx, name)
		if err != nil {
			return false, err
		}
		return b.State.Ended(), nil
	}
	return copyLog(ctx, filepath.Join(i.dir.build(name), logFile), w, ended, sub.ready)
}

// Cancel implements osbs.Instance.
func (i *Instance) Cancel(ctx context.Context, name string) error {
	b, err := i.Get(ctx, name)
	if err != nil {
		return err
	}
	if b.State.Ended() {
		return failure.New(failure.Conflict, "build %s has ended already: %s", name, b.State)
	}
	if j := i.own(name); j != nil {
		j.cancel(errCancelled(name))
		select {
		case <-j.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	file := filepath.Join(i.dir.build(name), cancelFile)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return failure.New(failure.Storage, "asking build %s to end: %w", name, err)
	}
	return i.awaitEnd(ctx, name)
}

// awaitEnd returns when the build of another process has ended.
func (i *Instance) awaitEnd(ctx context.Context, name string) error {
	poll := time.NewTicker(watchPoll)
	defer poll.Stop()
	for {
		b, err := i.Get(ctx, name)
		if err != nil || b.State.Ended() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
		}
	}
}

// Wait implements osbs.Instance.
func (i *Instance) Wait(ctx context.Context) error {
	i.mu.Lock()
	idle := i.idle
	i.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements osbs.Instance.
func (i *Instance) Close() error {
	i.mu.Lock()
	i.closed = true
	for name, j := range i.jobs {
		j.cancel(errClosed(name))
	}
	idle := i.idle
	i.mu.Unlock()
	<-idle
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.registry == nil {
		return nil
	}
	err := i.registry.close(context.Background())
	i.registry = nil
	return err
}

// Serve serves the embedded registry on an address of this machine, for pulling only, until ctx ends: images are then known as
// host:port/name. ready, if not nil, is told the address.
func (i *Instance) Serve(ctx context.Context, address string, ready func(address string)) error {
	if !i.embedded {
		return failure.WithHint(failure.New(failure.Usage, "this instance has no embedded registry: registry_uri names %s", i.targets[0].Host),
			"pull from there")
	}
	if err := checkLoopback(address); err != nil {
		return err
	}
	r, err := startRegistry(ctx, registryOptions{dir: i.dir.registry(), address: address, readOnly: true, log: i.conf.Log})
	if err != nil {
		return err
	}
	if ready != nil {
		ready(r.addr)
	}
	<-ctx.Done()
	return r.close(ctx)
}

// startEmbedded starts the embedded registry if it does not run; the result is nil if the instance has none.
func (i *Instance) startEmbedded(ctx context.Context) (*embeddedRegistry, error) {
	if !i.embedded {
		return nil, nil //nolint:nilnil // having none is not an error
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil, failure.New(failure.Cancelled, "the instance is closed")
	}
	if i.registry == nil {
		r, err := startRegistry(ctx, registryOptions{dir: i.dir.registry(), address: net.JoinHostPort("127.0.0.1", "0"), log: i.conf.Log})
		if err != nil {
			return nil, err
		}
		i.registry = r
	}
	return i.registry, nil
}

// client reaches the registries of the instance.
func (i *Instance) client(ctx context.Context, env step.Env) (*registry.Client, error) {
	o := registry.Options{
		Env: env, Registries: i.targets, SecretDirs: i.conf.RegistrySecretDirs, CAFile: i.conf.RegistryCAFile,
		Insecure: slices.Clone(i.conf.RegistryInsecure),
	}
	others := i.conf.MirrorRegistryURI
	if i.conf.SourceRegistryURI != nil {
		others = append(slices.Clone(others), *i.conf.SourceRegistryURI)
	}
	for _, u := range others {
		if u.Insecure {
			o.Insecure = append(o.Insecure, u.Host)
		}
	}
	embedded, err := i.startEmbedded(ctx)
	if err != nil {
		return nil, err
	}
	if embedded == nil {
		return registry.New(o)
	}
	o.Addresses = map[string]string{RegistryHost: embedded.addr}
	var client *registry.Client
	err = embedded.withSecret(i.dir.temporary(), func(dir string) error {
		o.SecretDirs = append([]string{dir}, o.SecretDirs...) // the embedded registry is the only one of Registries
		client, err = registry.New(o)
		return err
	})
	return client, err
}
