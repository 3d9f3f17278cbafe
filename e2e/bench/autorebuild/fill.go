package autorebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// workers make objects at a time.
const workers = 8

// each does something for every number below n, several at a time.
func each(ctx context.Context, n int, do func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

// digest is one that no image has; nobody asks a registry.
func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// move gives NAME:latest a digest, as an import does. The stream is created if need be.
func (s *site) move(ctx context.Context, name string, n int) error {
	streams := s.image.ImageV1().ImageStreams(s.name)
	stream, err := streams.Create(ctx, &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		if stream, err = streams.Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
	return s.setImage(ctx, stream, n)
}

// setImage sets the newest image of a stream's tag, and keeps the one before it in the history, as the API does.
func (s *site) setImage(ctx context.Context, stream *imagev1.ImageStream, n int) error {
	items := []imagev1.TagEvent{{
		Created: metav1.Now(), Image: digest(n), DockerImageReference: "registry.example.com/" + stream.Name + "@" + digest(n), Generation: int64(n),
	}}
	if len(stream.Status.Tags) > 0 {
		items = append(items, stream.Status.Tags[0].Items...)
	}
	stream.Status.Tags = []imagev1.NamedTagEventList{{Tag: "latest", Items: items}}
	_, err := s.image.ImageV1().ImageStreams(s.name).UpdateStatus(ctx, stream, metav1.UpdateOptions{})
	return err
}

// config is a build config that was built on digest 1 of its base.
func config(name, base string) *buildconfig.BuildConfig {
	image := "registry.example.com/" + base + "@" + digest(1)
	return &buildconfig.BuildConfig{
		Name: name, GitURL: "https://git.example.com/images/" + name, GitBranch: "main", GitCommit: fmt.Sprintf("%040x", len(name)),
		ImageStream: name, Tags: []string{"latest"}, Parameters: buildconfig.Parameters{User: "anne"},
		LastBuild: &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
		Triggers:  []buildconfig.Trigger{{ImageStreamTag: base + ":latest", LastTriggeredImage: image, LastBuiltImage: image}},
	}
}

func (s *site) createConfig(ctx context.Context, name, base string) error {
	cm, err := configmap.To(config(name, base))
	if err != nil {
		return err
	}
	return s.create(ctx, cm)
}

// createOld makes a build config that knows of its old runs, as the watcher has told it when they began.
func (s *site) createOld(ctx context.Context, name, base string) error {
	cm, err := configmap.To(config(name, base))
	if err != nil {
		return err
	}
	cm.Annotations[situation.AnnotationLastAutorebuild] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + " old"
	return s.create(ctx, cm)
}

func (s *site) create(ctx context.Context, cm *corev1.ConfigMap) error {
	_, err := s.kube.CoreV1().ConfigMaps(s.name).Create(ctx, cm, metav1.CreateOptions{})
	return err
}

// member is the name of the i-th of many.
func member(prefix string, i int) string { return fmt.Sprintf("%s%05d", prefix, i) }

// createConfigs makes n build configs on one base.
func (s *site) createConfigs(ctx context.Context, prefix string, n int, base string) error {
	return each(ctx, n, func(ctx context.Context, i int) error { return s.createConfig(ctx, member(prefix, i), base) })
}

// oldRun is a PipelineRun of a build config as it is when it has succeeded long ago: what the TriggerTemplate makes, and the status that
// Tekton gives it, filled up to RunSize with what stands for the copy of the Pipeline in it.
func (s *site) oldRun(i int, configName, base string) (*unstructured.Unstructured, error) {
	made, _, err := unstructured.NestedSlice(s.template.Object, "spec", "resourcetemplates")
	if err != nil {
		return nil, err
	}
	run := &unstructured.Unstructured{Object: made[0].(map[string]any)}
	unstructured.RemoveNestedField(run.Object, "spec", "status")
	run.SetName(fmt.Sprintf("%s-%05d", configName, i))
	run.SetLabels(merged(run.GetLabels(), event.LabelBuildConfig, configName))
	run.SetAnnotations(merged(run.GetAnnotations(), event.AnnotationBaseDigest, base+":latest="+digest(1)))
	status := oldStatus(run.GetName(), i)
	if err := unstructured.SetNestedField(run.Object, status, "status"); err != nil {
		return nil, err
	}
	text, err := json.Marshal(run)
	if err != nil {
		return nil, err
	}
	if missing := s.RunSize - len(text); missing > 0 {
		script := make([]byte, missing)
		for b := range script {
			script[b] = 'a' + byte(b%23)
		}
		status["pipelineSpec"] = map[string]any{"tasks": []any{map[string]any{
			"name": "all", "taskSpec": map[string]any{"steps": []any{map[string]any{"name": "all", "image": "x", "script": string(script)}}},
		}}}
		err = unstructured.SetNestedField(run.Object, status, "status")
	}
	return run, err
}

func merged(m map[string]string, key, value string) map[string]string {
	m[key] = value
	return m
}

// oldStatus is what Tekton, and the Pipeline's results, leave.
func oldStatus(name string, i int) map[string]any {
	ended := time.Now().Add(-time.Hour - time.Duration(i)*time.Second).UTC()
	began := ended.Add(-time.Minute)
	var children, results []any
	for _, stage := range []string{"clone", "detect-base", "lock", "prepare", "build", "push", "sync", "import"} {
		children = append(children, map[string]any{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": name + "-" + stage, "pipelineTaskName": stage})
	}
	for _, r := range []struct{ name, value string }{
		{"IMAGE_URL", "registry.example.com/team/" + name + ":1-1"}, {"IMAGE_DIGEST", digest(1)}, {"CHAINS-GIT_URL", "https://git.example.com/images/" + name},
		{"CHAINS-GIT_COMMIT", fmt.Sprintf("%040x", i)}, {"BASE_IMAGES", `[{"tag":"base:latest","image":"registry.example.com/base@` + digest(1) + `"}]`}, {"STATE", "built"},
	} {
		results = append(results, map[string]any{"name": r.name, "value": r.value})
	}
	return map[string]any{
		"startTime": began.Format(time.RFC3339), "completionTime": ended.Format(time.RFC3339),
		"conditions": []any{map[string]any{
			"type": "Succeeded", "status": "True", "reason": "Completed", "lastTransitionTime": ended.Format(time.RFC3339),
			"message": "Tasks Completed: 8 (Failed: 0, Cancelled 0), Skipped: 1",
		}},
		"childReferences": children, "results": results,
		"provenance": map[string]any{"featureFlags": map[string]any{
			"enableAPIFields": "stable", "enableProvenanceInStatus": true, "maxResultSize": int64(4096), "resultExtractionMethod": "termination-message",
			"runningInEnvWithInjectedSidecars": true, "coschedule": "workspaces", "setSecurityContext": false,
		}},
	}
}

// createRun makes a PipelineRun, and then its status, which the API takes only separately.
func (s *site) createRun(ctx context.Context, run *unstructured.Unstructured) error {
	runs := s.all.Resource(pipelineRuns).Namespace(s.name)
	status := run.Object["status"]
	delete(run.Object, "status")
	created, err := runs.Create(ctx, run, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	created.Object["status"] = status
	_, err = runs.UpdateStatus(ctx, created, metav1.UpdateOptions{})
	return err
}
