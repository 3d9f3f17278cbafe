//go:build e2e

package autorebuild

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osbs-tekton/osbs/e2e/testbed"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/forecast"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// osbsAs runs the program as the user of a kubeconfig.
func (s *site) osbsAs(kubeconfig string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	conf := filepath.Join(s.t.TempDir(), "osbs.conf")
	s.must(os.WriteFile(conf, []byte("[general]\n\n[cluster]\nnamespace = "+s.Name+"\n"), 0o600))
	c := exec.CommandContext(s.t.Context(), testbed.Osbs().Path(s.t), append([]string{"--config", conf, "-i", "cluster"}, args...)...)
	c.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "NO_COLOR=1")
	var out, log bytes.Buffer
	c.Stdout, c.Stderr = &out, &log
	if err := c.Run(); c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), log.String(), c.ProcessState.ExitCode()
}

// built has a PipelineRun of a build config that has succeeded after a time.
func (s *site) built(config string, took time.Duration) {
	s.t.Helper()
	runs := s.all.Resource(pipelineRuns).Namespace(s.Name)
	run := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
		"metadata": map[string]any{"name": config + "-0", "labels": map[string]any{event.LabelBuildConfig: config}},
		"spec":     map[string]any{"pipelineRef": map[string]any{"name": "none"}, "managedBy": "osbs.dev/test"}, // Tekton leaves it alone
	}}
	_, err := runs.Create(s.t.Context(), run, metav1.CreateOptions{})
	s.must(err)
	began := time.Now().UTC().Truncate(time.Second)
	s.until("the PipelineRun has ended", time.Minute, func() bool {
		stored, err := runs.Get(s.t.Context(), run.GetName(), metav1.GetOptions{})
		s.must(err)
		s.must(unstructured.SetNestedMap(stored.Object, map[string]any{
			"startTime": began.Format(time.RFC3339), "completionTime": began.Add(took).Format(time.RFC3339),
			"conditions": []any{map[string]any{
				"type": "Succeeded", "status": "True", "reason": "Succeeded", "lastTransitionTime": began.Add(took).Format(time.RFC3339),
			}},
		}, "status"))
		_, err = runs.UpdateStatus(s.t.Context(), stored, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) {
			s.t.Fatal(err)
		}
		return err == nil
	})
}

// foreign is a build config on shared:1 of another namespace.
func (s *site) foreign(name, namespace string) {
	s.t.Helper()
	image := "r.example.com/shared@" + digest(1)
	cm, err := configmap.To(&buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", LastBuild: &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
		Triggers: []buildconfig.Trigger{{ImageStreamTag: "shared:1", Namespace: namespace, LastTriggeredImage: image, LastBuiltImage: image}},
	})
	s.must(err)
	_, err = s.Kube.CoreV1().ConfigMaps(s.Name).Create(s.t.Context(), cm, metav1.CreateOptions{})
	s.must(err)
}

