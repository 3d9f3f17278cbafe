package local

import (
	"sync"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// broker hands events of this process's builds to those who watch. The zero value is ready to use.
type broker struct {
	mu          sync.Mutex
	subscribers map[*subscription]bool
}

// subscription holds the events that its owner has not taken yet. Publishing never waits for a slow watcher.
type subscription struct {
	broker *broker
	build  string // empty for all
	mu     sync.Mutex
	queue  []osbs.Event
	ready  chan struct{}
}

func (b *broker) subscribe(build string) *subscription {
	s := &subscription{broker: b, build: build, ready: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscribers == nil {
		b.subscribers = map[*subscription]bool{}
	}
	b.subscribers[s] = true
	return s
}

func (b *broker) publish(e osbs.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subscribers {
		if s.build == "" || s.build == e.Build.Name {
			s.put(e)
		}
	}
}

func (s *subscription) put(e osbs.Event) {
	s.mu.Lock()
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take returns what has come since the last take.
func (s *subscription) take() []osbs.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.queue
	s.queue = nil
	return events
}

func (s *subscription) close() {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	delete(s.broker.subscribers, s)
}

// changes lists what differs between two states of one build: an event for each stage that changed, or one for the build.
func changes(before, after osbs.Build) []osbs.Event {
	known := map[string]osbs.StageStatus{}
	for _, s := range before.Stages {
		known[s.Name] = s
	}
	var events []osbs.Event
	for _, s := range after.Stages {
		old := known[s.Name]
		if old.State != s.State || old.Note != s.Note {
			events = append(events, osbs.Event{Build: after, Stage: s.Name})
		}
	}
	if before.State != after.State || len(events) == 0 {
		events = append(events, osbs.Event{Build: after})
	}
	return events
}
