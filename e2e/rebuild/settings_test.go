//go:build e2e

package rebuild

import (
	"fmt"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
)

// Another installation, with other settings, serves these.
func TestSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t, "{max_concurrent: 2, rate: 1000}", "early_cutoff: false\n")
	t.Run("two at a time", func(t *testing.T) { twoAtATime(s.within(t)) })
	t.Run("the same content is pushed", func(t *testing.T) { unchangedIsPushed(s.within(t)) })
	s.kept()
}

// Of six images that are to be rebuilt, two are at a time.
func twoAtATime(s *site) {
	first := s.move("common", map[string]string{"content": "one\n"})
	images := make([]*image, 6)
	for n := range images {
		images[n] = s.newImage(fmt.Sprintf("image%d", n), "FROM "+s.Reference("common:1"), "RUN cp /content /kept")
		s.pretend(images[n], "common", first)
	}
	second := s.move("common", map[string]string{"content": "two\n"})
	s.settled(images...)
	var runs []v1.PipelineRun
	for _, i := range images {
		run := s.expect(i, 1)[0]
		i.rebuilt(run, cause{base: s.stream("common") + ":1", from: first, to: second}, "2")
		runs = append(runs, run)
	}
	if n := atOnce(runs); n != 2 {
		s.T.Errorf("%d rebuilds ran at once", n)
	}
}

// pretend writes down that an image was built on a base, so that no user need build it first.
func (s *site) pretend(i *image, base, digest string) {
	s.T.Helper()
	on := s.Reference(base) + "@" + digest
	object, err := configmap.To(&buildconfig.BuildConfig{
		Name: i.config, GitURL: i.repository.URL, GitBranch: "main", GitCommit: i.repository.Committed(), ImageStream: s.stream(i.name), Tags: []string{"latest", "1.0"},
		Triggers:  []buildconfig.Trigger{{ImageStreamTag: s.stream(base) + ":1", LastTriggeredImage: on, LastBuiltImage: on}},
		LastBuild: &buildconfig.LastBuild{Name: "before", Outcome: buildconfig.Succeeded},
	})
	s.Must(err)
	_, err = s.Kube.CoreV1().ConfigMaps(s.Name).Create(s.T.Context(), object, metav1.CreateOptions{})
	s.Must(err)
}

// atOnce is how many builds ran at the same time, at most. The API tells whole seconds; a build that began in the second in which another ended
// did not run beside it.
func atOnce(runs []v1.PipelineRun) int {
	most := 0
	for _, began := range runs {
		n := 0
		for _, other := range runs {
			if !other.CreationTimestamp.After(began.CreationTimestamp.Time) && other.Status.CompletionTime.After(began.CreationTimestamp.Time) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}
