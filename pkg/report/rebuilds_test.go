package report

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/forecast"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// document is one of those that the tests of package forecast write.
func document[T any](t *testing.T, name string) *T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "forecast", "testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRebuilds(t *testing.T) {
	for _, name := range []string{"plan", "preview", "paused", "nothing"} {
		var out bytes.Buffer
		printer(&out, false).Rebuilds(document[forecast.Plan](t, name))
		golden.Check(t, *update, filepath.Join("testdata", "rebuilds-"+name+".txt"), out.String())
	}
}

func TestGraph(t *testing.T) {
	var out bytes.Buffer
	printer(&out, false).Graph(document[forecast.Graph](t, "graph"))
	golden.Check(t, *update, filepath.Join("testdata", "graph.txt"), out.String())
	var empty bytes.Buffer
	printer(&empty, false).Graph(&forecast.Graph{})
	if empty.String() != "there are no images\n" {
		t.Error(empty.String())
	}
}

// What a person has asked for has no base that moved.
func TestRequestedRebuild(t *testing.T) {
	plan := &forecast.Plan{BuildConfigs: 1, Rebuilds: []forecast.Rebuild{{
		BuildConfig: "app", Verdict: rebuild.Ready, Wave: 1, Reasons: []rebuild.Reason{{Kind: rebuild.Requested, CausedBy: "kim", At: began}},
	}}}
	var out bytes.Buffer
	printer(&out, false).Rebuilds(plan)
	if !strings.Contains(out.String(), "kim asked") || strings.Contains(out.String(), "->") {
		t.Error(out.String())
	}
	if d := plan.Diagram(); len(d.Nodes) != 1 || len(d.Edges) != 0 {
		t.Errorf("%+v", d)
	}
}

// What the cluster says never reaches a terminal as a command, and columns stay where they are beside a name of any length.
func TestHostileForecast(t *testing.T) {
	const hostile = "x\x1b[31m\ny"
	plan := &forecast.Plan{
		BuildConfigs: 1, Base: &forecast.Base{ImageStreamTag: hostile}, Paused: &forecast.Pause{By: hostile},
		Rebuilds: []forecast.Rebuild{{
			BuildConfig: hostile, ImageStreamTags: []string{hostile}, Verdict: rebuild.Failed, HeldBy: []string{hostile},
			Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: hostile, OldDigest: hostile, NewDigest: hostile, CausedBy: hostile}},
		}},
		Common: forecast.Common{Cycles: [][]string{{hostile}}, Malformed: []forecast.Malformed{{BuildConfig: hostile, Message: hostile}}, Unread: []string{hostile}},
	}
	graph := &forecast.Graph{Images: []forecast.Image{
		{Name: hostile, BuildConfig: hostile, ImageStreamTags: []forecast.Tag{{ImageStreamTag: hostile, Digest: hostile}}},
		{Name: strings.Repeat("long", 100)}, {Name: "short", BuildConfig: "short", ImageStreamTags: []forecast.Tag{{ImageStreamTag: "s:1", Digest: "sha256:1234"}}},
	}, Common: plan.Common}
	var out bytes.Buffer
	printer(&out, false).Rebuilds(plan)
	printer(&out, false).Graph(graph)
	if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "\ny") {
		t.Errorf("%q", out.String())
	}
	if line := len("short (s:1)"); !strings.Contains(out.String(), "\ns:1 (short)") || line == 0 {
		t.Error(out.String())
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "s:1 (short)") && len(line) > 80 {
			t.Errorf("a long name has moved the columns of %q", line)
		}
	}
}

func BenchmarkRebuilds10000(b *testing.B) {
	o := &osbs.Outlook{State: rebuild.State{Tags: map[string]rebuild.Tag{"base:1": {Digest: digest("b")}}}}
	for i := range 10_000 {
		name := "image" + strings.Repeat("i", i%7) + string(rune('a'+i%26)) + strings.Repeat("0", i%5)
		o.Configs = append(o.Configs, rebuild.Config{
			Name: name + "-" + strings.Repeat("m", i%3) + digest("c")[:7+i%9], Enabled: true, Bases: []rebuild.Base{{Tag: "base:1", Built: digest("a")}},
		})
	}
	for b.Loop() {
		printer(io.Discard, false).Rebuilds(forecast.NewPlan(o, began))
	}
}
