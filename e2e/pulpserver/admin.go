package pulpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Status is what Pulp says of itself.
type Status struct {
	Workers []struct {
		Name string `json:"name"`
	} `json:"online_workers"`
	Content []struct {
		Name string `json:"name"`
	} `json:"online_content_apps"`
}

// Status asks for it.
func (s *Server) Status(ctx context.Context) (Status, error) {
	var status Status
	return status, s.Do(ctx, http.MethodGet, "status/", nil, &status)
}

// Do sends a request as the administrator, past what Intercept has set. A path is below the API, or a whole one.
func (s *Server) Do(ctx context.Context, method, path string, in, out any) error {
	if !strings.HasPrefix(path, "/") {
		path = s.options.APIRoot + "api/v3/" + path
	}
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if in == nil {
		body = nil
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Host+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth(Username, s.Password)
	req.Header.Set("Content-Type", "application/json")
	transport := s.transport("api")
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, tail(string(text), 1000))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Change sends a request, and waits for the task that it leads to.
func (s *Server) Change(ctx context.Context, method, path string, in any) error {
	var started struct {
		Task string `json:"task"`
	}
	if err := s.Do(ctx, method, path, in, &started); err != nil || started.Task == "" {
		return err
	}
	var task Task
	err := until(ctx, "the task has ended", time.Minute, func(ctx context.Context) bool {
		return s.Do(ctx, http.MethodGet, started.Task, nil, &task) != nil || task.State == "completed" || task.State == "failed"
	})
	if err == nil && task.State == "failed" {
		err = errors.New(task.Error.Description)
	}
	return err
}

// Task is one of Pulp's.
type Task struct {
	Href  string `json:"pulp_href"`
	Name  string `json:"name"`
	State string `json:"state"`
	Error struct {
		Description string `json:"description"`
	} `json:"error"`
}

// Tasks are those whose name ends with a text, in a state, the latest first.
func (s *Server) Tasks(ctx context.Context, name, state string) ([]Task, error) {
	var page struct {
		Results []Task `json:"results"`
	}
	err := s.Do(ctx, http.MethodGet, "tasks/?ordering=-pulp_created&state="+state+"&name__contains="+name, nil, &page)
	return page.Results, err
}
