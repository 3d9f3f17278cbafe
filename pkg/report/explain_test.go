package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osbs-tekton/osbs/internal/golden"
	"github.com/osbs-tekton/osbs/pkg/explain"
)

// Every answer that package explain is tested with, as people read it.
func TestExplanation(t *testing.T) {
	files, err := filepath.Glob("../explain/testdata/*.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d answers, %v", len(files), err)
	}
	var out bytes.Buffer
	p := New(&out, Options{Location: time.UTC})
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var e explain.Explanation
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		out.WriteString("== " + strings.TrimSuffix(filepath.Base(file), ".json") + "\n")
		p.Explanation(&e)
	}
	golden.Check(t, *update, filepath.Join("testdata", "explanations.txt"), out.String())
}
