package tekton

import (
	"context"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// Outlook implements osbs.Instance. It needs to list ConfigMaps, ImageStreams and PipelineRuns of the namespace; what else may not be
// read is named in its answer.
func (i *Instance) Outlook(ctx context.Context) (*osbs.Outlook, error) {
	clients := situation.Clients{Kube: i.conf.Kubernetes, Image: i.conf.Images, Runs: i.conf.Runs}
	s, err := situation.List(ctx, clients, i.conf.Namespace)
	if err != nil {
		return nil, err
	}
	out := &osbs.Outlook{Namespace: i.conf.Namespace, State: s.State, Images: make(map[string]osbs.Image, len(s.Configs)), Unread: s.Unread}
	for name, c := range s.Configs {
		if c.Err != nil {
			out.Images[name] = osbs.Image{Malformed: c.Err.Error()}
			continue
		}
		out.Configs = append(out.Configs, c.Planned)
		out.Images[name] = image(c, s.Succeeded[name])
	}
	if out.Paused, err = i.pause(ctx); err != nil {
		return nil, err
	}
	if out.Unwatched, err = i.unwatched(ctx); err != nil {
		out.Unread = append(out.Unread, err.Error())
	}
	if out.Bounds, err = i.bounds(ctx); err != nil {
		out.Unread = append(out.Unread, err.Error())
	}
	if out.HomeRegistries, err = i.homeRegistries(ctx); err != nil {
		out.Unread = append(out.Unread, err.Error())
	}
	if out.Bounds != nil {
		out.State.Budget = out.Bounds.Concurrent
	}
	out.State.Postponed = map[string]bool{}
	s.Plan(out.State.Budget, nil, out.State.Postponed) // notes what was asked for already
	return out, ctx.Err()
}

// image is what is known of a build config; succeeded may be nil.
func image(c *situation.Config, succeeded *situation.PipelineRun) osbs.Image {
	out := osbs.Image{BuildConfig: c.BuildConfig}
	if succeeded != nil && !succeeded.Facts.Started.IsZero() && succeeded.Facts.Ended.After(succeeded.Facts.Started) {
		out.Took, out.TookBuild = succeeded.Facts.Ended.Sub(succeeded.Facts.Started), succeeded.Name
	}
	return out
}

// The flags of cmd/imagewatch that bound builds. Each may be given in its environment, too.
const (
	flagMaxConcurrent = "max-concurrent"
	flagRate          = "rate"
)

// bounds are those of the installation's watcher; nil if it has none here.
func (i *Instance) bounds(ctx context.Context) (*osbs.Bounds, error) {
	name := installation.Imagewatch(i.conf.Name)
	deployment, err := i.conf.Kubernetes.AppsV1().Deployments(i.conf.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // having none is not an error
	}
	if err != nil {
		return nil, classify("reading Deployment "+name, err)
	}
	n := slices.IndexFunc(deployment.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == installation.WatcherContainer })
	if n < 0 {
		return nil, nil //nolint:nilnil // a site's own watcher
	}
	container := deployment.Spec.Template.Spec.Containers[n]
	concurrent, okConcurrent := number(container, flagMaxConcurrent)
	rate, okRate := number(container, flagRate)
	if !okConcurrent || !okRate {
		return nil, nil //nolint:nilnil // the program's defaults may be those of another version
	}
	return &osbs.Bounds{Concurrent: concurrent, Rate: rate}, nil
}

// number is the value of a flag of a step binary, from its arguments or else from its environment.
func number(c corev1.Container, flag string) (int, bool) {
	text := ""
	for _, e := range c.Env {
		if e.Name == "OSBS_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_")) {
			text = e.Value
		}
	}
	for n, arg := range c.Args {
		name, value, given := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		switch {
		case name != flag || !strings.HasPrefix(arg, "-"):
		case given:
			text = value
		case n+1 < len(c.Args):
			text = c.Args[n+1]
		}
	}
	value, err := strconv.Atoi(text)
	return value, err == nil && value >= 0
}

// homeRegistries are those of osbs.conf, else those that the Pipeline's params have as their defaults.
func (i *Instance) homeRegistries(ctx context.Context) ([]string, error) {
	values := map[string]string{}
	run := &v1.PipelineRun{Spec: v1.PipelineRunSpec{PipelineRef: &v1.PipelineRef{Name: i.conf.Name}}}
	pipeline, err := i.pipeline(ctx, run)
	switch {
	case failure.KindOf(err) == failure.NotFound: // it says nothing then, but osbs.conf may
		err = nil
	case err == nil:
		for _, p := range pipeline.Spec.Params {
			if p.Default != nil {
				values[p.Name] = strings.Join(append(p.Default.ArrayVal, p.Default.StringVal), ",")
			}
		}
	}
	for name, value := range i.conf.Params {
		if value != "" {
			values[name] = value
		}
	}
	hosts := strings.FieldsFunc(values["home-registry"], func(r rune) bool { return r == ',' })
	for _, name := range []string{"registry-uri", "source-registry-uri"} {
		if values[name] == "" {
			continue
		}
		uris, malformed := registry.ParseURIs(values[name])
		if malformed != nil {
			return nil, failure.New(failure.InvalidInput, "param %s of Pipeline %s: %w", name, i.conf.Name, malformed)
		}
		for _, u := range uris {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts, err
}
