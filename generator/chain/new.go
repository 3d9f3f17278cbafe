package chain

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/chain/variable"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/tasks"
)

// The stages that the chain itself has to know; the others are whatever tasks has.
const (
	detectBase = "detect-base"
	lock       = "lock"
	prepare    = "prepare"
	build      = "build"
	syncStage  = "sync"
	importing  = "import"
)

// New makes the chain of the stages that cfg configures, with its settings applied to their Tasks.
func New(cfg *config.Config) (*Chain, error) {
	return assemble(cfg, tasks.Stages(), tasks.Read)
}

// assemble makes the chain of the stages whose Task files read returns.
func assemble(cfg *config.Config, stages []string, read func(stage string) ([]byte, error)) (*Chain, error) {
	c := &Chain{Pod: plainPod(cfg)}
	for name := range cfg.Stages {
		if !slices.Contains(stages, name) {
			return nil, failure.New(failure.Usage, "%s: stages: there is no stage %q: the stages are %s", cfg.File, name, strings.Join(stages, ", "))
		}
	}
	for _, stage := range stages {
		if !cfg.Configured(stage) {
			continue
		}
		data, err := read(stage)
		if err != nil {
			return nil, err
		}
		task, err := yaml.Parse(string(data))
		if err != nil {
			return nil, failure.New(failure.Internal, "reading tasks/%s.yaml: %w", stage, err)
		}
		c.Links = append(c.Links, &Link{Name: stage, Stage: stage, Task: task, Origin: "tasks/" + stage + ".yaml"})
	}
	if err := configure(cfg, c); err != nil {
		return nil, err
	}
	c.Links = platforms(cfg, c.Links)
	bind(cfg, c)
	c.Results = results(c)
	return c, nil
}

// configure applies the configuration to the Tasks.
func configure(cfg *config.Config, c *Chain) error {
	for _, l := range c.Links {
		spec := l.Spec()
		furtherSecrets(registrySecret, cfg.RegistrySecret, spec)
		furtherSecrets(pullSecret, cfg.PullSecret, spec)
		certificates(cfg, spec)
		if l.Stage == syncStage {
			archive(cfg, spec)
		}
		if l.Stage == build {
			buildSecrets(cfg, spec)
			storage(cfg, l)
			if cfg.BuildSecurity == config.Capabilities {
				fewCapabilities(spec)
			}
		}
		defaults(cfg, spec)
		images(cfg, spec)
		if err := settings(cfg, l); err != nil {
			return err
		}
		if err := pod(cfg, l); err != nil {
			return err
		}
	}
	agree(c.Links)
	return nil
}

// bind gives params the values that no user chooses, and makes what follows prepare depend on its decision.
func bind(cfg *config.Config, c *Chain) {
	decided := false
	for _, l := range c.Links {
		switch l.Stage {
		case lock:
			l.bind("holder", "$(context.pipelineRun.name)")
			l.bind("holder-uid", "$(context.pipelineRun.uid)")
		case detectBase:
		case prepare:
			decided = true
			continue
		}
		if l.Stage != build && len(cfg.Platforms) > 0 && l.Param("platform") != nil {
			l.bind("platform", strings.Join(cfg.Platforms, ","))
		}
		if decided {
			l.When = append(l.When, yaml.NewRNode(NotSkipped()))
		}
	}
}

// NotSkipped is the condition of what has nothing to do when prepare has decided that nothing is built.
func NotSkipped() *yaml.Node {
	return tree.Map("input", variable.ResultOf(variable.Tasks, prepare, "state").String(), "operator", "notin", "values", tree.Strings("skipped"))
}

// results are those of the Pipeline, of the stages that there are. Tekton Chains knows the first four by their names.
func results(c *Chain) []Result {
	all := []Result{
		{Name: "IMAGE_URL", Description: "the image in the first registry, with its primary tag; empty if nothing was pushed", Link: "push", Of: "image-url"},
		{Name: "IMAGE_DIGEST", Description: "the digest that the registries have; empty if nothing was pushed", Link: "push", Of: "image-digest"},
		{Name: "CHAINS-GIT_URL", Description: "the git URL, without credentials", Link: "clone", Of: "url"},
		{Name: "CHAINS-GIT_COMMIT", Description: "the commit that was built", Link: prepare, Of: "commit"},
		{Name: "BASE_IMAGES", Description: "JSON list of the bases, each with reference, digest and imageStreamTag", Link: detectBase, Of: "base-images"},
		{Name: "BUILD_CONFIG", Description: "the name of the build config", Link: lock, Of: "build-config"},
		{Name: "STATE", Description: "build, or skipped if the repository wants no autorebuild", Link: prepare, Of: "state"},
		{Name: "TAGS", Description: "the tags that were set, separated by commas, unique first", Link: "push", Of: "tags"},
		{Name: "UNCHANGED", Description: "true if an autorebuild made the content of the image before it, so that nothing was pushed and no tag moved", Link: "push", Of: "unchanged", Optional: true},
	}
	return slices.DeleteFunc(all, func(r Result) bool { return c.Link(r.Link) == nil })
}

// platforms makes a link for each platform of the build stage. Each runs on nodes of its architecture, beside the others.
func platforms(cfg *config.Config, links []*Link) []*Link {
	i := slices.IndexFunc(links, func(l *Link) bool { return l.Stage == build })
	if i < 0 || len(cfg.Platforms) == 0 {
		return links
	}
	var builds []*Link
	for n, platform := range cfg.Platforms {
		l := links[i].Clone()
		if len(cfg.Platforms) > 1 {
			l.Name = build + "-" + strings.ReplaceAll(platform, "/", "-")
		}
		if l.Parallel = n > 0; l.Parallel {
			tree.StripComments(l.Spec()) // the first build has them
		}
		l.bind("platform", platform)
		if _, rest, found := strings.Cut(platform, "/"); found {
			architecture, _, _ := strings.Cut(rest, "/")
			l.Pod.selectNodes("kubernetes.io/arch", architecture)
		}
		builds = append(builds, l)
	}
	return slices.Concat(links[:i], builds, links[i+1:])
}

// agree makes the stages that have a param of the same name agree on its default. Where one of them takes an empty value, all are
// given an empty one, for which each has its own default: the lock stage must be able to tell what was asked for from what was not.
func agree(links []*Link) {
	empty := map[string]bool{}
	for _, l := range links {
		for _, p := range tree.Items(l.Spec(), "params") {
			if d := tree.Get(p, "default"); d != nil && d.Kind == yaml.ScalarNode && d.Value == "" {
				empty[tree.Text(p, "name")] = true
			}
		}
	}
	for _, l := range links {
		for _, p := range tree.Items(l.Spec(), "params") {
			if empty[tree.Text(p, "name")] && tree.Get(p, "default") != nil {
				tree.Set(p, "default", tree.String(""))
			}
		}
	}
}

// String names the link and where it comes from, for messages.
func (l *Link) String() string { return fmt.Sprintf("%s (%s)", l.Name, l.Origin) }
