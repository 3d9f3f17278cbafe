package build

import (
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/step"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

func TestLabels(t *testing.T) {
	added := map[string]string{
		"architecture": "aarch64", "build-date": "2026-01-02T03:04:05Z", "vcs-ref": "c0ffee", "vcs-type": "git", "vcs-url": "https://g/app",
	}
	with := func(more map[string]string) map[string]string {
		all := maps.Clone(added)
		maps.Copy(all, more)
		return all
	}
	for name, tc := range map[string]struct {
		options Options
		release string            // what prepare has made of it
		base    map[string]string // labels of the parent
		set     map[string]string // what prepare says that the Dockerfile sets
		made    map[string]string // what the engine made of it
		want    map[string]string
	}{
		"none":                           {want: added},
		"the Dockerfile's win":           {made: map[string]string{"vcs-ref": "mine", "name": "n"}, want: with(map[string]string{"vcs-ref": "mine", "name": "n"})},
		"the base's are replaced":        {base: map[string]string{"vcs-ref": "of-base", "vendor": "v"}, made: map[string]string{"vcs-ref": "of-base", "vendor": "v"}, want: with(map[string]string{"vendor": "v"})},
		"set to what the base has":       {base: map[string]string{"vcs-type": "hg"}, set: map[string]string{"vcs-type": "hg"}, made: map[string]string{"vcs-type": "hg"}, want: with(map[string]string{"vcs-type": "hg"})},
		"set to another than the base's": {base: map[string]string{"vcs-ref": "of-base"}, made: map[string]string{"vcs-ref": "mine"}, want: with(map[string]string{"vcs-ref": "mine"})},
		"a timestamp wins":               {options: Options{Release: "7"}, release: "7.20191007151825", made: map[string]string{"release": "1"}, want: with(map[string]string{"release": "7.20191007151825"})},
		"the user's win": {
			options: Options{Release: "7", Component: "c", Architecture: "a"}, made: map[string]string{"release": "1", "com.redhat.component": "x", "architecture": "y"},
			want: with(map[string]string{"release": "7", "com.redhat.component": "c", "architecture": "a"}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.options.Env = step.Env{}.WithDefaults()
			in := input{
				clone:   workspace.Clone{URL: "https://user:password@g/app"},
				prepare: workspace.Prepare{Commit: "c0ffee", CommitTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Labels: tc.set, Release: tc.release},
				bases:   workspace.DetectBase{Platform: "linux/arm64/v8"},
			}
			if tc.base != nil {
				in.bases.Bases = []workspace.Base{{Parent: true, Labels: tc.base}}
			}
			got := tc.options.labels(in, tc.made)
			if got["vcs-url"] == "https://[redacted]@g/app" {
				got["vcs-url"] = "https://g/app"
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitPlatform(t *testing.T) {
	for in, want := range map[string][3]string{
		"linux/amd64": {"linux", "amd64", ""}, "linux/arm/v7": {"linux", "arm", "v7"}, "linux": {"linux", "", ""}, "": {},
	} {
		var got [3]string
		if got[0], got[1], got[2] = splitPlatform(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestTail(t *testing.T) {
	var out discard
	w := newTail(&out)
	for _, p := range []string{"STEP 1/2: RUN a\n", "one\n", "STEP 2/2: RUN b\n", "two\nthr", "ee\n"} {
		if _, err := w.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.text(); got != "two\nthree" {
		t.Errorf("tail = %q", got)
	}
	for range 10_000 {
		if _, err := w.Write([]byte("line\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.text(); len(got) != tailLines*len("line\n")-1 || len(w.end) > 8*tailBytes {
		t.Errorf("tail has %d bytes, %d kept", len(got), len(w.end))
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// FuzzBaseConfiguration: a base's configuration comes from a registry, and is refused or used, but never a panic.
func FuzzBaseConfiguration(f *testing.F) {
	f.Add([]byte(`{"config":{"Labels":{"a":"b"}},"history":[{"created_by":"x"}],"rootfs":{"diff_ids":[]}}`))
	f.Add([]byte(`{"config":null,"history":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(_ *testing.T, config []byte) {
		o := Options{Env: step.Env{}.WithDefaults()}
		in := input{bases: workspace.DetectBase{Platform: "linux/amd64"}, parent: baseImage{manifest: []byte(`{}`), config: config}}
		if _, _, err := in.parent.layersAndTime(); err != nil {
			return
		}
		if _, err := o.history(in, []byte(`[{"created_by":"a"}]`)); err != nil {
			return
		}
	})
}
