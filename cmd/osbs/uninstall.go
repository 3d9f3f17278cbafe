package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/lock"
	"github.com/osbs-tekton/osbs/pkg/preflight"
)

func (p *program) uninstallCommand() *cli.Command {
	return &cli.Command{
		Name: "uninstall", Usage: "remove from a namespace of a cluster what install brought there",
		Description: "Build configs, builds and their logs stay, so that a later install goes on where this one stopped; --all removes them too.\n" +
			"Images and ImageStreams always stay, and so do Secrets: osbs has not made them.",
		Flags: []cli.Flag{
			boolean(flagAll, "remove build configs, locks and builds as well"),
			boolean(flagDryRun, "say what would be removed, and remove nothing"),
		},
		Action: p.uninstall,
	}
}

func (p *program) uninstall(c *cli.Context) error {
	if _, err := arguments(c, 0, 0, ""); err != nil {
		return err
	}
	asJSON, err := p.output(c)
	if err != nil {
		return err
	}
	conf, site, err := p.reach(c)
	if err != nil {
		return err
	}
	i := &installer{program: p, site: site, json: asJSON, name: conf.Pipeline, options: deploy.Options{DryRun: c.Bool(flagDryRun)}}
	if !asJSON {
		i.options.Progress = i.tell
	}
	i.document = installDocument{Namespace: site.Namespace, Name: i.name, DryRun: i.options.DryRun, Changes: []deploy.Change{}}
	return i.finish(i.uninstall(c.Context, c.Bool(flagAll)))
}

// The kinds that builds leave, beside what install made.
func kindLease() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"}
}

func kindConfigMap() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
}

func kindPipelineRun() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "tekton.dev", Version: "v1", Kind: "PipelineRun"}
}

func (i *installer) uninstall(ctx context.Context, all bool) error {
	i.say("namespace %s, %s", i.site.Namespace, i.site.Origin)
	history, err := i.history(ctx, all)
	if err != nil {
		return err
	}
	if all && !i.confirmed(history) {
		return failure.New(failure.Cancelled, "nothing was removed")
	}
	watched, err := i.watched(ctx)
	if err != nil {
		return err
	}
	removed, err := i.site.Remove(ctx, deploy.Selection{Kinds: install.Kinds(), Selector: installation.Selector(i.name)}, i.options)
	i.document.Changes = append(i.document.Changes, removed...)
	if err != nil {
		return err
	}
	if err := i.delete(ctx, object(kindLease(), "", i.name+"-imagewatch")); err != nil { // which the watcher made
		return err
	}
	for n := range history {
		if err := i.delete(ctx, &history[n]); err != nil {
			return err
		}
	}
	return i.removeElsewhere(ctx, watched)
}

// history is what only --all removes: the builds, then what they have left.
func (i *installer) history(ctx context.Context, all bool) ([]unstructured.Unstructured, error) {
	runs, err := i.site.List(ctx, kindPipelineRun(), "")
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(runs, func(r unstructured.Unstructured) bool { return !i.isBuild(&r) })
	if n := running(runs); n > 0 && !i.options.DryRun {
		i.warn(fmt.Sprintf("%d builds run, and will fail", n))
	}
	if !all {
		return nil, nil
	}
	out := runs
	for _, part := range []struct {
		kind     schema.GroupVersionKind
		selector string
	}{{kindConfigMap(), configmap.Selector}, {kindLease(), lock.Selector}} {
		found, err := i.site.List(ctx, part.kind, part.selector)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return append(out, *object(kindConfigMap(), "", installation.Paused(i.name))), nil
}

// isBuild says whether a PipelineRun is one of this installation's.
func (i *installer) isBuild(run *unstructured.Unstructured) bool {
	pipeline, _, _ := unstructured.NestedString(run.Object, "spec", "pipelineRef", "name")
	return pipeline == i.name || pipeline == "" && run.GetLabels()[event.LabelBuildConfig] != ""
}

func running(runs []unstructured.Unstructured) int {
	n := 0
	for _, run := range runs {
		if _, ended, _ := unstructured.NestedString(run.Object, "status", "completionTime"); !ended {
			n++
		}
	}
	return n
}

// confirmed says what --all removes that cannot be brought back, and asks the person at the terminal, if there is one.
func (i *installer) confirmed(history []unstructured.Unstructured) bool {
	count := map[string]int{}
	for _, o := range history {
		count[o.GetKind()]++
	}
	fmt.Fprintf(i.stderr, "osbs: --all removes from namespace %s %d build configs, %d locks and %d builds with their logs; images stay\n",
		i.site.Namespace, count["ConfigMap"]-1, count["Lease"], count["PipelineRun"]) // one ConfigMap is the mark of a pause
	if i.options.DryRun || i.stdin == nil || !i.stderrTTY {
		return true
	}
	fmt.Fprint(i.stderr, "osbs: remove them? y removes them: ")
	answer, err := bufio.NewReader(i.stdin).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(answer), "y")
}

// watched are the other namespaces in which the watcher has rights: its flags name them.
func (i *installer) watched(ctx context.Context) ([]string, error) {
	deployments, err := i.site.List(ctx, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, installation.Selector(i.name))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range deployments {
		containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
		for _, one := range containers {
			container, _ := one.(map[string]any)
			args, _, _ := unstructured.NestedStringSlice(container, "args")
			for _, arg := range args {
				if names, found := strings.CutPrefix(arg, "-watch-namespace="); found {
					out = append(out, strings.Split(names, ",")...)
				}
			}
		}
	}
	return slices.DeleteFunc(out, func(n string) bool { return n == i.site.Namespace || n == "" }), nil
}

// removeElsewhere removes what is outside of the namespace. Who may not is told what somebody else has to run.
func (i *installer) removeElsewhere(ctx context.Context, watched []string) error {
	const rbac, version = "rbac.authorization.k8s.io", "v1"
	kind := func(k string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: rbac, Version: version, Kind: k}
	}
	prefix := i.site.Namespace + "-" + i.name
	objects := []*unstructured.Unstructured{object(kind("ClusterRoleBinding"), "", prefix+"-trigger")}
	for _, namespace := range watched {
		objects = append(objects, object(kind("RoleBinding"), namespace, prefix+"-imagewatch"), object(kind("Role"), namespace, prefix+"-imagewatch"))
	}
	for _, o := range objects {
		err := i.delete(ctx, o)
		if failure.KindOf(err) != failure.Unauthorized {
			if err != nil {
				return err
			}
			continue
		}
		if there, err := preflight.Bound(ctx, i.site.Kubernetes, i.site.Namespace, i.name+"-trigger"); o.GetNamespace() == "" && err == nil && !there {
			continue
		}
		command := "kubectl delete " + strings.ToLower(o.GetKind()) + " " + o.GetName() + " --ignore-not-found"
		if o.GetNamespace() != "" {
			command += " -n " + o.GetNamespace()
		}
		i.document.Pending = append(i.document.Pending, pending{Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(), Command: command})
	}
	return nil
}

func (i *installer) delete(ctx context.Context, o *unstructured.Unstructured) error {
	change, err := i.site.Delete(ctx, o, i.options)
	if change != nil {
		i.document.Changes = append(i.document.Changes, *change)
	}
	return err
}

func object(kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}
