package pulp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// started is how Pulp answers a request that it works on later. Synchronous answers have none of the fields.
type started struct {
	Task  string   `json:"task"`
	Tasks []string `json:"tasks"`
	Group string   `json:"task_group"`
}

// task is one of Pulp's tasks.
type task struct {
	Href     string   `json:"pulp_href"`
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Children []string `json:"child_tasks"`
	// Spawned is how older servers spell Children.
	Spawned []string `json:"spawned_tasks"`
	Group   string   `json:"task_group"`
	Error   struct {
		Description string `json:"description"`
		// Reason is what is told of a task that did not end by itself.
		Reason string `json:"reason"`
	} `json:"error"`
	Reports []report `json:"progress_reports"`
}

// report is what a task tells of one part of its work. Total is 0 as long as nobody knows it.
type report struct {
	Message string `json:"message"`
	Done    int64  `json:"done"`
	Total   int64  `json:"total"`
}

// progress is the reports of a task in one line.
func (t task) progress() string {
	const most = 10 // parts that are told
	parts := make([]string, 0, len(t.Reports))
	for _, r := range t.Reports[:min(most, len(t.Reports))] {
		part := fmt.Sprintf("%s %d", shorten(r.Message), r.Done)
		if r.Total > 0 {
			part += fmt.Sprintf("/%d", r.Total)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// group is a set of tasks that belong together.
type group struct {
	AllDispatched bool `json:"all_tasks_dispatched"`
	Tasks         []struct {
		Href string `json:"pulp_href"`
	} `json:"tasks"`
}

// maxTasks bounds how many tasks one request may lead to.
const maxTasks = 10_000

// follow waits for every task that a request has led to: those named in the answer, their children, the members of their groups.
func (c *Client) follow(ctx context.Context, s started) error {
	f := &follower{client: c, seen: map[string]bool{}}
	f.add(s.Task)
	f.add(s.Tasks...)
	f.addGroup(s.Group)
	for len(f.tasks) > 0 || len(f.groups) > 0 {
		if len(f.seen) > maxTasks {
			return failure.New(failure.Unavailable, "Pulp has started more than %d tasks", maxTasks)
		}
		if err := f.next(ctx); err != nil {
			f.cancelOnEnd(ctx)
			return err
		}
	}
	return nil
}

type follower struct {
	client  *Client
	seen    map[string]bool
	tasks   []string
	groups  []string
	current string
}

func (f *follower) add(hrefs ...string) {
	for _, href := range hrefs {
		if href != "" && !f.seen[href] {
			f.seen[href] = true
			f.tasks = append(f.tasks, href)
		}
	}
}

func (f *follower) addGroup(href string) {
	if href != "" && !f.seen[href] {
		f.seen[href] = true
		f.groups = append(f.groups, href)
	}
}

// next waits for one task, or lists one group when all known tasks have ended.
func (f *follower) next(ctx context.Context) error {
	if len(f.tasks) == 0 {
		href := f.groups[0]
		f.groups = f.groups[1:]
		return f.list(ctx, href)
	}
	f.current = f.tasks[0]
	f.tasks = f.tasks[1:]
	t, err := f.client.wait(ctx, f.current)
	if err != nil {
		return err
	}
	f.add(t.Children...)
	f.add(t.Spawned...)
	f.addGroup(t.Group)
	return f.client.verdict(t)
}

// list adds the tasks of a group, once all of them are known.
func (f *follower) list(ctx context.Context, href string) error {
	for {
		var g group
		if err := f.client.call(ctx, http.MethodGet, href, nil, &g); err != nil {
			return fmt.Errorf("reading a group of tasks: %w", err)
		}
		for _, t := range g.Tasks {
			f.add(t.Href)
		}
		if g.AllDispatched {
			return nil
		}
		if err := pause(ctx, f.client.poll); err != nil {
			return err
		}
	}
}

// wait polls a task until it has ended.
func (c *Client) wait(ctx context.Context, href string) (task, error) {
	const quicker = 10 // most tasks end at once: the first looks come sooner
	told, when := "", time.Now()
	for next := c.poll / quicker; ; next = min(c.poll, next*2) {
		var t task
		if err := c.call(ctx, http.MethodGet, href, nil, &t); err != nil {
			return t, fmt.Errorf("reading a task: %w", err)
		}
		switch t.State {
		case "completed", "failed", "canceled", "skipped":
			return t, nil
		case "waiting", "running", "canceling":
		default:
			return t, failure.New(failure.Unavailable, "task %s is in state %q, which Pulp 3 does not have", shorten(t.Name), shorten(t.State))
		}
		if text := t.progress(); text != told && time.Since(when) >= tellEvery {
			c.env.Log.Info("Pulp is at work", "task", shorten(t.Name), "state", t.State, "progress", text)
			told, when = text, time.Now()
		}
		if err := pause(ctx, next); err != nil {
			return t, err
		}
	}
}

// tellEvery is the least time between two lines about the progress of a task.
const tellEvery = 5 * time.Second

// verdict says whether a task that has ended is an error. A skipped one is told and left to the look at what Pulp has.
func (c *Client) verdict(t task) error {
	switch t.State {
	case "failed":
		return t.failed()
	case "canceled":
		return failure.WithHint(failure.New(failure.Unavailable, "Pulp's task %s was canceled%s", shorten(t.Name), after(t.Error.Reason)),
			"somebody with rights in Pulp has done that; when it may go on, have the sync run again")
	case "skipped":
		c.env.Log.Warn("Pulp has skipped a task", "task", shorten(t.Name))
	}
	return nil
}

// failed is the error of a task that has failed. One whose worker has gone is worth another try: nothing says that the next will go, too.
func (t task) failed() error {
	err := failure.WithHint(failure.New(failure.Unavailable, "Pulp's task %s failed%s", shorten(t.Name), after(cmp.Or(t.Error.Description, t.Error.Reason))),
		"Pulp's log tells more; it must reach the registry that the image was pushed into")
	for _, lost := range lostWorker {
		if strings.Contains(t.Error.Reason, lost) {
			return again{err}
		}
	}
	return err
}

// lostWorker is what pulpcore says of tasks whose worker went away (pulpcore/tasking/worker.py).
var lostWorker = []string{"Worker has gone missing", "Aborted during worker shutdown", "Killed by signal", "process died unexpectedly"}

// after is a text of Pulp's behind a colon, if there is one.
func after(text string) string {
	if text == "" {
		return ""
	}
	return ": " + shorten(text)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), ctx.Err())
	case <-timer.C:
		return nil
	}
}

// cancelGrace is how long a cancelled build takes to cancel its task; a step has a second in all.
const cancelGrace = 400 * time.Millisecond

// cancelOnEnd asks Pulp to give the task up that a cancelled or timed-out build was waiting for.
func (f *follower) cancelOnEnd(ctx context.Context) {
	if ctx.Err() == nil || f.current == "" {
		return
	}
	c := f.client
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer stop()
	target, err := c.resolve(f.current)
	if err != nil {
		return
	}
	if err := c.once(last, http.MethodPatch, target, []byte(`{"state":"canceled"}`), nil); err != nil {
		c.env.Log.Warn("Pulp's task was not canceled", "task", target.Path, "error", err)
	}
}
