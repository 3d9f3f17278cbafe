package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/internal/process"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// record is a build as it is kept in builds/<name>/build.json. Its one writer is the process that runs the build.
type record struct {
	osbs.Build
	Owner process.ID `json:"owner"`
	// BaseDigests are what an autorebuild is built from, by ImageStreamTag.
	BaseDigests map[string]string `json:"baseDigests,omitempty"`
	// GitLastCommit is the commit that the build before an autorebuild was made from.
	GitLastCommit string `json:"gitLastCommit,omitempty"`
	// WorkspaceOf is the build whose workspace this one has taken over, or takes over when it runs.
	WorkspaceOf string `json:"workspaceOf,omitempty"`
	// Interrupted says that the build was cancelled only because its process ended.
	Interrupted bool `json:"interrupted,omitempty"`
}

const (
	recordFile = "build.json"
	logFile    = "log"
	cancelFile = "cancel"
	// maxRecord bounds what is read of a record, in bytes.
	maxRecord = 8 << 20
	// newPrefix begins the name of a directory that is not a build yet.
	newPrefix = ".new-"
)

// validName keeps names of builds inside the directory of builds.
var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,126}[a-z0-9])?$`)

// records keeps the records of all builds.
type records struct {
	dir  dataDir
	self process.ID
	seen *process.Observer
	log  *slog.Logger
}

// alive says whether the process that runs the build, or ran it, still does.
func (r records) alive(rec record) bool { return r.seen.Alive(rec.Owner) }

// view is what people see of the record: a build whose process is gone has failed, whatever its record says.
func (r records) view(rec record) osbs.Build {
	b := rec.Build
	if b.State.Ended() || r.alive(rec) {
		b.Resumable = r.resumable(rec, b.State)
		return b
	}
	end := r.lastSign(rec)
	b.State, b.Finished = osbs.Failed, &end
	b.Failure = &osbs.Failure{Stage: runningStage(b), Kind: failure.Internal, Message: "its process ended before the build did (killed, or the machine went down)"}
	b.Stages = slices.Clone(b.Stages)
	for i := range b.Stages {
		if s := &b.Stages[i]; s.State == osbs.Running || s.State == osbs.Waiting {
			s.State, s.Finished = osbs.Failed, &end
		}
	}
	b.Resumable = r.resumable(rec, b.State)
	return b
}

// resumable says whether a build that has come to a state has left an image behind.
func (r records) resumable(rec record, state osbs.State) bool {
	return (state == osbs.Failed || state == osbs.Cancelled) && rec.built() && r.kept(rec.Name)
}

// lastSign is when a build whose process is gone last wrote its record.
func (r records) lastSign(rec record) time.Time {
	info, err := os.Stat(filepath.Join(r.dir.build(rec.Name), recordFile))
	if err != nil {
		return rec.Created
	}
	return info.ModTime().UTC()
}

func runningStage(b osbs.Build) string {
	for _, s := range b.Stages {
		if s.State == osbs.Running || s.State == osbs.Waiting {
			return s.Name
		}
	}
	return ""
}

// create stores a new build, at once with its directory; failure.Conflict if there is one of its name.
func (r records) create(rec *record) error {
	rec.Owner = r.self
	temp, err := os.MkdirTemp(r.dir.builds(), newPrefix)
	if err != nil {
		return failure.New(failure.Storage, "making the directory of build %s: %w", rec.Name, err)
	}
	defer os.RemoveAll(temp)
	if err := write(temp, rec); err != nil {
		return err
	}
	switch err := os.Rename(temp, r.dir.build(rec.Name)); {
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.ENOTEMPTY):
		return failure.New(failure.Conflict, "build %s exists already", rec.Name)
	case err != nil:
		return failure.New(failure.Storage, "making the directory of build %s: %w", rec.Name, err)
	}
	return nil
}

// save stores a build that create has made.
func (r records) save(rec *record) error { return write(r.dir.build(rec.Name), rec) }

func write(dir string, rec *record) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return failure.New(failure.Internal, "encoding the record of build %s: %w", rec.Name, err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, recordFile), append(data, '\n'), 0o600, renameio.WithTempDir(dir)); err != nil {
		return failure.New(failure.Storage, "writing the record of build %s: %w", rec.Name, err)
	}
	return nil
}

// get reads one record.
func (r records) get(name string) (record, error) {
	var rec record
	notFound := failure.WithHint(failure.New(failure.NotFound, "there is no build %q", name), "osbs list-builds lists them")
	if !validName.MatchString(name) {
		return rec, notFound
	}
	data, err := readBounded(filepath.Join(r.dir.build(name), recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return rec, notFound
	}
	if err != nil {
		return rec, failure.New(failure.Storage, "reading the record of build %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &rec); err != nil {
		return rec, failure.New(failure.Storage, "the record of build %s is malformed: %w", name, err)
	}
	if rec.Name != name {
		return rec, failure.New(failure.Storage, "the record of build %s is that of %q", name, rec.Name)
	}
	return rec, nil
}

// names lists the builds there are, in no order.
func (r records) names() ([]string, error) {
	entries, err := os.ReadDir(r.dir.builds())
	if err != nil {
		return nil, failure.New(failure.Storage, "listing builds: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.IsDir() && validName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// all reads every record, the newest first. One that cannot be read is told to the log and left out: it must not hide the others.
func (r records) all(ctx context.Context) ([]record, error) {
	names, err := r.names()
	if err != nil {
		return nil, err
	}
	out := make([]record, 0, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rec, err := r.get(name)
		switch {
		case failure.KindOf(err) == failure.NotFound: // removed meanwhile
		case err != nil:
			r.log.Warn("leaving a build out", "error", err)
		default:
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, newestFirst)
	return out, nil
}

func newestFirst(a, b record) int {
	return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.Name, a.Name))
}

// workspace of a build.
func (r records) workspace(name string) workspace.Dir {
	return workspace.Dir(filepath.Join(r.dir.build(name), "workspace"))
}

// prune removes the oldest ended builds beyond keep, workspaces that a later build of the same build config has replaced (one that did
// not get the lock replaces nothing), and what a killed process left half made.
func (r records) prune(ctx context.Context, keep int) error {
	all, err := r.all(ctx)
	if err != nil {
		return err
	}
	var errs []error
	ended := 0
	replaced := map[string]bool{}
	for _, rec := range all {
		if !r.view(rec).State.Ended() {
			continue
		}
		switch ended++; {
		case ended > keep:
			errs = append(errs, os.RemoveAll(r.dir.build(rec.Name)))
		case replaced[rec.BuildConfig]:
			errs = append(errs, os.RemoveAll(string(r.workspace(rec.Name))))
		}
		replaced[rec.BuildConfig] = replaced[rec.BuildConfig] || rec.locked()
	}
	errs = append(errs, r.removeHalfMade())
	if err := errors.Join(errs...); err != nil {
		return failure.New(failure.Storage, "removing old builds: %w", err)
	}
	return nil
}

// halfMade is the age from which a directory that never became a build is taken for one that a killed process left.
const halfMade = time.Hour

func (r records) removeHalfMade() error {
	var errs []error
	for _, dir := range []string{r.dir.builds(), r.dir.temporary()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			info, err := e.Info()
			left := dir == r.dir.temporary() || strings.HasPrefix(e.Name(), newPrefix)
			if err == nil && left && time.Since(info.ModTime()) > halfMade {
				errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}
