//go:build e2e

package rebuild

import (
	"maps"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
)

// sameContent are an image of two stages, whose first base moves without what the second takes from it, and one that is built on it.
type sameContent struct {
	made, above   *image
	first, second string
	head          string
}

func (s *site) sameContent() sameContent {
	first := s.PushBase(s.Reference("workshop:1"), map[string]string{"tool": "one\n", "version": "1\n"})
	still := s.PushBase(s.Reference("still:1"), map[string]string{"content": "one\n"})
	made := s.newImage("made", "FROM "+s.Reference("workshop:1")+" AS workshop", "RUN cp /tool /made", "FROM "+s.Reference("still:1"), "COPY --from=workshop /made /made")
	above := s.newImage("above", "FROM "+made.latest(), "RUN cp /made /above")
	s.build(made)
	s.build(above)
	s.watched("workshop", first)
	s.watched("still", still)
	head := made.repository.Head()
	second := s.move("workshop", map[string]string{"tool": "one\n", "version": "2\n"})
	return sameContent{made, above, first, second, head}
}

// A rebuild that makes the image that is there already moves nothing, so that nothing else is rebuilt.
func unchanged(s *site) {
	c := s.sameContent()
	s.settled(c.made, c.above)
	run := s.expect(c.made, 1)[0]
	c.made.caused(run, cause{base: s.stream("workshop") + ":1", from: c.first, to: c.second})
	if got := s.Succeeded(run.Name); got["UNCHANGED"] != "true" || got["IMAGE_DIGEST"] != "" || got["TAGS"] != "" {
		s.T.Errorf("the results are %q", got)
	}
	s.Until("the build config to know", streamTime, s.lastBuild(c.made, run.Name, buildconfig.Unchanged))
	c.made.names(c.made.digest)
	s.expect(c.above, 0)
	if tags := s.Tags(c.made.name); len(tags) != 4 { // unique, primary and two floating ones
		s.T.Errorf("the tags are %q", tags)
	}
	if now := c.made.repository.Head(); now != c.head {
		s.T.Errorf("the branch was at %s, and is at %s", c.head, now)
	}
	// What is different the next time is built on the newest.
	third := s.move("workshop", map[string]string{"tool": "two\n", "version": "3\n"})
	s.settled(c.made, c.above)
	run = s.expect(c.made, 2)[1]
	c.made.caused(run, cause{base: s.stream("workshop") + ":1", from: c.second, to: third})
	s.expect(c.above, 1)
	c.above.says("above", "two\n")
}

// Where that is switched off, the same content is pushed, and what is built on it is rebuilt.
func unchangedIsPushed(s *site) {
	c := s.sameContent()
	s.settled(c.made, c.above)
	run := s.expect(c.made, 1)[0]
	got := s.Succeeded(run.Name)
	if got["UNCHANGED"] != "false" || got["IMAGE_DIGEST"] == "" {
		s.T.Errorf("the results are %q", got)
	}
	c.made.names(got["IMAGE_DIGEST"])
	above := s.expect(c.above, 1)[0]
	c.above.rebuilt(above, cause{base: s.stream("made") + ":latest", from: c.made.digest, to: got["IMAGE_DIGEST"], by: run.Name}, "2")
}

// A rebuild for what a base was once, as of an event that somebody has sent again, moves nothing.
func (s *site) outdated(i *image, old v1.PipelineRun, rebuilds int) {
	s.T.Helper()
	before, head := s.Tags(i.name), i.repository.Head()
	digest := s.tag(i.name, "latest").Image
	again := &v1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{GenerateName: i.config + "-", Labels: maps.Clone(old.Labels), Annotations: maps.Clone(old.Annotations)},
		Spec:       *old.Spec.DeepCopy(),
	}
	created, err := s.Runs.TektonV1().PipelineRuns(s.Name).Create(s.T.Context(), again, metav1.CreateOptions{})
	s.Must(err)
	if got := s.Succeeded(created.Name); got["STATE"] != "skipped" || got["IMAGE_DIGEST"] != "" {
		s.T.Errorf("the results are %q", got)
	}
	if said := s.Logs(created.Name, "lock"); !strings.Contains(said, "outdated") {
		s.T.Errorf("lock says %q", said)
	}
	s.expect(i, rebuilds)
	i.names(digest)
	if now := s.Tags(i.name); len(now) != len(before) || i.repository.Head() != head {
		s.T.Errorf("tags %q, now %q; the branch was at %s, now at %s", before, now, head, i.repository.Head())
	}
	s.settled(i)
}
