package autorebuild

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osbs-tekton/osbs/pkg/event"
	"github.com/osbs-tekton/osbs/pkg/rebuild"
)

const (
	// selected is how many Triggers the peer selects among.
	selected     = 1000
	selectingOne = "selecting"
)

// selecting makes the peer, an EventListener with a Trigger for each of many build configs, and returns where it takes events. What its
// Triggers make is what the one of osbs makes.
func (s *site) selecting(ctx context.Context) (string, error) {
	s.say("installing the EventListener with %d Triggers", s.scaled(selected))
	all := make([]any, 0, s.scaled(selected))
	for i := range s.scaled(selected) {
		all = append(all, map[string]any{
			"name": member("t", i),
			"interceptors": []any{map[string]any{
				"ref":    map[string]any{"name": "cel", "kind": "ClusterInterceptor"},
				"params": []any{map[string]any{"name": "filter", "value": "body.buildConfig == '" + member("peer", i) + "'"}},
			}},
			"bindings": []any{map[string]any{"ref": listener, "kind": "TriggerBinding"}},
			"template": map[string]any{"ref": listener},
		})
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": triggers.String(), "kind": "EventListener", "metadata": map[string]any{"name": selectingOne},
		"spec": map[string]any{"serviceAccountName": "osbs-trigger", "triggers": all},
	}}
	if _, err := s.all.Resource(eventListeners).Namespace(s.name).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return "", err
	}
	if err := s.scale(ctx, selectingOne, 1); err != nil {
		return "", err
	}
	return s.url(ctx, selectingOne)
}

// post asks an EventListener for the rebuild of one of the peer's build configs. It may not be reachable in its first moment.
func (s *site) post(ctx context.Context, url string, i int) error {
	item := rebuild.Item{
		Config: member("peer", i), Build: member("peer", i) + "-1", Digests: map[string]string{"base:latest": digest(2)},
		Reasons: []rebuild.Reason{{Kind: rebuild.BaseMoved, Base: "base:latest", OldDigest: digest(1), NewDigest: digest(2)}},
	}
	e := event.New(config(item.Config, "base"), item, time.Now())
	return until(ctx, url, func() (bool, error) {
		r, err := event.NewRequest(ctx, url, "/bench", e, s.token)
		if err != nil {
			return false, err
		}
		answer, err := poster.Do(r)
		if err != nil {
			return false, nil //nolint:nilerr // tried again
		}
		return answer.StatusCode == http.StatusAccepted, answer.Body.Close()
	})
}

// poster gives up on a connection that was made before the Service had a pod.
var poster = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// patience is how long the PipelineRun of an event is waited for before the event counts as lost: nothing comes of it later.
const patience = 20 * time.Second

// eventsOneByOne posts n events, each when the PipelineRun of the one before exists, and says how many were accepted and lost.
func (s *site) eventsOneByOne(ctx context.Context, url string, n int) (times []time.Duration, lost int, err error) {
	o, err := s.observe(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer o.stop()
	for i := range n {
		began := time.Now()
		if err := s.post(ctx, url, i); err != nil {
			return nil, 0, err
		}
		at, err := o.wait(ctx, member("peer", i), patience)
		if errors.Is(err, errNone) {
			s.say("event %d among %d Triggers was accepted, and nothing came of it", i, s.scaled(selected))
			lost++
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		times = append(times, at.Sub(began))
		s.say("event %d among %d Triggers: %.2f s", i, s.scaled(selected), at.Sub(began).Seconds())
	}
	return times, lost, nil
}

// eventsAtOnce posts n events, as many at a time as the watcher has in flight, each when there is room for it; what comes of them until
// the limit counts.
func (s *site) eventsAtOnce(ctx context.Context, url string, n int, limit time.Duration) (flow, error) {
	o, err := s.observe(ctx)
	if err != nil {
		return flow{}, err
	}
	defer o.stop()
	f := flow{what: fmt.Sprintf("selected among %d Triggers by CEL", s.scaled(selected)), replicas: 1, asked: n}
	err = f.measure(ctx, o, limit, func() error {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(inFlight)
		for i := range n {
			g.Go(func() error {
				if err := s.post(ctx, url, i); err != nil {
					return err
				}
				if _, err := o.wait(ctx, member("peer", i), patience); !errors.Is(err, errNone) {
					return err
				}
				return nil
			})
		}
		return g.Wait()
	})
	return f, err
}
