package redact

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

func TestString(t *testing.T) {
	var s Set
	s.Add("hunter2secret", "p@ss/word", "", "abc")
	for in, want := range map[string]string{
		"no secret":                            "no secret",
		"a hunter2secret b":                    "a [redacted] b",
		"basic aHVudGVyMnNlY3JldA==":           "basic [redacted]",
		"https://u:t0ken@host/x":               "https://[redacted]@host/x",
		"https://u:p@s@host/x":                 "https://[redacted]@host/x",
		"https://host/a@b http://h/c":          "https://host/a@b http://h/c",
		"escaped p%40ss%2Fword":                "escaped [redacted]",
		"abc is too short to be a secret":      "abc is too short to be a secret",
		"git@github.com:user/repo.git no user": "git@github.com:user/repo.git no user",
	} {
		if got := s.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
	}
	var none *Set
	if got := none.String("ssh://me:pw@h/"); got != "ssh://[redacted]@h/" {
		t.Errorf("nil Set: %q", got)
	}
}

func TestMalformedURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p/ss@host/x":   "https://[redacted]@host/x",
		"https://u:p@s/s@host:x/": "https://[redacted]@host:x/",
		"https://host:x/":         "https://host:x/",
	} {
		if got := MalformedURL(in); got != want {
			t.Errorf("MalformedURL(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHandlerMasksEveryAttribute(t *testing.T) {
	var s Set
	s.Add("hunter2secret")
	var out bytes.Buffer
	log := slog.New(s.Handler(slog.NewTextHandler(&out, nil))).With("with", "hunter2secret").WithGroup("g")
	log.Info("msg hunter2secret", "s", "hunter2secret", "err", errors.New("x hunter2secret"), slog.Group("in", "k", "hunter2secret"), "n", 1, "nil", nil)
	if strings.Contains(out.String(), "hunter2") || strings.Count(out.String(), mask) != 5 {
		t.Errorf("log = %s", out.String())
	}
}

func TestWriterSeesSplitSecrets(t *testing.T) {
	var s Set
	s.Add("hunter2secret")
	var out bytes.Buffer
	w := s.Writer(&out)
	for _, part := range []string{"one hunter2", "secret two\nthree hunt", "er2secret"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "one [redacted] two\nthree [redacted]"; got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}
