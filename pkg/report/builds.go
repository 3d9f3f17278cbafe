package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// column is one that list-builds can show.
type column struct {
	name string
	cell func(p *Printer, b osbs.Build) string
}

func columns() []column {
	return []column{
		{"name", func(_ *Printer, b osbs.Build) string { return b.Name }},
		{"state", func(_ *Printer, b osbs.Build) string { return string(b.State) }},
		{"created", func(p *Printer, b osbs.Build) string { return p.when(b.Created) }},
		{"duration", func(p *Printer, b osbs.Build) string { return p.duration(b) }},
		{"image", func(_ *Printer, b osbs.Build) string { return Image(b) }},
		{"why", func(_ *Printer, b osbs.Build) string { return why(b) }},
		{"build-config", func(_ *Printer, b osbs.Build) string { return b.BuildConfig }},
		{"user", func(_ *Printer, b osbs.Build) string { return b.Request.User }},
		{"git-url", func(_ *Printer, b osbs.Build) string { return b.Request.GitURL }},
		{"git-branch", func(_ *Printer, b osbs.Build) string { return b.Request.GitBranch }},
		{"commit", func(_ *Printer, b osbs.Build) string { return b.Commit }},
		{"digest", func(_ *Printer, b osbs.Build) string { return b.Digest }},
		{"size", func(_ *Printer, b osbs.Build) string {
			if b.Size == 0 {
				return ""
			}
			return progress.Size(b.Size)
		}},
		{"failure", func(_ *Printer, b osbs.Build) string {
			if b.Failure == nil {
				return ""
			}
			first, _, _ := strings.Cut(b.Failure.Message, "\n")
			return string(b.Failure.Kind) + " in " + b.Failure.Stage + ": " + first
		}},
	}
}

// DefaultColumns are those that list-builds shows if nobody asks for others.
func DefaultColumns() []string {
	return []string{"name", "state", "created", "duration", "image", "why"}
}

// Columns are all that list-builds can show.
func Columns() []string {
	all := columns()
	names := make([]string, 0, len(all))
	for _, c := range all {
		names = append(names, c.name)
	}
	return names
}

// Builds lists builds, one a line. An unknown column is failure.Usage.
func (p *Printer) Builds(builds []osbs.Build, names []string) error {
	if len(names) == 0 {
		names = DefaultColumns()
	}
	known := columns()
	var chosen []column
	var header []string
	for _, name := range names {
		i := slices.IndexFunc(known, func(c column) bool { return c.name == name })
		if i < 0 {
			return failure.WithHint(failure.New(failure.Usage, "there is no column %q", name), "columns are: %s", strings.Join(Columns(), ", "))
		}
		chosen = append(chosen, known[i])
		header = append(header, strings.ToUpper(strings.ReplaceAll(name, "-", " ")))
	}
	rows := [][]string{header}
	for _, b := range builds {
		row := make([]string, 0, len(chosen))
		for _, c := range chosen {
			row = append(row, logline.Clean(c.cell(p, b)))
		}
		rows = append(rows, row)
	}
	p.table(rows, func(row, i int, cell string) string {
		switch {
		case row == 0:
			return p.paint(dim, cell)
		case chosen[i].name == "state":
			return p.paint(colourOf(osbs.State(cell)), cell)
		}
		return cell
	})
	return nil
}

func colourOf(s osbs.State) string {
	switch s {
	case osbs.Complete:
		return green
	case osbs.Failed:
		return red
	case osbs.Skipped, osbs.Cancelled, osbs.Waiting:
		return yellow
	default:
		return bold
	}
}

// duration is how long the build ran, until now if it runs.
func (p *Printer) duration(b osbs.Build) string {
	if b.Started == nil {
		return ""
	}
	end := p.Now()
	if b.Finished != nil {
		end = *b.Finished
	}
	return Spent(end.Sub(*b.Started))
}

// Image is the reference of what a build pushed, by its primary tag if it has one, else by its unique one.
func Image(b osbs.Build) string {
	if b.Push == nil || len(b.Push.Images) == 0 {
		return ""
	}
	image := b.Push.Images[0]
	if b.Push.Unchanged { // the image of an earlier build
		return image.Repository + "@" + workspace.Short(b.Push.Digest)
	}
	if image.Primary != "" {
		return image.Repository + ":" + image.Primary
	}
	return image.Repository + ":" + image.Unique
}

