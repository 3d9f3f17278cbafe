package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/e2e/cluster/artefact"
	"github.com/osbs-tekton/osbs/e2e/cluster/deploy"
	"github.com/osbs-tekton/osbs/e2e/cluster/node"
)

// Options change what Up does.
type Options struct {
	// Lifetime is after what time the cluster ends by itself.
	Lifetime time.Duration
	// APIOnly leaves out what runs pods, and Tekton: kube-apiserver with ImageStreams, in seconds.
	APIOnly bool
}

// parts are the artefacts that a cluster consists of.
type parts struct {
	// directories are of the programs.
	directories []string
	// images is the directory of the artefact images, or empty.
	images string
}

// Build makes everything that can be made before a cluster runs.
func (i *Instance) Build(ctx context.Context, o Options) error {
	_, err := i.build(ctx, o)
	return err
}

func (i *Instance) build(ctx context.Context, o Options) (parts, error) {
	if os.Geteuid() != 0 {
		return parts{}, errors.New("the cluster needs root: it makes namespaces and cgroups")
	}
	if err := i.install(ctx, packages...); err != nil {
		return parts{}, err
	}
	cache := &artefact.Cache{Dir: filepath.Join(i.Cache, "artefacts"), Progress: i.Progress}
	programs, err := artefact.Programs(i.Modules(), o.APIOnly)
	if err != nil {
		return parts{}, err
	}
	var p parts
	var ko string
	for _, a := range programs {
		dir, err := cache.Ensure(ctx, a)
		if err != nil {
			return parts{}, err
		}
		if p.directories = append(p.directories, dir); a.Name == "ko" {
			ko = dir
		}
	}
	if o.APIOnly {
		return p, nil
	}
	images, err := artefact.Images(i.Modules(), ko)
	if err != nil {
		return parts{}, err
	}
	p.images, err = cache.Ensure(ctx, images)
	return p, err
}

// Up brings the cluster up. If it is up already, nothing happens; what a dead one left is removed first.
func (i *Instance) Up(ctx context.Context, o Options) error {
	unlock, err := i.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	state, running, err := i.State()
	if err != nil {
		return err
	}
	if running && state.Complete {
		fmt.Fprintf(i.Progress, "the cluster %s is up since %s, until %s\n", i.Name, clock(state.Started), clock(state.Ends))
		return nil
	}
	start := time.Now()
	p, err := i.build(ctx, o)
	if err != nil {
		return err
	}
	if err := i.remove(ctx); err != nil {
		return err
	}
	if err := i.boot(ctx, o, p); err != nil {
		return err
	}
	fmt.Fprintf(i.Progress, "the cluster %s is up after %s\n", i.Name, time.Since(start).Round(time.Second))
	return nil
}

func clock(t time.Time) string { return t.Local().Format("15:04") }

// boot starts a cluster where there is none.
func (i *Instance) boot(ctx context.Context, o Options, p parts) error {
	start := time.Now()
	settings := i.settings()
	settings.Images, settings.Lifetime = p.images, o.Lifetime
	settings.Credentials = node.Credentials{User: "builder", Password: "pass-word/of:builder"}
	if p.images == "" {
		settings.Images = i.path("var/no-images")
		if err := os.MkdirAll(filepath.Join(settings.Images, "storage"), 0o755); err != nil {
			return err
		}
	}
	if err := i.prepare(settings, p); err != nil {
		return err
	}
	pid, err := node.Start(settings, i.path("bin/cluster"), "init")
	if err != nil {
		return err
	}
	process, err := identify(pid)
	if err != nil {
		return fmt.Errorf("%w; see %s", err, settings.Log("supervisor"))
	}
	state := State{Process: process, Started: start, Ends: start.Add(o.Lifetime)}
	if err := i.writeState(state); err != nil {
		return err
	}
	if err := i.deploy(ctx, o, p, start); err != nil {
		return err
	}
	state.Complete = true
	return i.writeState(state)
}

