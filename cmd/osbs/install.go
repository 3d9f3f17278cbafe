package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/pkg/deploy"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/installation"
	"github.com/osbs-tekton/osbs/pkg/instance"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
	"github.com/osbs-tekton/osbs/pkg/preflight"
)

// The flags of install and uninstall.
const (
	flagFrom           = "from"
	flagDryRun         = "dry-run"
	flagForceConflicts = "force-conflicts"
	flagSkipPreflight  = "skip-preflight"
	flagAll            = "all"
)

func (p *program) installCommand() *cli.Command {
	return &cli.Command{
		Name: "install", Usage: "bring the Pipeline and all that belongs to it into a namespace of a cluster", ArgsUsage: "[CONFIG]",
		Description: "CONFIG, overlays and images are those of osbs generate. Without an instance, the cluster and namespace of kubectl's current\n" +
			"context are meant. First it looks for what the cluster lacks, and installs nothing if something is wrong. What an older version\n" +
			"left is removed; fields that others have set are kept, or named in a conflict. A second time, everything is unchanged.",
		Flags: []cli.Flag{
			list(flagOverlay, "overlay `FILE` with a site's changes, applied in this order"),
			text(flagImages, "`FILE` with the images to put in the place of ko:// references, such as images.yaml of a release"),
			text(flagRegistry, "`HOST/PATH` in which the images of the stages are"),
			text(flagFrom, "install what osbs generate wrote to this `FILE` or directory instead"),
			boolean(flagDryRun, "have the cluster check everything, and change nothing"),
			boolean(flagForceConflicts, "take over fields that somebody else has set to other values"),
			boolean(flagSkipPreflight, "install without looking first for what the cluster lacks"),
		},
		Action: p.install,
	}
}

// installer is one run of osbs install.
type installer struct {
	*program
	site    *instance.Site
	options deploy.Options
	json    bool
	// name is that of the Pipeline; config is nil if the objects were rendered before.
	name   string
	config *config.Config
	notes  []string
	// namespace are the objects that are applied with the rights of the namespace's admin, elsewhere those that need other rights.
	namespace, elsewhere []*unstructured.Unstructured
	document             installDocument
}

// installDocument is the JSON of osbs install and uninstall.
type installDocument struct {
	Namespace string              `json:"namespace"`
	Name      string              `json:"name"`
	DryRun    bool                `json:"dryRun,omitempty"`
	Preflight []preflight.Finding `json:"preflight,omitempty"`
	Changes   []deploy.Change     `json:"changes"`
	// Pending are what somebody with more rights has to do.
	Pending []pending     `json:"pending,omitempty"`
	Failure *osbs.Failure `json:"failure,omitempty"`
}

// pending is something that somebody with more rights has to do.
type pending struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Command does it in a shell.
	Command string `json:"command"`
}

