package report

import (
	"strings"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// PlanDocument is the JSON of a dry run. Unlike the plan itself it leaves out what a base image's configuration says.
type PlanDocument struct {
	BuildConfig string           `json:"buildConfig"`
	Bases       []BaseDocument   `json:"bases"`
	Tags        osbs.Tags        `json:"tags"`
	Dependents  []osbs.Dependent `json:"dependents"`
}

// BaseDocument is one base image of a dry run.
type BaseDocument struct {
	// Stage is the first of Stages, the build stages that need the base: a name, or an index from 0.
	Stage  string   `json:"stage"`
	Stages []string `json:"stages"`
	// Reference is the base as the Dockerfile has it; Resolved has everything spelled out.
	Reference      string `json:"reference"`
	Resolved       string `json:"resolved"`
	Digest         string `json:"digest"`
	ManifestDigest string `json:"manifestDigest"`
	// ImageStreamTag is empty if a change of the base is not followed.
	ImageStreamTag string `json:"imageStreamTag"`
	// Parent says that the image has the base's layers.
	Parent bool `json:"parent"`
}

// NewPlanDocument is the document of a plan. Its lists are never null.
func NewPlanDocument(plan *osbs.Plan) PlanDocument {
	d := PlanDocument{BuildConfig: plan.BuildConfig, Tags: plan.Tags, Bases: []BaseDocument{}, Dependents: []osbs.Dependent{}}
	if d.Tags.Floating == nil {
		d.Tags.Floating = []string{}
	}
	for _, b := range plan.Bases {
		out := BaseDocument{
			Stages: append([]string{}, b.Stages...), Reference: b.Reference, Resolved: b.Resolved, Digest: b.Digest,
			ManifestDigest: b.ManifestDigest, ImageStreamTag: b.ImageStreamTag, Parent: b.Parent,
		}
		if len(b.Stages) > 0 {
			out.Stage = b.Stages[0]
		}
		d.Bases = append(d.Bases, out)
	}
	for _, dependent := range plan.Dependents {
		dependent.On = append([]string{}, dependent.On...)
		d.Dependents = append(d.Dependents, dependent)
	}
	return d
}

// Plan shows what a build would do.
func (p *Printer) Plan(plan *osbs.Plan) {
	p.field("", "build config", p.paint(bold, plan.BuildConfig))
	if len(plan.Bases) == 0 {
		p.field("", "bases", "none: FROM scratch")
	}
	for _, b := range plan.Bases {
		p.field("", "base", p.paint(bold, b.Reference)+" of stage "+strings.Join(b.Stages, ", "))
		p.field("  ", "image", b.Resolved)
		p.field("  ", "digest", b.Digest)
		if b.ManifestDigest != b.Digest {
			p.field("  ", "manifest", b.ManifestDigest)
		}
		if b.ImageStreamTag == "" {
			p.field("  ", "rebuilt when", "never: it is named by its digest")
		} else {
			p.field("  ", "rebuilt when", b.ImageStreamTag+" changes")
		}
	}
	p.field("", "unique tag", plan.Tags.Unique)
	p.field("", "primary tag", plan.Tags.Primary)
	p.field("", "floating tags", strings.Join(plan.Tags.Floating, ", "))
	if len(plan.Dependents) == 0 {
		p.field("", "rebuilt after", "nothing")
	}
	for i, d := range plan.Dependents {
		name := ""
		if i == 0 {
			name = "rebuilt after"
		}
		p.printf("%s %d. %s, because of %s\n", p.paint(dim, pad(name)), d.Wave, d.BuildConfig, strings.Join(d.On, ", "))
	}
}

func pad(name string) string { return name + strings.Repeat(" ", max(0, 14-len(name))) }
