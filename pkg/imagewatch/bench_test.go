package imagewatch

import (
	"fmt"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/buildconfig/configmap"
	"github.com/osbs-tekton/osbs/pkg/situation"
)

// BenchmarkTurn is what a turn of the leader takes in a namespace with 10,000 build configs, 10,000 ImageStreams and 50,000 old
// PipelineRuns, when a build config has been written.
func BenchmarkTurn(b *testing.B) {
	const configs, runs = 10_000, 50_000
	var o situation.Objects
	byName := map[string]*situation.PipelineRun{}
	o.Run = func(name string) *situation.PipelineRun { return byName[name] }
	for i := range configs {
		name, base := fmt.Sprintf("app%05d", i), fmt.Sprintf("group%02d", i%10)
		image := "r.example.com/" + base + "@" + digestOf(1)
		cm, err := configmap.To(&buildconfig.BuildConfig{
			Name: name, GitURL: "https://git.example.com/" + name, GitBranch: "main", ImageStream: name, Tags: []string{"latest"},
			LastBuild: &buildconfig.LastBuild{Name: name + "-0", Outcome: buildconfig.Succeeded},
			Triggers:  []buildconfig.Trigger{{ImageStreamTag: base + ":latest", LastTriggeredImage: image, LastBuiltImage: image}},
		})
		if err != nil {
			b.Fatal(err)
		}
		cm.ResourceVersion = "1"
		o.Configs = append(o.Configs, cm)
		s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: space}}
		s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "latest", Items: []imagev1.TagEvent{{Image: digestOf(1), Created: metav1.NewTime(noon), Generation: 1}}}}
		o.Streams = append(o.Streams, s)
	}
	for i := range 10 {
		s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("group%02d", i), Namespace: space}}
		s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "latest", Items: []imagev1.TagEvent{{Image: digestOf(1 + i%2), Created: metav1.NewTime(noon), Generation: 1}}}}
		o.Streams = append(o.Streams, s)
	}
	for i := range runs {
		run := &situation.PipelineRun{}
		config := fmt.Sprintf("app%05d", i%configs)
		run.Name, run.Namespace, run.CreationTimestamp = fmt.Sprintf("%s-%05d", config, i), space, metav1.NewTime(noon.Add(time.Duration(i)*time.Second))
		run.Facts = situation.Facts{BuildConfig: config, Autorebuild: true, BaseDigest: "group:latest=" + digestOf(1), State: situation.Succeeded, Digest: digestOf(1)}
		o.Runs = append(o.Runs, run)
		byName[run.Name] = run
	}
	reader, d := situation.Reader{Namespace: space}, newDispatcher(Options{InFlight: 8, ConfirmTimeout: DefaultConfirmTimeout})
	d.decide(reader.Read(o), noon)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		changed := *o.Configs[i%configs]
		changed.ResourceVersion = fmt.Sprint(i + 2)
		o.Configs[i%configs] = new(corev1.ConfigMap)
		*o.Configs[i%configs] = changed
		s := reader.Read(o)
		if got := d.decide(s, noon); len(got.plan.Items) < configs/2 {
			b.Fatalf("%d items", len(got.plan.Items))
		}
	}
}