func (p *program) install(c *cli.Context) error {
	args, err := arguments(c, 0, 1, "")
	if err != nil {
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
	i := &installer{program: p, site: site, json: asJSON, name: conf.Pipeline}
	i.options = deploy.Options{DryRun: c.Bool(flagDryRun), Force: c.Bool(flagForceConflicts)}
	if !asJSON {
		i.options.Progress = i.tell
	}
	if err := i.objects(c, conf, args); err != nil {
		return err
	}
	i.document = installDocument{Namespace: site.Namespace, Name: i.name, DryRun: i.options.DryRun, Changes: []deploy.Change{}}
	return i.finish(i.run(c))
}

// reach reads osbs.conf and opens the namespace of its instance. Who installs and names no instance means a cluster.
func (p *program) reach(c *cli.Context) (*osbsconf.Config, *instance.Site, error) {
	p.builtIn = osbsconf.Cluster
	conf, err := p.configure(c)
	if err != nil {
		return nil, nil, err
	}
	site, err := instance.Reach(conf, p.logger(p.stderr, conf), p.warn)
	return conf, site, err
}

// objects makes what is installed, or reads it.
func (i *installer) objects(c *cli.Context, conf *osbsconf.Config, args []string) error {
	groups, err := i.generated(c, conf, args)
	if c.String(flagFrom) != "" {
		groups, err = i.rendered(c, args)
	}
	if err != nil {
		return err
	}
	if i.namespace, err = objectsOf(groups.Namespace); err != nil {
		return err
	}
	if i.elsewhere, err = objectsOf(slices.Concat(groups.Cluster, groups.Others)); err != nil {
		return err
	}
	for _, o := range i.namespace {
		i.own(o)
	}
	if i.name != conf.Pipeline {
		i.warn(fmt.Sprintf("the Pipeline is called %s: osbs build and the others look for it with pipeline = %[1]s in osbs.conf", i.name))
	}
	return nil
}

// own gives an object the labels by which it is found when it is to be removed, and the namespace.
func (i *installer) own(o *unstructured.Unstructured) {
	labels := o.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[installation.LabelName], labels[installation.LabelPartOf], labels[installation.LabelManagedBy] = i.name, installation.Product, installation.Product
	o.SetLabels(labels)
	o.SetNamespace(i.site.Namespace)
}

func (i *installer) generated(c *cli.Context, conf *osbsconf.Config, args []string) (install.Groups, error) {
	if c.String(flagFrom) != "" {
		return install.Groups{}, nil
	}
	in, err := i.generatorInput(c, args)
	if err != nil {
		return install.Groups{}, err
	}
	if len(args) == 0 {
		in.Config.Name = conf.Pipeline
	}
	if written := in.Config.Namespace; written != "" && written != i.site.Namespace {
		if conf.Namespace != "" {
			return install.Groups{}, failure.WithHint(failure.New(failure.Usage, "%s is for namespace %s, and instance %s is namespace %s", args[0], written,
				conf.Instance, conf.Namespace), "leave namespace out of the one or the other")
		}
		i.site.Namespace = written
	}
	in.Config.Namespace, i.name, i.config = i.site.Namespace, in.Config.Name, in.Config
	if err := in.Config.Validate(); err != nil {
		return install.Groups{}, err
	}
	out, err := generator.Generate(c.Context, in)
	if err != nil {
		return install.Groups{}, err
	}
	i.notes = out.Notes
	return out.Groups, imagesKnown(out.Objects())
}

// rendered reads what osbs generate wrote.
func (i *installer) rendered(c *cli.Context, args []string) (install.Groups, error) {
	from := c.String(flagFrom)
	if len(args) > 0 || len(c.StringSlice(flagOverlay)) > 0 || c.String(flagImages) != "" || c.String(flagRegistry) != "" {
		return install.Groups{}, failure.New(failure.Usage, "--%s has everything already: it goes with no configuration, overlay, images or registry", flagFrom)
	}
	objects, err := readWritten(from)
	if err != nil {
		return install.Groups{}, err
	}
	at := slices.IndexFunc(objects, func(o *yaml.RNode) bool { return o.GetKind() == "Pipeline" })
	if at < 0 {
		return install.Groups{}, failure.New(failure.Usage, "%s has no Pipeline: it is not what osbs generate writes", from)
	}
	i.name = objects[at].GetName()
	if namespace := objects[at].GetNamespace(); namespace != "" && namespace != i.site.Namespace {
		if i.given[flagNamespace] {
			return install.Groups{}, failure.New(failure.Usage, "%s is for namespace %s, not for %s", from, namespace, i.site.Namespace)
		}
		i.site.Namespace = namespace
	}
	return install.Split(&config.Config{Namespace: i.site.Namespace}, objects), imagesKnown(objects)
}

// imagesKnown refuses references that only ko can resolve: nothing could pull them.
func imagesKnown(objects []*yaml.RNode) error {
	for _, o := range objects {
		text, err := o.String()
		if err != nil {
			return failure.New(failure.Internal, "%s %s: %w", o.GetKind(), o.GetName(), err)
		}
		if _, rest, found := strings.Cut(text, "ko://"); found {
			reference, _, _ := strings.Cut(rest, "\n")
			return failure.WithHint(failure.New(failure.Usage, "where the images of the stages are is not known: ko://%s", strings.Trim(reference, `"' `)),
				"name the registry that has them, --%s HOST/PATH, or the images.yaml of a release, --%s FILE", flagRegistry, flagImages)
		}
	}
	return nil
}

func objectsOf(nodes []*yaml.RNode) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, n := range nodes {
		data, err := n.MarshalJSON()
		if err != nil {
			return nil, failure.New(failure.Internal, "%s %s: %w", n.GetKind(), n.GetName(), err)
		}
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON(data); err != nil {
			return nil, failure.New(failure.InvalidInput, "%s %s: %w", n.GetKind(), n.GetName(), err)
		}
		out = append(out, u)
	}
	return out, nil
}
