package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/explain"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Explanation says an explanation in sentences, one a line: the answer, and then what it comes from, down to the root cause.
func (p *Printer) Explanation(e *explain.Explanation) {
	for _, f := range e.Facts {
		for i, line := range p.sentences(f) {
			indent := "  "
			if i == 0 {
				indent = ""
			}
			p.Line(indent + line)
		}
	}
	for _, text := range e.Unread {
		p.Line("Not everything could be read: " + text)
	}
}

// sentences are a fact for people, the first of them the fact itself.
func (p *Printer) sentences(f explain.Fact) []string {
	if f.Verdict != "" {
		return append([]string{p.verdict(f)}, p.reasons(f)...)
	}
	switch f.Kind {
	case explain.UpToDate:
		return append([]string{f.BuildConfig + " is up to date: it is built on what its bases are now" + p.by(f) + "."}, p.bases(f)...)
	case explain.Requested, explain.Rebuilt, explain.AskedBuild, explain.BuildGone:
		return p.build(f)
	default:
		return []string{p.sentence(f)}
	}
}

// sentence says a fact that is one sentence.
func (p *Printer) sentence(f explain.Fact) string {
	name := f.BuildConfig
	switch f.Kind {
	case explain.NoTrigger:
		return name + " has no trigger: nothing that it is built on can change, such as FROM scratch or a base that is named by its digest."
	case explain.NeverBuilt:
		return name + " has not been built with success yet. Its first build is a person's: osbs build."
	case explain.Malformed:
		return name + " is left alone, since its ConfigMap cannot be read: " + f.Message + "."
	case explain.NoBuildConfig:
		return name + " has no build config, so nothing is rebuilt: its builds were scratch or isolated, or ended before they had the lock. The newest is " +
			f.Build + ", " + string(f.State) + message(f) + "."
	case explain.PausedByPerson:
		return "A person has paused its autorebuilds: osbs resume-builds " + name + " ends that."
	case explain.DisabledByPerson:
		return "A person has switched its autorebuilds off, with the annotation osbs.dev/autorebuild: disabled."
	case explain.LastBuildFailed:
		return "Its last build, " + f.Build + ", " + ending(f.State) + p.at(f.At) + message(f) + ". The image is that of the build before it."
	case explain.Unchanged:
		return "Its last autorebuild, " + f.Build + ", had the same content as the image before it, so no tag was moved and nothing was rebuilt after it."
	case explain.TriggerPaused:
		return "Changes of " + f.Tag + " are not followed: a person has paused that trigger."
	case explain.NoStream:
		return "Changes of " + f.Tag + " are not seen: there is no ImageStream with that tag."
	case explain.AllPaused:
		by := ""
		if f.User != "" {
			by = " by " + f.User
		}
		return "No build may begin: builds are paused" + by + p.at(f.At) + ". osbs resume-builds ends that."
	case explain.Unwatched:
		return "Nothing starts it, since no imagewatch is there: osbs install has one run, and imagewatch -once starts what is due."
	case explain.OnlyBase:
		return p.onlyBase(f)
	case explain.MovedFromOutside:
		return f.Tag + " was moved to " + workspace.Short(f.Digest) + " from outside" + p.at(f.At) + ": no build here did it."
	case explain.MovedByConfig:
		return f.Tag + " was moved to " + workspace.Short(f.Digest) + p.at(f.At) + " by a build of " + f.BuildConfig + " that is not kept any more, or by hand."
	case explain.More:
		return "There is more, which is left out here."
	default:
		return string(f.Kind)
	}
}

func (p *Printer) onlyBase(f explain.Fact) string {
	what := f.Tag + " is not built here, and there is no ImageStream with that tag"
	if f.Digest != "" {
		what = f.Tag + " is not built here. It is " + workspace.Short(f.Digest) + p.since(f.At)
	}
	if len(f.Names) == 0 {
		return what + ". Nothing is built on it."
	}
	return what + ". On it are built " + strings.Join(f.Names, ", ") + "."
}