// prepare fills the cluster's directory.
func (i *Instance) prepare(s node.Settings, p parts) error {
	if err := s.Directories(); err != nil {
		return err
	}
	if err := node.Configure(s); err != nil {
		return fmt.Errorf("configuring the node: %w", err)
	}
	if err := i.makeCgroups(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// A copy: the program may be rebuilt while the cluster runs, and `go run` removes it.
	text, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.WriteFile(i.path("bin/cluster"), text, 0o755); err != nil { //nolint:gosec // in the cluster's own directory
		return err
	}
	for _, dir := range p.directories {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.Symlink(filepath.Join(dir, e.Name()), i.path("bin", e.Name())); err != nil {
				return err
			}
		}
	}
	return i.writeEnvironment(s)
}

// deploy starts the daemons and applies what they serve.
func (i *Instance) deploy(ctx context.Context, o Options, p parts, start time.Time) error {
	control := i.Control()
	ca, err := os.ReadFile(i.path("pki/ca.crt"))
	if err != nil {
		return err
	}
	c := &deploy.Cluster{CA: ca, Start: control.Start, Kubectl: i.kubectl}
	steps := []step{
		{"the supervisor answers", func() error { return i.answers(ctx) }},
		{"the API server answers", func() error { return control.Start(ctx, node.Core(o.APIOnly)...) }},
		{"the node runs", func() error { return i.startNode(ctx, o, c) }},
		{"ImageStreams are served", func() error { return c.ImageStreams(ctx) }},
		{"Tekton works", func() error { return c.Tekton(ctx, p.images) }},
	}
	if o.APIOnly {
		steps = steps[:len(steps)-1]
	}
	steps = append(steps, step{"all daemons run", func() error { return i.allRun(ctx) }})
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%w (logs are in %s)", err, i.path("log"))
		}
		fmt.Fprintf(i.Progress, "%5.1f s: %s\n", time.Since(start).Seconds(), s.what)
	}
	return nil
}

// step is a part of the deployment, named by what is true after it.
type step struct {
	what string
	do   func() error
}

// allRun finds daemons that started and ended soon after.
func (i *Instance) allRun(ctx context.Context) error {
	components, err := i.Control().Status(ctx)
	if err != nil {
		return err
	}
	for name, status := range components {
		if strings.HasPrefix(status, "ended") {
			return fmt.Errorf("%s %s", name, status)
		}
	}
	return nil
}

func (i *Instance) startNode(ctx context.Context, o Options, c *deploy.Cluster) error {
	if err := c.Core(ctx); err != nil {
		return err
	}
	if err := i.Control().Start(ctx, node.Node(o.APIOnly)...); err != nil || o.APIOnly {
		return err
	}
	return c.Ready(ctx, node.Name)
}

// answers waits for the supervisor.
func (i *Instance) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, err := i.Control().Status(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(i.settings().Log("supervisor"))
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(said)))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Down ends the cluster and removes all that belonged to it, but for the cache of artefacts.
func (i *Instance) Down(ctx context.Context) error {
	if i.inside() {
		return errors.New("the cluster cannot be ended from inside")
	}
	unlock, err := i.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return i.remove(ctx)
}

// remove ends what runs, if it does, and removes what there is.
func (i *Instance) remove(ctx context.Context) error {
	state, running, err := i.State()
	if err != nil {
		return err
	}
	if running {
		fmt.Fprintf(i.Progress, "ending the cluster %s\n", i.Name)
		if err := state.Process.end(ctx, 20*time.Second); err != nil {
			return err
		}
	}
	// The processes of the namespace end after its first one.
	for try := 0; ; try++ {
		err := i.removeCgroups()
		if err == nil {
			break
		}
		if try == 100 {
			return fmt.Errorf("removing the cgroups: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	for _, name := range i.environmentFiles() {
		if err := os.RemoveAll(name); err != nil {
			return err
		}
	}
	return os.RemoveAll(i.Dir)
}
