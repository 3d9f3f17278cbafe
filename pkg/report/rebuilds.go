package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/forecast"
	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// Rebuilds shows what is rebuilt, in waves, and why; then what is held back, and by what.
func (p *Printer) Rebuilds(plan *forecast.Plan) {
	if plan.Paused != nil {
		by := ""
		if plan.Paused.By != "" {
			by = " by " + logline.Clean(plan.Paused.By)
		}
		p.printf("builds are paused since %s%s: none begins until osbs resume-builds\n", p.when(plan.Paused.Since), by)
	}
	if plan.Base != nil {
		to := ""
		if plan.Base.Digest != "" {
			to = " from " + hex(plan.Base.CurrentDigest) + " to " + hex(plan.Base.Digest)
		}
		p.printf("if %s moves%s:\n", p.paint(bold, logline.Clean(plan.Base.ImageStreamTag)), to)
	}
	p.rebuilds(plan)
	p.printf("%s\n", summary(plan))
	p.estimate(plan)
	p.common(plan.Common)
}

// rebuilds is a table with the reasons below each line.
func (p *Printer) rebuilds(plan *forecast.Plan) {
	if len(plan.Rebuilds) == 0 {
		return
	}
	rows := [][]string{{"WAVE", "BUILD CONFIG", "IMAGE", "VERDICT", "TOOK"}}
	for _, r := range plan.Rebuilds {
		wave, took := "held", ""
		if r.Wave > 0 {
			wave = fmt.Sprint(r.Wave)
		}
		if r.LastTookSeconds > 0 {
			took = Spent(seconds(r.LastTookSeconds))
		}
		rows = append(rows, []string{wave, logline.Clean(r.BuildConfig), logline.Clean(forecast.Label("", r.ImageStreamTags)), string(r.Verdict), took})
	}
	paint := func(row, column int, cell string) string {
		switch {
		case row == 0:
			return p.paint(dim, cell)
		case column == 3:
			return p.paint(colourOfVerdict(rebuild.Verdict(cell)), cell)
		}
		return cell
	}
	p.rows(rows, maxColumn, paint, func(row int) {
		if row == 0 {
			return
		}
		for _, line := range details(plan.Rebuilds[row-1], plan) {
			p.printf("      %s\n", logline.Clean(line))
		}
	})
}

func colourOfVerdict(v rebuild.Verdict) string {
	switch v {
	case rebuild.Ready, rebuild.Running:
		return green
	case rebuild.Failed, rebuild.ParentFailed, rebuild.Cycle:
		return red
	case rebuild.Paused, rebuild.Disabled, rebuild.Skipped:
		return yellow
	default:
		return bold
	}
}

// details say why it is rebuilt, and what holds it.
func details(r forecast.Rebuild, plan *forecast.Plan) []string {
	var out, after []string
	for _, reason := range r.Reasons {
		if reason.Kind == rebuild.BaseRebuilt {
			after = append(after, reason.CausedBy)
			out = append(out, fmt.Sprintf("%s  moves when %s is built", reason.Base, reason.CausedBy))
			continue
		}
		if reason.Kind == rebuild.Requested {
			out = append(out, Reason(reason))
			continue
		}
		now := "another one"
		if reason.NewDigest != "" {
			now = hex(reason.NewDigest)
		}
		line := fmt.Sprintf("%s  %s -> %s", reason.Base, hex(reason.OldDigest), now)
		if reason.CausedBy != "" && plan.Base == nil {
			line += ", by " + reason.CausedBy
		}
		out = append(out, line)
	}
	if held := heldBy(r, plan, after); held != "" {
		out = append(out, held)
	}
	return out
}

// heldBy says what the verdict means for this build config. after are the build configs that its reasons name.
func heldBy(r forecast.Rebuild, plan *forecast.Plan, after []string) string {
	by := strings.Join(r.HeldBy, ", ")
	switch r.Verdict {
	case rebuild.Running:
		return "build " + by + " runs"
	case rebuild.Waiting:
		others := slices.DeleteFunc(slices.Clone(r.HeldBy), func(name string) bool { return slices.Contains(after, name) })
		if len(others) == 0 {
			return ""
		}
		return "waits for " + strings.Join(others, ", ")
	case rebuild.Queued:
		switch {
		case r.Asked:
			return "asked for already; what came of it is not seen yet"
		case plan.Bounds != nil:
			return "over the budget of " + count(plan.Bounds.Concurrent, "build") + " at once"
		default:
			return "over the budget of builds at once"
		}
	case rebuild.Failed:
		return "build " + by + " failed with just that"
	case rebuild.ParentFailed:
		return "stays on the old base: " + by + " failed"
	case rebuild.Skipped:
		return "build " + by + ": switched off by the repository"
	case rebuild.Paused:
		return "a person has paused its autorebuilds"
	case rebuild.Disabled:
		return "its autorebuilds are switched off"
	case rebuild.Cycle:
		return "the base is built on it, or is itself"
	default:
		return ""
	}
}

