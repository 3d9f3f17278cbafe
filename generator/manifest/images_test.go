package manifest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const withImages = `apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: t
spec:
  params:
  - name: image
    default: scanner:1
  steps:
  - name: a
    image: ko://github.com/osbs-tekton/osbs/cmd/clone
    args:
    - -watch=ko://not-alone
  - name: b
    image: scanner:1
  - name: c
    image: ko://github.com/osbs-tekton/osbs/cmd/push
`

func TestResolve(t *testing.T) {
	const ko = "ko://github.com/osbs-tekton/osbs/cmd/"
	both := map[string]string{ko + "clone": "quay.io/osbs/clone@" + digest, ko + "push": "quay.io/osbs/push-x@" + digest}
	for name, tc := range map[string]struct {
		images            map[string]string
		registry, version string
		clone, scan, push string
		err               string
	}{
		"nothing asked": {clone: ko + "clone", scan: "scanner:1", push: ko + "push"},
		"images":        {images: both, clone: "quay.io/osbs/clone@" + digest, scan: "scanner:1", push: "quay.io/osbs/push-x@" + digest},
		"registry": {
			registry: "registry.example.com:5000/osbs/", version: "v1.2.3", clone: "registry.example.com:5000/osbs/clone:v1.2.3", scan: "scanner:1",
			push: "registry.example.com:5000/osbs/push:v1.2.3",
		},
		"both": {
			images: both, registry: "registry.example.com/m", clone: "registry.example.com/m/clone@" + digest, scan: "scanner:1",
			push: "registry.example.com/m/push@" + digest,
		},
		"another image": {
			images: map[string]string{"scanner:1": "registry.example.com/scanner@" + digest}, registry: "r.example.com", version: "1",
			clone: "r.example.com/clone:1", scan: "registry.example.com/scanner@" + digest, push: "r.example.com/push:1",
		},
		"all that is missing": {
			images: map[string]string{"ko://x": "x@" + digest},
			err:    "images: there is none for " + ko + "clone\nimages: there is none for " + ko + "push",
		},
		"no digest":              {images: map[string]string{ko + "clone": "x:1", ko + "push": "x@" + digest}, err: `images: ` + ko + `clone: "x:1" is no IMAGE@sha256:DIGEST`},
		"registry with a scheme": {registry: "https://r.example.com", err: `--registry "https://r.example.com" is no place for images`},
		"no version":             {registry: "r.example.com", err: "no version for a tag"},
		"version is no tag":      {registry: "r.example.com", version: "1+x", err: "is no image"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := Read("f", strings.NewReader(withImages))
			if err != nil {
				t.Fatal(err)
			}
			err = Resolve(objects, tc.images, tc.registry, tc.version)
			if tc.err != "" {
				if failure.KindOf(err) != failure.Usage || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("got  %v\nwant %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("image: "+ko+"clone", "image: "+tc.clone, "image: scanner:1", "image: "+tc.scan, "image: "+ko+"push", "image: "+tc.push).
				Replace(withImages)
			if diff := cmp.Diff(want, objects[0].MustString()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadImages(t *testing.T) {
	got, err := ReadImages("images.yaml", strings.NewReader("# of the release\nko://a/b: x.example.com/b@"+digest+"\n"))
	if diff := cmp.Diff(map[string]string{"ko://a/b": "x.example.com/b@" + digest}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"":                          "images.yaml:1: this is no mapping of ko://PACKAGE to IMAGE@DIGEST",
		"- a\n":                     "images.yaml:1: this is no mapping of ko://PACKAGE to IMAGE@DIGEST",
		"a: b:1\nc: [d]\ne: x@y\n":  "images.yaml:1: a: \"b:1\" is no IMAGE@sha256:DIGEST\nimages.yaml:2: c: \"\" is no IMAGE@sha256:DIGEST\nimages.yaml:3: e: \"x@y\" is no IMAGE@sha256:DIGEST",
		"a: x@" + digest + "\na: y": `images.yaml:2: the key "a" stands here twice`,
	} {
		if _, err := ReadImages("images.yaml", strings.NewReader(text)); failure.KindOf(err) != failure.Usage || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}
