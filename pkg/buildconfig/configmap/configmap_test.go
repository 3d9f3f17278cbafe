package configmap

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

var ignoreStored = cmpopts.IgnoreFields(buildconfig.BuildConfig{}, "Stored")

func full() *buildconfig.BuildConfig {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	return &buildconfig.BuildConfig{
		Name: "app-main-12345", GitURL: "https://git.example.com/team/app.git", GitBranch: "feature/x", GitCommit: "0123",
		Parameters: buildconfig.Parameters{
			Dockerfile: "Containerfile", DockerfileTarget: "final", BuildArgs: []string{"A=1", "B=two words"}, Platform: "linux/amd64",
			Architecture: "x86_64", Component: "app-container", Target: "rhel", User: "anne", RepoConfig: ".osbs-repo-config",
			BumpRelease: "after-build", Format: "oci", Compression: "gzip", SourceRegistryURI: "r.example.com", Pipeline: "osbs",
			Extra: map[string]string{"scan": "yes"},
		},
		Triggers: []buildconfig.Trigger{
			{ImageStreamTag: "base:latest", LastTriggeredImage: "r/base@sha256:aa", LastTriggeredManifest: "sha256:ab", LastTriggerTime: at, LastBuiltImage: "r/base@sha256:99"},
			{ImageStreamTag: "tools:1", Namespace: "openshift", Paused: true},
		},
		ImageStream: "app", Tags: []string{"1.0", "latest"}, Paused: true, Disabled: true,
		Requested:       &buildconfig.Request{Time: at.Add(123456789), User: "anne"},
		LastBuild:       &buildconfig.LastBuild{Name: "app-1", Outcome: buildconfig.Failed, Autorebuild: true, Ended: at, Message: "RUN failed\nsecond line"},
		ResourceVersion: "42",
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for name, bc := range map[string]*buildconfig.BuildConfig{"full": full(), "empty": {Name: "x"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm, err := To(bc)
			if err != nil {
				t.Fatal(err)
			}
			data, err := yaml.Marshal(cm)
			if err != nil {
				t.Fatal(err)
			}
			var stored corev1.ConfigMap
			if err := yaml.UnmarshalStrict(data, &stored); err != nil {
				t.Fatal(err)
			}
			got, err := From(&stored)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bc, got, ignoreStored); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for key, value := range cm.Labels {
				if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
					t.Errorf("label %s=%q: %v", key, value, errs)
				}
			}
		})
	}
}

func TestTriggersAreOpenShifts(t *testing.T) {
	t.Parallel()
	cm, err := To(full())
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal([]byte(cm.Annotations["image.openshift.io/triggers"]), &got); err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{
			"from":               map[string]any{"kind": "ImageStreamTag", "name": "base:latest"},
			"lastTriggeredImage": "r/base@sha256:aa", "lastTriggerTime": "2026-05-04T03:02:01Z",
			"lastTriggeredManifest": "sha256:ab", "lastBuiltImage": "r/base@sha256:99",
		},
		map[string]any{"from": map[string]any{"kind": "ImageStreamTag", "name": "tools:1", "namespace": "openshift"}, "paused": true},
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// An update in OSBS once wiped the labels that others had set.
func TestUpdateKeepsWhatOthersStored(t *testing.T) {
	t.Parallel()
	cm, err := To(full())
	if err != nil {
		t.Fatal(err)
	}
	cm.Labels["team"], cm.Annotations["contact"], cm.Data["notes"] = "blue", "anne@example.com", "keep me"
	cm.BinaryData = map[string][]byte{"logo": {1, 2}}
	cm.OwnerReferences = []metav1.OwnerReference{{Name: "owner"}}
	cm.Data["parameters"] = `{"dockerfile":"Containerfile","theirs":{"deep":[1]},"user":"anne"}`
	cm.Annotations[AnnotationTriggers] = `[{"from":{"kind":"ImageStreamTag","name":"base:latest","apiVersion":"v1"},"fieldPath":"spec.x","paused":true},
		{"from":{"kind":"SomethingElse","name":"y"},"own":1}]`
	bc, err := From(cm)
	if err != nil {
		t.Fatal(err)
	}
	bc.Parameters.User = ""
	bc.Triggers[0].Paused, bc.Triggers[0].LastTriggeredImage = false, "r/base@sha256:bb"
	bc.LastBuild = nil
	got, err := To(bc)
	if err != nil {
		t.Fatal(err)
	}
	want := cm.DeepCopy()
	want.Data["parameters"] = `{"dockerfile":"Containerfile","theirs":{"deep":[1]}}`
	delete(want.Data, "last-build")
	want.Annotations[AnnotationTriggers] = `[{"fieldPath":"spec.x","from":{"kind":"ImageStreamTag","name":"base:latest","apiVersion":"v1"},"lastTriggeredImage":"r/base@sha256:bb"},` +
		`{"from":{"kind":"SomethingElse","name":"y"},"own":1}]`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*corev1.ConfigMap){
		"triggers": func(cm *corev1.ConfigMap) { cm.Annotations[AnnotationTriggers] = "[" },
		"trigger without name": func(cm *corev1.ConfigMap) {
			cm.Annotations[AnnotationTriggers] = `[{"from":{"kind":"ImageStreamTag"}}]`
		},
		"trigger time": func(cm *corev1.ConfigMap) {
			cm.Annotations[AnnotationTriggers] = `[{"from":{"kind":"ImageStreamTag","name":"a:b"},"lastTriggerTime":"now"}]`
		},
		"request":    func(cm *corev1.ConfigMap) { cm.Annotations[AnnotationRequested] = "now please" },
		"no user":    func(cm *corev1.ConfigMap) { cm.Annotations[AnnotationRequested] = "2026-05-04T03:02:01Z" },
		"parameters": func(cm *corev1.ConfigMap) { cm.Data["parameters"] = "x" },
		"last build": func(cm *corev1.ConfigMap) { cm.Data["last-build"] = "[]" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm, err := To(full())
			if err != nil {
				t.Fatal(err)
			}
			change(cm)
			if _, err := From(cm); failure.KindOf(err) != failure.InvalidInput {
				t.Errorf("error %v has the kind %s, want %s", err, failure.KindOf(err), failure.InvalidInput)
			}
		})
	}
}

func FuzzFrom(f *testing.F) {
	f.Add(`[{"from":{"kind":"ImageStreamTag","name":"a:b"}}]`, `{"user":"x"}`, `{"name":"y"}`, "main")
	f.Add(`[null]`, `null`, `null`, "")
	f.Add(`null`, `[]`, `{}`, "Ü/..//-")
	f.Fuzz(func(t *testing.T, triggers, parameters, last, branch string) {
		cm := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "x", Annotations: map[string]string{AnnotationTriggers: triggers}},
			Data:       map[string]string{"parameters": parameters, "last-build": last, "git-branch": branch},
		}
		bc, err := From(cm)
		if err != nil {
			return
		}
		again, err := To(bc)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range again.Labels {
			if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
				t.Errorf("label %s=%q: %v", key, value, errs)
			}
		}
		if _, err := From(again); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
	})
}
