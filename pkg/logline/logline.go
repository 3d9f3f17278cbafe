// Package logline writes log messages as people read them: the text, then its attributes, one line each, nothing that could steer a
// terminal.
package logline

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// NewHandler writes records of the level and above to w, each in one Write: `PREFIXwarning: the text key=value`.
func NewHandler(w io.Writer, level slog.Level, prefix string) slog.Handler {
	return &handler{w: w, level: level, prefix: prefix, mu: &sync.Mutex{}}
}

type handler struct {
	w      io.Writer
	level  slog.Level
	prefix string
	mu     *sync.Mutex
	attrs  string
	group  string
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	word := ""
	switch {
	case r.Level >= slog.LevelError:
		word = "error: "
	case r.Level >= slog.LevelWarn:
		word = "warning: "
	case r.Level < slog.LevelInfo:
		word = "debug: "
	}
	attrs := h.attrs
	r.Attrs(func(a slog.Attr) bool {
		attrs += attribute(h.group, a)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintf(h.w, "%s%s%s\n", h.prefix, word, Clean(strings.ReplaceAll(r.Message, "\n", " ")+attrs))
	return err
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	for _, a := range attrs {
		out.attrs += attribute(h.group, a)
	}
	return &out
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	out := *h
	out.group += name + "."
	return &out
}

// attribute is ` key=value`, quoted when the value is not one word.
func attribute(group string, a slog.Attr) string {
	value := a.Value.Resolve().String()
	if a.Key == "" {
		return ""
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		value = fmt.Sprintf("%q", value)
	}
	return " " + group + a.Key + "=" + value
}

// Clean replaces in one line what could steer a terminal: control characters but the tab, and marks of writing direction.
func Clean(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case unicode.IsControl(r), r == utf8.RuneError, unicode.Is(unicode.Bidi_Control, r):
			return '?'
		}
		return r
	}, strings.TrimSuffix(line, "\r"))
}
