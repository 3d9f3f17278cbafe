package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/renameio/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/redact"
)

// ResultMessage is the result that every step has: why it failed, in one text.
const ResultMessage = "message"

// Tekton carries the results of a step in the container's termination message, of which Kubernetes keeps 4096 bytes; names,
// quoting and Tekton's own entries take their share of it.
const (
	maxResults     = 3000 // all values of a step together, bytes
	maxMessage     = 900  // ResultMessage, bytes
	maxTermination = 4096 // our own termination message, bytes
	entry          = 32   // what Tekton writes around the name and the value of a result, bytes
	minMessage     = 160  // of ResultMessage there is at least this much, bytes
)

// Result is a result that a step may set.
type Result struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Results collects a step's results and writes each to a file of its name, as Tekton reads them.
type Results struct {
	dir      string
	limit    int
	declared []string
	values   map[string]string
}

// newResults makes the results of a step. limit bounds their size as Tekton writes it: the containers of a pod share 12 KB, so that a
// step among many has less room than one of few. Without one, the values together have what is usual.
func newResults(declared []Result, dir string, limit int) *Results {
	r := &Results{dir: dir, limit: limit, values: map[string]string{}}
	for _, d := range declared {
		r.declared = append(r.declared, d.Name)
	}
	return r
}

// Set stores a result. That it was not declared, does not fit, or cannot be written is an error.
func (r *Results) Set(name, value string) error {
	if !slices.Contains(r.declared, name) {
		return failure.New(failure.Internal, "result %q is not declared", name)
	}
	if room := r.Room(name); Size(value) > room {
		return failure.New(failure.Internal, "result %q does not fit: it takes %d bytes, and there is room for %d", name, Size(value), room)
	}
	return r.store(name, value)
}

// Room is the Size that the value of a result may have, beside the results that are set.
func (r *Results) Room(name string) int {
	room := r.total()
	for other, value := range r.values {
		if other != name && other != ResultMessage {
			room -= Size(value)
		}
	}
	return max(room, 0)
}

// total is the room for the values of all results but the message.
func (r *Results) total() int {
	if r.limit <= 0 {
		return maxResults - maxMessage
	}
	room := r.limit - minMessage - entry - len(ResultMessage)
	for _, name := range r.declared {
		room -= entry + len(name)
	}
	return max(room, 0)
}

// Size is how many bytes a value takes in JSON, in which Tekton carries it.
func Size(value string) int {
	data, err := json.Marshal(value)
	if err != nil { // no string has one
		return len(value)
	}
	return len(data) - len(`""`)
}

func (r *Results) store(name, value string) error {
	r.values[name] = value
	return r.write(name, value)
}

// finish writes the results of a step that has succeeded and has not set them: they are empty.
func (r *Results) finish() error {
	for _, name := range append(slices.Clone(r.declared), ResultMessage) {
		if _, set := r.values[name]; set {
			continue
		}
		if err := r.write(name, ""); err != nil {
			return err
		}
	}
	return nil
}

func (r *Results) write(name, value string) error {
	if _, err := os.Stat(r.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := renameio.WriteFile(filepath.Join(r.dir, name), []byte(value), 0o644, renameio.WithTempDir(r.dir)); err != nil {
		return failure.New(failure.Storage, "writing result %s: %w", name, err)
	}
	return nil
}

// message stores why the step failed. It cannot fail itself: the log has the text too.
func (r *Results) message(text string) {
	room := maxMessage
	if r.limit > 0 {
		room = min(room, r.Room(ResultMessage)+minMessage)
	}
	short := shorten(text, room)
	for limit := room; Size(short) > room && limit > minMessage/2; limit = limit * 3 / 4 {
		short = shorten(text, limit)
	}
	_ = r.store(ResultMessage, short)
}

// outcome is what the termination message says.
type outcome struct {
	Stage   string            `json:"stage"`
	Kind    failure.Kind      `json:"kind,omitempty"`
	Message string            `json:"message,omitempty"`
	Results map[string]string `json:"results,omitempty"`
}

// outcome tells what became of the step. Secrets are masked before the text is shortened: of one that is cut in two, the rest would
// not be recognised.
func (s Spec) outcome(r *Results, secrets *redact.Set, err error) outcome {
	o := outcome{Stage: s.Name, Kind: failure.KindOf(err)}
	if err != nil {
		o.Message = shorten(secrets.String(err.Error()), maxMessage)
	}
	if r != nil {
		o.Results = r.values
	}
	return o
}

func (o outcome) code() int {
	if o.Kind == "" {
		return 0
	}
	return o.Kind.ExitCode()
}

// terminate writes the termination message where something waits for it: the file exists already in a pod.
func (f *FlagSet) terminate(o outcome) {
	data, err := json.Marshal(o)
	if err == nil && len(data) > maxTermination {
		o.Results = nil
		data, err = json.Marshal(o)
	}
	if err != nil || len(data) > maxTermination {
		return
	}
	file, err := os.OpenFile(*f.termination, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer file.Close()
	fmt.Fprintln(file, string(data))
}

// shorten keeps the beginning and the end of text within limit bytes, in valid UTF-8: the beginning says what was being done,
// the end what went wrong.
func shorten(text string, limit int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= limit {
		return text
	}
	const gap = " [...] "
	half := (limit - len(gap)) / 2
	head, tail := text[:half], text[len(text)-half:]
	for !utf8.ValidString(head) {
		head = head[:len(head)-1]
	}
	for !utf8.ValidString(tail) {
		tail = tail[1:]
	}
	return head + gap + tail
}
