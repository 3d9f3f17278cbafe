//go:build e2e

package autorebuild

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// A base moves: one PipelineRun, with what it is for.
func TestOneChangeOneBuild(t *testing.T) {
	t.Parallel()
	s := newSite(t, true)
	s.move("base", 1)
	s.config("app", "base")
	s.config("top", "app")
	s.watch()
	s.quiet(5 * time.Second)
	s.exactly(0)
	s.move("base", 2)
	s.expect(1, time.Minute)
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(t.Context(), metav1.ListOptions{LabelSelector: event.LabelBuildConfig + "=app"})
	s.must(err)
	if len(list.Items) != 1 {
		t.Fatalf("%d PipelineRuns of app", len(list.Items))
	}
	run := list.Items[0]
	for key, want := range map[string]string{
		event.AnnotationBaseDigest: "base:latest=" + digest(2), event.AnnotationReason: string(rebuild.BaseMoved), event.AnnotationBase: "base:latest",
		event.AnnotationBaseOldDigest: digest(1), event.AnnotationBaseNewDigest: digest(2), event.AnnotationCausedBy: "",
	} {
		if got := run.GetAnnotations()[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	if !strings.HasPrefix(run.GetName(), "app-") || run.GetLabels()[event.LabelAutorebuild] != "true" {
		t.Errorf("%s with labels %v", run.GetName(), run.GetLabels())
	}
	s.until("the build config knows", time.Minute, func() bool { return s.tried("app") == digest(2) })
	s.quiet(10 * time.Second)
	s.exactly(1) // top waits for app
}
