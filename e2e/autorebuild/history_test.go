//go:build e2e

package autorebuild

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// etcd is that of the cluster of e2e/cluster, which the tests share the network with.
const etcd = "http://127.0.0.1:2379/v3/kv/"

// A replica stands still while bases move, the leader dies, and all that the API server and etcd know of the past goes: what it would go on
// from has expired (410 Gone). It reads everything again, and misses nothing.
func TestWatchHistoryExpires(t *testing.T) {
	testbed.NeedsDaemons(t)
	s := newSite(t, false)
	newLossy(s)
	const n = 10
	for _, base := range []string{"moves", "goes", "stays"} {
		s.move(base, 1)
	}
	s.configs(n, "moves")
	s.config("gone", "goes")
	s.config("kept", "stays")
	leader := s.watch()
	s.until("one leads", time.Minute, func() bool { return leader.metric("osbs_imagewatch_leader") == 1 })
	replica := s.watch("-log-level=debug")
	s.until("the replica knows everything", time.Minute, replica.ready)
	replica.holds()
	leader.kill()
	before := s.versions()
	s.move("moves", 2)
	s.move("goes", 2)
	s.must(s.Kube.CoreV1().ConfigMaps(s.Name).Delete(t.Context(), "gone", metav1.DeleteOptions{}))
	s.config("new", "moves")
	s.compact()
	for _, daemon := range []string{testbed.APIServer, testbed.ImageAPIServer} {
		testbed.Kill(t, daemon)
		testbed.Start(t, daemon)
	}
	for what, expired := range s.expired(before) {
		if !expired {
			t.Errorf("%s can be watched from before the change: the test shows nothing", what)
		}
	}
	replica.goesOn()
	s.expect(n+1, 2*time.Minute)
	s.settled()
	s.quiet(5 * time.Second)
	s.exactly(n + 1)
	if !replica.runs() {
		t.Error("the replica has ended")
	}
	// What had come before it stood still was still read: such a watch may be new enough.
	if log := replica.said(); strings.Count(log, "too old resource version") < 3 || !contains(log, "type=PipelineRuns", "too old resource version") {
		t.Errorf("the replica does not say that its watches have expired:\n%s", log)
	}
}

// contains says whether one line contains all texts.
func contains(log string, texts ...string) bool {
	for line := range strings.SplitSeq(log, "\n") {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return true
		}
	}
	return false
}

// versions are the resource versions of what is watched.
func (s *site) versions() map[string]string {
	s.t.Helper()
	ctx, out := s.t.Context(), map[string]string{}
	configs, err := s.Kube.CoreV1().ConfigMaps(s.Name).List(ctx, metav1.ListOptions{})
	s.must(err)
	streams, err := s.image.ImageV1().ImageStreams(s.Name).List(ctx, metav1.ListOptions{})
	s.must(err)
	runs, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(ctx, metav1.ListOptions{})
	s.must(err)
	out["ConfigMaps"], out["ImageStreams"], out["PipelineRuns"] = configs.ResourceVersion, streams.ResourceVersion, runs.GetResourceVersion()
	return out
}

// expired says of each whether it cannot be watched from a version any more.
func (s *site) expired(versions map[string]string) map[string]bool {
	s.t.Helper()
	ctx := s.t.Context()
	from := func(what string) metav1.ListOptions { return metav1.ListOptions{ResourceVersion: versions[what]} }
	out := map[string]bool{}
	look := func(what string, start func() (watch.Interface, error)) {
		s.until("an answer about "+what, time.Minute, func() bool {
			w, err := start()
			if err != nil {
				out[what] = apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
				return out[what] || !apierrors.IsServiceUnavailable(err)
			}
			defer w.Stop()
			select {
			case e := <-w.ResultChan():
				err := apierrors.FromObject(e.Object)
				out[what] = e.Type == watch.Error && (apierrors.IsResourceExpired(err) || apierrors.IsGone(err))
			case <-time.After(2 * time.Second):
			}
			return true
		})
	}
	look("ConfigMaps", func() (watch.Interface, error) {
		return s.Kube.CoreV1().ConfigMaps(s.Name).Watch(ctx, from("ConfigMaps"))
	})
	look("ImageStreams", func() (watch.Interface, error) {
		return s.image.ImageV1().ImageStreams(s.Name).Watch(ctx, from("ImageStreams"))
	})
	look("PipelineRuns", func() (watch.Interface, error) {
		return s.all.Resource(pipelineRuns).Namespace(s.Name).Watch(ctx, from("PipelineRuns"))
	})
	return out
}

// compact has etcd forget all that is not current.
func (s *site) compact() {
	s.t.Helper()
	var now struct {
		Header struct {
			Revision string `json:"revision"`
		} `json:"header"`
	}
	s.must(json.Unmarshal(s.etcd("range", `{"key": "AA=="}`), &now))
	s.etcd("compaction", fmt.Sprintf(`{"revision": %q, "physical": true}`, now.Header.Revision))
}

func (s *site) etcd(verb, body string) []byte {
	s.t.Helper()
	answer, err := http.Post(etcd+verb, "application/json", bytes.NewReader([]byte(body)))
	s.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	s.must(err)
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("etcd answers %s: %s", answer.Status, text)
	}
	return text
}
