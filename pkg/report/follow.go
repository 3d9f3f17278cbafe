package report

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/osbs-tekton/osbs/pkg/logline"
	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// LogLines says which lines of a build's log a Follower shows.
type LogLines int

// The choices. BuildLines are those of the build stage, what it waited for, and warnings. Quiet shows
// no stages either: only that the build is there, and its outcome.
const (
	NoLines LogLines = iota
	BuildLines
	AllLines
	Quiet
)

// Follower shows builds while they run: the one that somebody waits for, with its log, and the rebuilds that it causes. It is safe
// for concurrent use.
type Follower struct {
	printer *Printer
	lines   LogLines
	main    string
	catchUp func(io.Writer) error

	mu     sync.Mutex
	builds map[string]*followed
	// shown is how many bytes of the log have been shown.
	shown int64
	log   logLines
}

// followed is what has been shown of a build.
type followed struct {
	stages int // that have ended
	ended  bool
}

// NewFollower follows the build called main. catchUp, if not nil, writes the log from its beginning to its present end; it is asked
// before the end of a stage is shown, so that the stage's lines come first.
func NewFollower(p *Printer, main string, lines LogLines, catchUp func(io.Writer) error) *Follower {
	return &Follower{printer: p, lines: lines, main: main, catchUp: catchUp, builds: map[string]*followed{}}
}

// Show shows what has happened to a build since it was shown last.
func (f *Follower) Show(b osbs.Build) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.builds[b.Name]
	if known == nil {
		known = &followed{}
		f.builds[b.Name] = known
		f.begin(b)
	}
	if known.ended {
		return
	}
	for f.lines != Quiet && known.stages < len(b.Stages) && b.Stages[known.stages].State.Ended() {
		f.drain(b)
		f.printer.printf("%s%s\n", f.prefix(b), f.printer.stageLine(b.Stages[known.stages]))
		known.stages++
	}
	if b.State.Ended() {
		known.ended = true
		f.end(b)
	}
}

// prefix tells the lines of rebuilds from those of the build that somebody waits for.
func (f *Follower) prefix(b osbs.Build) string {
	if b.Name == f.main {
		return ""
	}
	return f.printer.paint(dim, b.Name) + " "
}

func (f *Follower) begin(b osbs.Build) {
	p := f.printer
	if b.Name == f.main || len(b.Reasons) == 0 {
		p.printf("%s of %s %s\n", p.paint(bold, "build "+b.Name), logline.Clean(b.Request.GitURL), logline.Clean(b.Request.GitBranch))
		return
	}
	p.printf("\n%s\n", p.paint(bold, "rebuild "+b.Name))
	for _, r := range b.Reasons {
		p.field("  ", "because", Reason(r))
	}
}

func (f *Follower) end(b osbs.Build) {
	f.drain(b)
	p := f.printer
	name := "build"
	if b.Name != f.main {
		name = b.Name
	}
	line := p.paint(colourOf(b.State), name+" "+string(b.State))
	if spent := p.duration(b); spent != "" {
		line += " after " + spent
	}
	p.printf("%s\n", line)
	if b.Name == f.main {
		f.log.close(b.Failure)
		f.print(f.log.take(f.lines))
	}
	if b.Failure != nil && b.Name != f.main { // that of main is the command's error
		p.failure(b)
		p.field("", "log", "osbs build-logs "+b.Name)
	}
	p.Result(b)
}

// Log is the writer for the log of the main build as it is followed.
func (f *Follower) Log() io.Writer { return &stream{follower: f, lock: true} }

// drain shows what is in the log and has not been shown.
func (f *Follower) drain(b osbs.Build) {
	if b.Name == f.main && f.catchUp != nil && f.lines != NoLines && f.lines != Quiet {
		_ = f.catchUp(&stream{follower: f}) // the log itself is followed; here it is only the order that would suffer
	}
}

// stream counts the bytes of a log, and shows those that have not been shown.
type stream struct {
	follower *Follower
	lock     bool
	at       int64
}