// hex is enough of a digest to tell it from others, without its algorithm.
func hex(digest string) string {
	const digits = 12
	if _, after, found := strings.Cut(digest, ":"); found {
		digest = after
	}
	switch {
	case digest == "":
		return "nothing"
	case len(digest) > digits:
		return digest[:digits]
	default:
		return digest
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// summary is the plan in a line.
func summary(plan *forecast.Plan) string {
	going, held, waves := 0, 0, 0
	for _, r := range plan.Rebuilds {
		if r.Held() {
			held++
			continue
		}
		going++
		waves = max(waves, r.Wave)
	}
	switch {
	case plan.BuildConfigs == 0:
		return "there are no build configs"
	case going+held == 0 && plan.Base != nil && len(plan.Base.OtherTags) > 0:
		return "nothing is built on it, but on " + logline.Clean(strings.Join(plan.Base.OtherTags, ", "))
	case going+held == 0 && plan.Base != nil:
		return "nothing would be rebuilt"
	case going+held == 0:
		return fmt.Sprintf("all is up to date: %s", count(plan.BuildConfigs, "build config"))
	}
	var parts []string
	if going > 0 {
		parts = append(parts, count(going, "build")+" in "+count(waves, "wave"))
	}
	if held > 0 {
		parts = append(parts, fmt.Sprintf("%d held back", held))
	}
	return fmt.Sprintf("%d of %s: %s", going+held, count(plan.BuildConfigs, "build config"), strings.Join(parts, ", "))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (p *Printer) estimate(plan *forecast.Plan) {
	e := plan.Estimate
	if e == nil {
		return
	}
	bound := "however many run at once"
	if plan.Bounds != nil && plan.Bounds.Concurrent > 0 {
		bound = fmt.Sprintf("%d at once", plan.Bounds.Concurrent)
	}
	p.printf("about %s in all, %s, if builds take as long as they last did\n", Spent(seconds(e.Seconds)), bound)
	if e.Unknown > 0 {
		p.printf("%s with no time that is known: %s assumed\n", count(e.Unknown, "build"), Spent(seconds(e.AssumedSeconds)))
	}
}

func (p *Printer) common(c forecast.Common) {
	for _, names := range c.Cycles {
		p.printf("%s %s: changes are not followed around it\n", p.paint(yellow, "built on each other:"), logline.Clean(strings.Join(names, ", ")))
	}
	for _, m := range c.Malformed {
		p.printf("%s %s: %s\n", p.paint(red, "malformed:"), logline.Clean(m.BuildConfig), logline.Clean(m.Message))
	}
	for _, text := range c.Unread {
		p.printf("%s %s\n", p.paint(yellow, "not read:"), logline.Clean(text))
	}
}

// Graph shows images as trees, each below one of its bases. One with several bases is shown whole once.
func (p *Printer) Graph(g *forecast.Graph) {
	rows := make([][]string, 0, 1+len(g.Images))
	stale := 0
	for _, image := range g.Images {
		if image.Stale {
			stale++
		}
	}
	rows = append(rows, []string{"IMAGE", "DIGEST", "STATE"})
	for _, branch := range g.Tree() {
		i := g.Images[branch.Image]
		digest, state := "", i.State()
		if len(i.ImageStreamTags) > 0 && i.ImageStreamTags[0].Digest != "" {
			digest = logline.Clean(hex(i.ImageStreamTags[0].Digest))
		}
		if branch.Again {
			digest, state = "", "see above"
		}
		rows = append(rows, []string{branch.Lines + logline.Clean(i.Label()), digest, state})
	}
	if len(rows) > 1 {
		p.rows(rows, maxColumn, func(row, column int, cell string) string {
			switch {
			case row == 0:
				return p.paint(dim, cell)
			case column == 2:
				return p.paint(yellow, cell)
			}
			return cell
		}, nil)
	}
	if len(g.Images) == 0 {
		p.printf("there are no images\n")
	} else {
		p.printf("%s, %d stale\n", count(len(g.Images), "image"), stale)
	}
	p.common(g.Common)
}

// maxColumn bounds how far a cell moves the cells behind it away, in characters; one that is longer has them right behind it.
const maxColumn = 60
