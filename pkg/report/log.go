package report

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// NewHandler writes log messages as a command's people read them: `osbs: warning: the text key=value`.
func NewHandler(w io.Writer, level slog.Level) slog.Handler {
	return &handler{w: w, level: level, mu: &sync.Mutex{}}
}

type handler struct {
	w     io.Writer
	level slog.Level
	mu    *sync.Mutex
	attrs string
	group string
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
	_, err := fmt.Fprintf(h.w, "osbs: %s%s\n", word, Clean(r.Message+attrs))
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
	if value == "" || strings.ContainsAny(value, " \t\n\"=") {
		value = fmt.Sprintf("%q", value)
	}
	return " " + group + a.Key + "=" + value
}