func (s *stream) Write(text []byte) (int, error) {
	f := s.follower
	if s.lock {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	begin := s.at
	s.at += int64(len(text))
	if s.at > f.shown {
		f.log.add(text[max(0, f.shown-begin):])
		f.shown = s.at
		f.print(f.log.take(f.lines))
	}
	return len(text), nil
}

func (f *Follower) print(lines []string) {
	var out strings.Builder
	for _, line := range lines {
		out.WriteString(f.printer.paint(dim, "  | ") + logline.Clean(line) + "\n")
	}
	if out.Len() > 0 {
		f.printer.printf("%s", out.String())
	}
}

// logLines cuts a log into lines and knows to which stage each belongs.
type logLines struct {
	stage string
	rest  []byte
	ready []logLine
	// held is a line that may repeat the failure that the build ends with.
	held *logLine
}

type logLine struct{ stage, text string }

const (
	// errorLine and warningLine begin a line that a stage wrote about itself.
	errorLine   = "error: "
	warningLine = "warning: "
	// waitingLine begins what the lock stage says while the build waits for its turn.
	waitingLine = "waiting "
	// maxRest bounds a line that has no end, in bytes.
	maxRest = 64 << 10
)

// header begins a stage's part of the log.
var header = regexp.MustCompile(`^== ([a-z-]+) \(\d\d:\d\d:\d\d\)$`)

func (l *logLines) add(text []byte) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found && len(l.rest) < maxRest {
			return
		}
		l.line(string(line))
		l.rest = bytes.Clone(rest)
	}
}

func (l *logLines) line(text string) {
	if m := header.FindStringSubmatch(text); m != nil && slices.Contains(osbs.Stages(), m[1]) {
		l.stage = m[1]
	}
	if l.held != nil {
		l.ready = append(l.ready, *l.held)
		l.held = nil
	}
	line := logLine{l.stage, text}
	if strings.HasPrefix(text, errorLine) {
		l.held = &line
		return
	}
	l.ready = append(l.ready, line)
}

// close ends the log; a last line that says what the failure says is dropped.
func (l *logLines) close(failure *osbs.Failure) {
	if len(l.rest) > 0 {
		l.line(string(l.rest))
		l.rest = nil
	}
	if l.held == nil {
		return
	}
	if failure != nil {
		first, _, _ := strings.Cut(failure.Message, "\n")
		if strings.HasPrefix(l.held.text, errorLine+first) {
			l.held = nil
			return
		}
	}
	l.ready = append(l.ready, *l.held)
	l.held = nil
}

// take returns the complete lines that are to be shown.
func (l *logLines) take(which LogLines) []string {
	out := make([]string, 0, len(l.ready))
	for _, line := range l.ready {
		isHeader := header.MatchString(line.text)
		switch {
		case which == AllLines:
		case which == NoLines, which == Quiet, isHeader:
			continue
		case line.stage == "build", line.stage == "lock" && strings.HasPrefix(line.text, waitingLine), strings.HasPrefix(line.text, warningLine):
		default:
			continue
		}
		out = append(out, line.text)
	}
	l.ready = nil
	return out
}

// Event shows one change of a build in a line, for those who watch all builds.
func (p *Printer) Event(e osbs.Event) {
	b := e.Build
	what := string(b.State)
	colour := colourOf(b.State)
	for _, s := range b.Stages {
		if s.Name == e.Stage {
			what, colour = s.Name+" "+string(s.State), colourOf(s.State)
			if s.Note != "" {
				what += ": " + logline.Clean(s.Note)
			}
		}
	}
	if e.Stage == "" && b.Failure != nil {
		first, _, _ := strings.Cut(b.Failure.Message, "\n")
		what += ": " + logline.Clean(first)
	}
	if e.Stage == "" && b.State == osbs.New && len(b.Reasons) > 0 {
		what += ": " + Reason(b.Reasons[0])
	}
	p.printf("%s %s %s\n", p.paint(dim, p.Now().In(p.Location).Format("15:04:05")), b.Name, p.paint(colour, what))
}
