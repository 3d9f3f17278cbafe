package autorebuild

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/osbs-tekton/osbs/pkg/event"
)

// observer notes when PipelineRuns appear, by a watch of its own: the API tells seconds only.
type observer struct {
	mu sync.Mutex
	// first is when the first PipelineRun of a build config was seen, count how many there were since the observer began.
	first map[string]time.Time
	count map[string]int
	last  time.Time
	err   error
	stop  context.CancelFunc
}

// observe begins to watch the PipelineRuns that are created from now on.
func (s *site) observe(ctx context.Context) (*observer, error) {
	runs := s.meta.Resource(pipelineRuns).Namespace(s.name)
	list, err := runs.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	w, err := runs.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		stop()
		return nil, err
	}
	o := &observer{first: map[string]time.Time{}, count: map[string]int{}, stop: stop}
	go func() {
		for e := range w.ResultChan() {
			o.note(e, time.Now())
		}
		if ctx.Err() == nil {
			o.fail(errors.New("the watch of PipelineRuns has ended"))
		}
	}()
	return o, nil
}

func (o *observer) note(e watch.Event, now time.Time) {
	object, ok := e.Object.(*metav1.PartialObjectMetadata)
	if e.Type != watch.Added || !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	config := object.Labels[event.LabelBuildConfig]
	if o.count[config]++; o.count[config] == 1 {
		o.first[config] = now
	}
	o.last = now
}

func (o *observer) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// seen is how many build configs have got a PipelineRun, how many of them more than one, and when the last appeared.
func (o *observer) seen() (configs, twice int, last time.Time, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.count {
		if n > 1 {
			twice++
		}
	}
	return len(o.count), twice, o.last, o.err
}

// errNone says that a PipelineRun did not appear in time.
var errNone = errors.New("no PipelineRun appeared")

// wait waits until the build config has got a PipelineRun, and says when that was. If there is none in time, that is errNone.
func (o *observer) wait(ctx context.Context, config string, limit time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		o.mu.Lock()
		at, ok := o.first[config]
		err := o.err
		o.mu.Unlock()
		if ok || err != nil {
			return at, err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("%w of %s in %s", errNone, config, limit)
		}
	}
}

// waitAll waits until n build configs have got one, or the limit is over; that is no error.
func (o *observer) waitAll(ctx context.Context, n int, limit time.Duration) error {
	end := time.Now().Add(limit)
	for {
		configs, _, _, err := o.seen()
		if err != nil || configs >= n || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
