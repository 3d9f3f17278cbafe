package generator_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

// TestGenerate: each file of testdata has a whole input, and the whole output or the error that comes of it.
func TestGenerate(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, got := outcome(t, archive)
			var kept []txtar.File
			want := ""
			for _, f := range archive.Files {
				if isOutcome(f.Name) {
					want = f.Name + "\n" + string(f.Data)
				} else {
					kept = append(kept, f)
				}
			}
			if *update {
				kept = append(kept, txtar.File{Name: name, Data: []byte(got)})
				archive.Files = kept
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, name+"\n"+got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const (
	wantObjects = "want.yaml"
	wantError   = "error"
)

func isOutcome(name string) bool { return name == wantObjects || name == wantError }

// outcome is what comes of the input in an archive, as the name and the content of a file.
func outcome(t *testing.T, archive *txtar.Archive) (name, text string) {
	t.Helper()
	in := generator.Input{Config: config.Default(), Version: "v1.2.3"}
	for _, f := range archive.Files {
		var err error
		var entries []overlay.Entry
		switch {
		case f.Name == "osbs.yaml":
			in.Config, err = config.Load(f.Name, f.Data)
		case strings.HasPrefix(f.Name, "overlay"):
			entries, err = overlay.Read(f.Name, f.Data)
			in.Overlays = append(in.Overlays, entries...)
		}
		if err != nil {
			return wantError, string(failure.KindOf(err)) + ": " + err.Error() + "\n"
		}
	}
	out, err := generator.Generate(t.Context(), in)
	if err != nil {
		return wantError, string(failure.KindOf(err)) + ": " + err.Error() + "\n"
	}
	return wantObjects, written(t, out.Objects()...)
}
