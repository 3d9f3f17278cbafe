//go:build e2e

package autorebuild

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osbs-tekton/osbs/pkg/buildconfig"
	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

// setBody replaces the body of a request, and signs it.
func setBody(t *testing.T, r *http.Request, e event.Event, token []byte) {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	r.Header.Set(event.HeaderSignature, event.Sign(body, token))
}

// post sends an event, which the EventListener accepts whatever it is.
func (s *site) post(r *http.Request) {
	s.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	s.must(err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		s.t.Errorf("the EventListener answered %s", answer.Status)
	}
}

// replay sends the event again of which the build config's PipelineRun came.
func (s *site) replay(config string) {
	s.t.Helper()
	list, err := s.all.Resource(pipelineRuns).Namespace(s.Name).List(s.t.Context(), metav1.ListOptions{LabelSelector: event.LabelBuildConfig + "=" + config})
	s.must(err)
	bc := &buildconfig.BuildConfig{Name: config, GitURL: "https://git.example.com/" + config, GitBranch: "main"}
	item := rebuild.Item{
		Build: list.Items[0].GetName(), Digests: map[string]string{"base:latest": digest(2)},
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "base:latest", OldDigest: digest(1), NewDigest: digest(2)}},
	}
	r, err := event.NewRequest(s.t.Context(), s.url, "/test", event.New(bc, item, time.Now()), s.token)
	s.must(err)
	s.post(r)
}

// freeLead takes the lead from a watcher that was killed, so that the next need not wait for it.
func (s *site) freeLead() {
	s.t.Helper()
	leases := s.Kube.CoordinationV1().Leases(s.Name)
	if err := leases.Delete(s.t.Context(), "osbs-imagewatch", metav1.DeleteOptions{}); err != nil {
		s.t.Log(err)
	}
}
