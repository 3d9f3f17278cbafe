package logline

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

func TestHandler(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(NewHandler(&out, slog.LevelInfo, "osbs: "))
	log.Debug("not shown")
	log.Info("lock taken", "holder", "a-1", "empty", "")
	log.With("stage", "push").WithGroup("g").Warn("two\nlines \x1b[31m", "error", errors.New(`x "y"`))
	log.Error("bad", slog.Int("n", 3))
	want := "osbs: lock taken holder=a-1 empty=\"\"\n" +
		"osbs: warning: two lines ?[31m stage=push g.error=\"x \\\"y\\\"\"\n" +
		"osbs: error: bad n=3\n"
	if out.String() != want {
		t.Errorf("wrote\n%s\nwant\n%s", out.String(), want)
	}
}

func TestClean(t *testing.T) {
	if got := Clean("a\tb\x00c\u202ed\xff\r"); got != "a\tb?c?d?" {
		t.Errorf("Clean = %q", got)
	}
}
