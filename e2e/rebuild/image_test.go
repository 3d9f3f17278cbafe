//go:build e2e

package rebuild

import (
	"slices"
	"strings"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/e2e/testsite"
	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// image is one that is built from a repository of its own.
type image struct {
	s          *site
	name       string
	repository *testsite.Repository
	// config is the build config's name, digest that of the image which the user built.
	config, digest string
}

// newImage makes a repository whose Dockerfile has the instructions, and the labels after them.
func (s *site) newImage(name string, instructions ...string) *image {
	s.T.Helper()
	text := strings.Join(instructions, "\n") + "\n" + s.Labels(name)
	i := &image{s: s, name: name, repository: s.NewRepository(name, map[string]string{"Dockerfile": text})}
	i.config = buildconfig.Name(i.repository.URL, "main")
	return i
}

// build has a user build images, all at the same time.
func (s *site) build(images ...*image) {
	s.T.Helper()
	runs := make([]string, len(images))
	for n, i := range images {
		runs[n] = s.Start(testsite.Values{"git-url": i.repository.URL, "git-branch": "main", "user": "developer"})
	}
	for n, i := range images {
		i.digest = s.Succeeded(runs[n])["IMAGE_DIGEST"]
	}
}

// latest is the image's floating tag.
func (i *image) latest() string { return i.s.Reference(i.name + ":latest") }

// rebuilds are the PipelineRuns that events have started, the oldest first.
func (i *image) rebuilds() []v1.PipelineRun {
	i.s.T.Helper()
	selector := event.LabelBuildConfig + "=" + i.config + "," + event.LabelAutorebuild + "=true"
	list, err := i.s.Runs.TektonV1().PipelineRuns(i.s.Name).List(i.s.T.Context(), metav1.ListOptions{LabelSelector: selector})
	i.s.Must(err)
	slices.SortFunc(list.Items, byCreation)
	return list.Items
}

// cause is why an image was rebuilt.
type cause struct{ base, from, to, by string }

// rebuilt fails the test if a rebuild is not what it should be: for this cause, with this release, on this base, in git, in the registry and in
// the ImageStream. It returns the digest.
func (i *image) rebuilt(run v1.PipelineRun, why cause, release string) string {
	i.s.T.Helper()
	i.caused(run, why)
	got := i.s.Succeeded(run.Name)
	digest := got["IMAGE_DIGEST"]
	if got["STATE"] != "build" || digest == "" || got["CHAINS-GIT_COMMIT"] != i.repository.Head() {
		i.s.T.Errorf("%s: the results are %q, the branch is at %s", i.name, got, i.repository.Head())
	}
	i.names(digest)
	manifest, err := i.s.Pull(i.latest()).Manifest()
	i.s.Must(err)
	if on := manifest.Annotations["org.opencontainers.image.base.digest"]; on != why.to {
		i.s.T.Errorf("%s is built on %s, want %s", i.name, on, why.to)
	}
	if labels := i.s.Config(i.latest()).Config.Labels; labels["release"] != release || !slices.Contains(i.s.Tags(i.name), "1.0-"+release) {
		i.s.T.Errorf("%s has release %q and the tags %q, want %s", i.name, labels["release"], i.s.Tags(i.name), release)
	}
	i.repository.Git("fetch", "--quiet", i.repository.URL, "main")
	if said := i.repository.Git("log", "-1", "--format=%s", "FETCH_HEAD"); said != "Bumped release for automated rebuild" {
		i.s.T.Errorf("the last commit of %s is %q", i.name, said)
	}
	if text := i.repository.Git("show", "FETCH_HEAD:Dockerfile"); !strings.Contains(text, `release="`+release+`"`) {
		i.s.T.Errorf("the Dockerfile of %s does not have release %s:\n%s", i.name, release, text)
	}
	return digest
}

// caused compares what a PipelineRun says it is for.
func (i *image) caused(run v1.PipelineRun, why cause) {
	i.s.T.Helper()
	for key, want := range map[string]string{
		event.AnnotationReason: string(rebuild.BaseMoved), event.AnnotationBase: why.base, event.AnnotationBaseOldDigest: why.from,
		event.AnnotationBaseNewDigest: why.to, event.AnnotationCausedBy: why.by,
	} {
		if got := run.Annotations[key]; got != want {
			i.s.T.Errorf("%s: the annotation %s of %s is %q, want %q", i.name, key, run.Name, got, want)
		}
	}
}

// names fails the test if a digest is not what the floating tags and the ImageStream name.
func (i *image) names(digest string) {
	i.s.T.Helper()
	for _, tag := range []string{"latest", "1.0"} {
		registry, stream := i.s.Digest(i.s.Reference(i.name+":"+tag)), i.s.tag(i.name, tag).Image
		if registry != digest || stream != digest {
			i.s.T.Errorf("%s:%s is %s in the registry and %s in the ImageStream, want %s", i.name, tag, registry, stream, digest)
		}
	}
}

// says fails the test if a file of the image does not have the text.
func (i *image) says(file, want string) {
	i.s.T.Helper()
	if got := i.s.ReadFile(i.latest(), file); got != want {
		i.s.T.Errorf("/%s of %s says %q, want %q", file, i.name, got, want)
	}
}