// bounded makes a watcher's Deployment, which runs nothing.
func (s *site) bounded(concurrent, rate int) {
	s.t.Helper()
	none := int32(0)
	labels := map[string]string{"app": "imagewatch"}
	_, err := s.Kube.AppsV1().Deployments(s.Name).Create(s.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "osbs-imagewatch"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "imagewatch", Image: "none", Args: []string{fmt.Sprintf("-max-concurrent=%d", concurrent), fmt.Sprintf("-rate=%d", rate)},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	s.must(err)
}

// Who may only look sees what is stale, why, in which order it is rebuilt, what it takes, and what he may not see.
func TestLookingAhead(t *testing.T) {
	t.Parallel()
	s := newSite(t, false)
	other := testbed.NewNamespace(t, "autorebuild-other", nil)
	s.move("base", 2)
	s.move("still", 1)
	s.config("app", "base")
	s.config("beside", "base")
	s.config("top", "app", "beside")
	s.config("fresh", "still")
	s.foreign("foreign", other.Name)
	shared := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "shared"}}
	shared, err := s.image.ImageV1().ImageStreams(other.Name).Create(t.Context(), shared, metav1.CreateOptions{})
	s.must(err)
	shared.Status.Tags = []imagev1.NamedTagEventList{{Tag: "1", Items: []imagev1.TagEvent{{
		Created: metav1.Now(), Image: digest(5), DockerImageReference: "r.example.com/shared@" + digest(5),
	}}}}
	_, err = s.image.ImageV1().ImageStreams(other.Name).UpdateStatus(t.Context(), shared, metav1.UpdateOptions{})
	s.must(err)
	s.built("app", 90*time.Second)
	s.bounded(1, 0)
	viewer := s.User(t, "view")

	text, stderr, code := s.osbsAs(viewer, "plan")
	for _, want := range []string{
		`(?m)^WAVE +BUILD CONFIG +IMAGE +VERDICT +TOOK$`, `(?m)^1 +app +app:latest +ready +1m30s$`, `(?m)^1 +beside +beside:latest +queued$`,
		`base:latest  000000000000 -> 000000000000`, `over the budget of 1 build at once`, `(?m)^2 +top +top:latest +waiting$`,
		`app:latest  moves when app is built`, `3 of 5 build configs: 3 builds in 2 waves`, `about 4m30s in all, 1 at once`,
		`not read: listing ImageStreams in namespace ` + other.Name + `: .*forbidden`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("osbs plan lacks %s", want)
		}
	}
	if code != 0 || stderr != "" || t.Failed() {
		t.Errorf("osbs plan ends with %d:\n%s%s", code, text, stderr)
	}
	plan := said[forecast.Plan](t, s, viewer, "plan")
	if len(plan.Rebuilds) != 3 || plan.Rebuilds[0].Verdict != rebuild.Ready || plan.Rebuilds[0].LastTookBuild != "app-0" || plan.Rebuilds[0].LastTookSeconds != 90 ||
		plan.Bounds == nil || plan.Bounds.Concurrent != 1 || plan.Rebuilds[2].Wave != 2 || !slices.ContainsFunc(plan.Unread, func(text string) bool { return strings.Contains(text, other.Name) }) {
		t.Errorf("osbs plan --output json: %+v", plan)
	}
	preview := said[forecast.Plan](t, s, viewer, "plan", "--base", s.Name+"/still:latest@"+digest(9))
	if len(preview.Rebuilds) != 1 || preview.Rebuilds[0].BuildConfig != "fresh" || preview.Base.CurrentDigest != digest(1) || preview.Rebuilds[0].Reasons[0].NewDigest != digest(9) {
		t.Errorf("osbs plan --base: %+v", preview)
	}
	if _, stderr, code := s.osbsAs(viewer, "plan", "--base", "sill"); code != failure.NotFound.ExitCode() || !strings.Contains(stderr, "did you mean still:latest?") {
		t.Errorf("osbs plan --base sill ends with %d: %s", code, stderr)
	}

	text, _, code = s.osbsAs(viewer, "graph")
	for _, want := range []string{`(?m)^base:latest +0{12}$`, `(?m)^├─ app:latest \(app\) +stale, ready$`, `(?m)^│  └─ top:latest \(top\) +waiting$`, `see above`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("osbs graph lacks %s", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Errorf("osbs graph ends with %d:\n%s", code, text)
	}
	// Who may read the other namespace, too, sees what has moved there.
	graph := said[forecast.Graph](t, s, os.Getenv("KUBECONFIG"), "graph", "foreign")
	if len(graph.Images) != 2 || !graph.Images[1].Stale || graph.Images[1].Bases[0].ImageStreamTag != other.Name+"/shared:1" || graph.Images[1].Bases[0].Digest != digest(5) {
		t.Errorf("osbs graph foreign: %+v", graph)
	}
	if svg, _, code := s.osbsAs(viewer, "graph", "--output", "svg"); code != 0 || !strings.HasPrefix(svg, "<svg ") || !strings.Contains(svg, "<title>app:latest (app): stale, ready</title>") {
		t.Errorf("osbs graph --output svg ends with %d:\n%s", code, svg)
	}
}

// said is the JSON of a command.
func said[T any](t *testing.T, s *site, kubeconfig string, args ...string) *T {
	t.Helper()
	text, stderr, code := s.osbsAs(kubeconfig, append(args, "--output", "json")...)
	out := new(T)
	if err := json.Unmarshal([]byte(text), out); err != nil || code != 0 {
		t.Fatalf("osbs %s ends with %d: %v\n%s%s", args, code, err, text, stderr)
	}
	return out
}