// verdict says what becomes of a build config of which something is due.
func (p *Printer) verdict(f explain.Fact) string {
	name, held := f.BuildConfig, strings.Join(f.HeldBy, ", ")
	switch f.Verdict {
	case rebuild.Running:
		return name + " is being built: " + f.Build + " runs."
	case rebuild.Ready:
		return name + " is due to be rebuilt."
	case rebuild.Queued:
		if f.Bound > 0 && f.Running >= f.Bound {
			return fmt.Sprintf("%s is to be rebuilt, and waits for its turn: the budget of concurrent builds is spent (%d of %d run).", name, f.Running, f.Bound)
		}
		return name + " is to be rebuilt, and waits for its turn."
	case rebuild.Waiting:
		return name + " is to be rebuilt, after what it is built on: " + held + "."
	case rebuild.Failed:
		return name + " is not rebuilt: that was tried" + with(f.Build) + p.at(f.At) + " and " + failed(f.State) + message(f) +
			". It goes on when a base changes, or with osbs rebuild " + name + "."
	case rebuild.ParentFailed:
		return name + " is not rebuilt, since what it is built on could not be: " + held + ". It stays on the old base."
	case rebuild.Skipped:
		return name + " is not rebuilt: its repository switches autorebuilds off in the repo config file" + skippedBy(f) + "."
	case rebuild.Paused:
		return name + " is not rebuilt: a person has paused its autorebuilds. osbs resume-builds " + name + " ends that, and what was missed is rebuilt."
	case rebuild.Disabled:
		return name + " is not rebuilt: a person has switched its autorebuilds off, with the annotation osbs.dev/autorebuild: disabled."
	case rebuild.Cycle:
		return name + " is not rebuilt: it is built on an image that is built on it. The circle is " + strings.Join(f.Names, ", ") + "."
	}
	return name + " is " + string(f.Verdict) + "."
}

func with(build string) string {
	if build == "" {
		return ""
	}
	return " with " + build
}

func failed(s osbs.State) string {
	if s == osbs.Cancelled {
		return "cancelled"
	}
	return "failed"
}

func ending(s osbs.State) string {
	if s == osbs.Failed {
		return "failed"
	}
	return "was " + string(s)
}

func skippedBy(f explain.Fact) string {
	if f.Build == "" {
		return ""
	}
	return ", as " + f.Build + " found" + message(f)
}

func message(f explain.Fact) string {
	if f.Message == "" {
		return ""
	}
	return ": " + strings.TrimRight(f.Message, ".")
}

// reasons are why something is due. Those of what runs are the build's; a parent that failed will not be rebuilt by itself.
func (p *Printer) reasons(f explain.Fact) []string {
	out := make([]string, 0, len(f.Reasons))
	for _, r := range f.Reasons {
		if f.Verdict == rebuild.Running || f.Verdict == rebuild.ParentFailed && r.Kind == rebuild.BaseRebuilt {
			continue
		}
		out = append(out, "because "+Reason(r))
	}
	return out
}

// build says why a build was made.
func (p *Printer) build(f explain.Fact) []string {
	outcome := ""
	switch {
	case f.State == osbs.Failed || f.State == osbs.Cancelled || f.State == osbs.Skipped:
		outcome = " It " + ending(f.State) + message(f) + "."
	case f.State != "" && !f.State.Ended():
		outcome = " It is " + string(f.State) + "."
	}
	switch f.Kind {
	case explain.AskedBuild:
		return []string{f.Build + " was built because " + f.User + " asked for it" + p.at(f.At) + " (osbs build)." + outcome}
	case explain.Requested:
		return append([]string{f.Build + " was built because " + f.User + " asked for a rebuild" + p.at(f.At) + "." + outcome}, p.moved(f)...)
	case explain.BuildGone:
		return []string{f.Build + " is not kept any more: why it was built is not known."}
	default:
		if len(f.Reasons) == 0 {
			return []string{f.Build + " is an autorebuild" + p.at(f.At) + "; what for is not written in it." + outcome}
		}
		return append([]string{f.Build + " was built because what it is built on changed" + p.at(f.At) + "." + outcome}, p.moved(f)...)
	}
}

// moved are the bases among the reasons.
func (p *Printer) moved(f explain.Fact) []string {
	var out []string
	for _, r := range f.Reasons {
		if r.Kind != rebuild.Requested {
			out = append(out, Reason(r))
		}
	}
	return out
}

// by says which build made an image, if that is known.
func (p *Printer) by(f explain.Fact) string {
	if f.Build == "" {
		return ""
	}
	return ", by " + f.Build + p.at(f.At)
}

// bases say what an image is built on, and since when that is the newest.
func (p *Printer) bases(f explain.Fact) []string {
	out := make([]string, 0, len(f.Bases))
	for _, b := range f.Bases {
		line := "on " + b.Tag
		if b.Built != "" {
			line += ", " + workspace.Short(b.Built)
		}
		if b.Now == b.Built {
			line += p.since(b.Since)
		} else if b.Now != "" && b.Built != "" {
			line += "; the ImageStream has " + workspace.Short(b.Now) + ", which is the same image or an older one"
		}
		out = append(out, line)
	}
	return out
}

func (p *Printer) at(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " at " + p.when(*t)
}

func (p *Printer) since(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " since " + p.when(*t)
}
