package step

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"testing"
)

func TestAStepSaysWhatItHasCostOnlyToThoseWhoAsk(t *testing.T) {
	said := regexp.MustCompile(`resources used cpu=\S*s peak-memory=[1-9]\d*Mi\n`)
	for level, want := range map[string]bool{"debug": true, "info": false} {
		var stderr bytes.Buffer
		s := sample(func(context.Context, Env, *Results, map[string]any) error { return nil })
		if code := s.Execute(t.Context(), []string{"-git-url=u", "-results-dir", t.TempDir(), "-log-level", level}, os.Getenv, &stderr); code != 0 {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		if said.Match(stderr.Bytes()) != want {
			t.Errorf("at the level %s: %q", level, stderr.String())
		}
	}
}
