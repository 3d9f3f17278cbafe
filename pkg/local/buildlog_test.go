package local

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/pkg/redact"
)

func TestBuildLog(t *testing.T) {
	secrets := &redact.Set{}
	secrets.Add("hunter22")
	path := filepath.Join(t.TempDir(), logFile)
	l, err := openLog(path, secrets)
	if err != nil {
		t.Fatal(err)
	}
	l.header("clone", time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC))
	log := l.logger(false).With("who", "me").WithGroup("g")
	log.Info("cloned", "url", "https://user:pw@example.com/x", "empty", "")
	log.Debug("not shown")
	log.Warn("the password is hunter22", "n", 3)
	log.Error("two\nlines\x1b[2J")
	if _, err := l.Write([]byte("output of hun")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Write([]byte("ter22\nno end")); err != nil {
		t.Fatal(err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	want := `== clone (03:04:05)
cloned who=me g.url=https://[redacted]@example.com/x g.empty=""
warning: the password is [redacted] who=me g.n=3
error: two lines?[2J who=me
output of [redacted]
no end`
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
	var copied strings.Builder
	if err := copyLog(t.Context(), path, &copied, func() (bool, error) { return true, nil }, nil); err != nil || copied.String() != want+"\n" {
		t.Errorf("copied %q, %v", copied.String(), err)
	}
}

func TestLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	w := &boundedWriter{next: &out, left: 10}
	for range 5 {
		if n, err := w.Write([]byte("12345\n")); n != 6 || err != nil {
			t.Fatal(n, err)
		}
	}
	if want := "12345\n\n[the log is cut off here: it is too long]\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

func TestDebugLog(t *testing.T) {
	l, err := openLog(filepath.Join(t.TempDir(), logFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if !l.logger(true).Enabled(t.Context(), slog.LevelDebug) || l.logger(false).Enabled(t.Context(), slog.LevelDebug) {
		t.Error("levels")
	}
}