// why says in a few words what the build was made for.
func why(b osbs.Build) string {
	switch {
	case b.Resumes != "":
		return "resumes " + b.Resumes
	case len(b.Reasons) > 0:
		var bases, parts []string
		for _, r := range b.Reasons {
			if r.Kind == rebuild.Requested {
				parts = append(parts, r.CausedBy+" asked")
			} else {
				bases = append(bases, r.Base)
			}
		}
		if len(bases) > 0 {
			parts = append(parts, strings.Join(bases, ", ")+" changed")
		}
		return strings.Join(parts, ", ")
	case b.Autorebuild:
		return "autorebuild"
	default:
		return b.Request.User + " asked"
	}
}

// Reason says why a rebuild was made, in a sentence without its end.
func Reason(r rebuild.Reason) string {
	var text strings.Builder
	switch {
	case r.Kind == rebuild.Requested:
		return logline.Clean(r.CausedBy) + " asked for it"
	case r.Kind == rebuild.BaseRebuilt:
		text.WriteString(r.Base + " is about to be rebuilt")
	case r.OldDigest == "":
		text.WriteString(r.Base + " is now " + workspace.Short(r.NewDigest))
	default:
		text.WriteString(r.Base + " moved from " + workspace.Short(r.OldDigest) + " to " + workspace.Short(r.NewDigest))
	}
	if r.CausedBy != "" {
		text.WriteString(" by " + r.CausedBy)
	}
	return text.String()
}

// Build shows all that is known of a build.
func (p *Printer) Build(b osbs.Build) {
	p.field("", "build", p.paint(bold, b.Name))
	p.field("", "build config", b.BuildConfig)
	state := p.paint(colourOf(b.State), string(b.State))
	if spent := p.duration(b); spent != "" {
		state += " after " + spent
	}
	p.field("", "state", state)
	p.field("", "created", p.when(b.Created))
	p.field("", "resumes", b.Resumes)
	if b.Resumable {
		p.field("", "resumable", "osbs build --resume "+b.Name)
	}
	p.request(b)
	p.failure(b)
	p.stages(b)
	p.Result(b)
}

func (p *Printer) request(b osbs.Build) {
	r := b.Request
	p.field("", "user", logline.Clean(r.User))
	p.field("", "git", logline.Clean(r.GitURL+" "+r.GitBranch))
	p.field("", "commit", b.Commit)
	if b.Autorebuild {
		p.field("", "autorebuild", "yes")
	}
	for _, reason := range b.Reasons {
		p.field("", "because", Reason(reason))
	}
	p.field("", "caused by", b.CausedBy)
	var options []string
	for name, value := range map[string]string{
		"component": r.Component, "target": r.Target, "architecture": r.Architecture, "release": r.Release, "dockerfile": r.Dockerfile,
		"dockerfile-target": r.DockerfileTarget, "platform": r.Platform, "lock-policy": r.LockPolicy, "build-arg": strings.Join(r.BuildArgs, " "),
	} {
		if value != "" {
			options = append(options, name+"="+logline.Clean(value))
		}
	}
	for name, set := range map[string]bool{"scratch": r.Scratch, "isolated": r.Isolated, "no-rebuild": r.NoRebuild} {
		if set {
			options = append(options, name)
		}
	}
	slices.Sort(options)
	p.field("", "options", strings.Join(options, " "))
}

func (p *Printer) failure(b osbs.Build) {
	if b.Failure == nil {
		return
	}
	where := string(b.Failure.Kind)
	if b.Failure.Stage != "" {
		where += " in stage " + b.Failure.Stage
	}
	p.field("", "failure", p.paint(red, where))
	for line := range strings.SplitSeq(strings.TrimSpace(b.Failure.Message), "\n") {
		p.field("", "", "  "+logline.Clean(line))
	}
}

func (p *Printer) stages(b osbs.Build) {
	for i, s := range b.Stages {
		name := ""
		if i == 0 {
			name = "stages"
		}
		p.printf("%s %s\n", p.paint(dim, pad(name)), p.stageLine(s))
	}
}

