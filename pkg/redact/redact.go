// Package redact keeps secrets out of logs, results and error texts.
//
// Whoever reads a secret adds it to the Set of the run; whatever is written for people goes through it.
package redact

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"
)

// mask stands where a secret was.
const mask = "[redacted]"

// minSecret is the shortest text that is treated as a secret, in bytes: masking shorter ones would destroy ordinary words.
const minSecret = 4

// userinfo matches the credentials inside a URL, up to the last @ of the host: people forget to escape one in a password.
var userinfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s]+@`)

// malformedUserinfo is userinfo where a password may also hold a /.
var malformedUserinfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)\S+@`)

// Set holds the secrets of one run. The zero value and nil are ready to use; it is safe for concurrent use.
type Set struct {
	mu       sync.RWMutex
	secrets  map[string]bool
	replacer *strings.Replacer
}

// Add makes every later String mask the secrets, and their base64 and URL-escaped forms. Empty and very short texts are ignored.
func (s *Set) Add(secrets ...string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets == nil {
		s.secrets = map[string]bool{}
	}
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		if len(secret) < minSecret {
			continue
		}
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret), url.PathEscape(secret)} {
			s.secrets[form] = true
		}
		for line := range strings.SplitSeq(secret, "\n") { // a private key is logged by lines
			if len(line) >= 2*minSecret {
				s.secrets[line] = true
			}
		}
	}
	s.replacer = newReplacer(s.secrets)
}

// newReplacer masks longer secrets first, so that a secret which contains another leaves no rest behind.
func newReplacer(secrets map[string]bool) *strings.Replacer {
	all := make([]string, 0, len(secrets))
	for secret := range secrets {
		all = append(all, secret)
	}
	sort.Slice(all, func(i, j int) bool { return len(all[i]) > len(all[j]) })
	pairs := make([]string, 0, 2*len(all))
	for _, secret := range all {
		pairs = append(pairs, secret, mask)
	}
	return strings.NewReplacer(pairs...)
}

// String returns text with every known secret, and every URL's credentials, masked.
func (s *Set) String(text string) string {
	text = URL(text)
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}

// URL masks the user and password of every URL in text.
func URL(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	return userinfo.ReplaceAllString(text, "${1}"+mask+"@")
}

// MalformedURL masks whatever may be a user and a password in one URL that could not be read: everything before its last @.
func MalformedURL(text string) string {
	return malformedUserinfo.ReplaceAllString(text, "${1}"+mask+"@")
}

// Handler masks what passes through next: the message and every attribute.
func (s *Set) Handler(next slog.Handler) slog.Handler { return handler{s, next} }

type handler struct {
	set  *Set
	next slog.Handler
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.set.String(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		clean = append(clean, h.attr(a))
	}
	return handler{h.set, h.next.WithAttrs(clean)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.set, h.next.WithGroup(name)} }

func (h handler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.set.String(v.String()))
	case slog.KindGroup:
		group := make([]any, 0, len(v.Group()))
		for _, g := range v.Group() {
			group = append(group, h.attr(g))
		}
		return slog.Group(a.Key, group...)
	case slog.KindAny:
		if v.Any() == nil {
			return a
		}
		return slog.String(a.Key, h.set.String(v.String()))
	default:
		return a
	}
}

// Writer masks what is written to next, by whole lines: a secret that is split between two writes is still seen. Close writes
// what is left of an unfinished line.
func (s *Set) Writer(next io.Writer) io.WriteCloser { return &writer{set: s, next: next} }

// maxLine bounds what is held back for a line's end, in bytes.
const maxLine = 64 << 10

type writer struct {
	mu   sync.Mutex
	set  *Set
	next io.Writer
	rest []byte
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	end := strings.LastIndexAny(string(w.rest), "\n\r") + 1
	if end == 0 && len(w.rest) < maxLine {
		return len(p), nil
	}
	if end == 0 {
		end = len(w.rest)
	}
	_, err := io.WriteString(w.next, w.set.String(string(w.rest[:end])))
	w.rest = append(w.rest[:0], w.rest[end:]...)
	return len(p), err
}

func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 {
		return nil
	}
	_, err := io.WriteString(w.next, w.set.String(string(w.rest)))
	w.rest = nil
	return err
}