// stageLine is `clone  0.4s  main at 1234`.
func (p *Printer) stageLine(s osbs.StageStatus) string {
	spent := string(s.State)
	if s.State == osbs.Complete && s.Started != nil && s.Finished != nil {
		spent = Spent(s.Finished.Sub(*s.Started))
	}
	line := p.paint(colourOf(s.State), fmt.Sprintf("%-12s", s.Name)) + fmt.Sprintf(" %8s", spent)
	if s.Note != "" {
		line += "  " + logline.Clean(s.Note)
	}
	return line
}

// Result shows what came of a build: image, digest, size, tags, bases, where it was synced and imported.
func (p *Printer) Result(b osbs.Build) {
	p.field("", "digest", b.Digest)
	if b.Size > 0 {
		p.field("", "size", progress.Size(b.Size)+" compressed")
	}
	p.tags(b)
	for _, base := range b.Bases {
		p.field("", "base", logline.Clean(base.Reference)+" "+base.Digest)
	}
	if b.Bump != nil {
		pushed := "not pushed"
		if b.Bump.Pushed {
			pushed = "pushed"
		}
		p.field("", "release", logline.Clean(fmt.Sprintf("%s, was %s in %s (%s)", b.Bump.NewRelease, b.Bump.OldRelease, b.Bump.Where, pushed)))
	}
	if b.Sync != nil {
		for _, t := range b.Sync.Targets {
			p.field("", "synced to", logline.Clean(t.Location))
		}
	}
	if b.Import != nil {
		p.imported(*b.Import)
	}
}

func (p *Printer) tags(b osbs.Build) {
	if b.Push == nil {
		return
	}
	if b.Push.Unchanged {
		p.field("", "image", "unchanged: the image before it has the same content and stays")
		return
	}
	for _, image := range b.Push.Images {
		tags := make([]string, 0, 2+len(image.Floating))
		if image.Primary != "" {
			tags = append(tags, image.Primary)
		}
		tags = append(tags, image.Unique)
		if b.Import != nil { // floating tags are moved by the import
			tags = append(tags, image.Floating...)
		}
		p.field("", "image", logline.Clean(image.Repository))
		p.field("", "tags", logline.Clean(strings.Join(tags, ", ")))
	}
}

func (p *Printer) imported(i workspace.Import) {
	if i.Unchanged {
		return
	}
	for _, t := range i.Tags {
		what := "new"
		switch t.OldDigest {
		case "":
		case t.Digest:
			what = "unchanged"
		default:
			what = "was " + workspace.Short(t.OldDigest)
		}
		p.field("", "imported", fmt.Sprintf("%s:%s %s (%s)", i.ImageStream, t.Tag, workspace.Short(t.Digest), what))
	}
}

// Import shows what an import did.
func (p *Printer) Import(i workspace.Import) {
	if len(i.Tags) == 0 {
		p.printf("nothing has changed\n")
	}
	p.imported(i)
}

// BuildConfigs lists build configs, one a line.
func (p *Printer) BuildConfigs(configs []buildconfig.BuildConfig) {
	rows := make([][]string, 0, 1+len(configs))
	rows = append(rows, []string{"NAME", "GIT URL", "BRANCH", "BUILT ON", "IMAGESTREAM", "LAST BUILD"})
	for _, c := range configs {
		on := make([]string, 0, len(c.Triggers))
		for _, t := range c.Triggers {
			on = append(on, t.ImageStreamTag)
		}
		rows = append(rows, []string{c.Name, logline.Clean(c.GitURL), logline.Clean(c.GitBranch), strings.Join(on, ","), c.ImageStream, p.lastBuild(c)})
	}
	p.table(rows, func(row, _ int, cell string) string {
		if row == 0 {
			return p.paint(dim, cell)
		}
		return cell
	})
}

func (p *Printer) lastBuild(c buildconfig.BuildConfig) string {
	var out []string
	if l := c.LastBuild; l != nil {
		out = append(out, string(l.Outcome))
		if !l.Ended.IsZero() {
			out = append(out, l.Ended.In(p.Location).Format(time.DateTime))
		}
	}
	if c.Paused {
		out = append(out, "(paused)")
	}
	if c.Disabled {
		out = append(out, "(disabled)")
	}
	return strings.Join(out, " ")
}
