package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/retry"
)

const (
	// pageSize is how many objects of a list are asked for at once, maxObjects how many a list may have in all.
	pageSize, maxObjects = 250, 50_000
	// maxStarts is how often a list is begun: again when it changes faster than its pages are read.
	maxStarts = 3
	// maxRefusals is how often an API server that says it is ready must refuse a request. It may have become ready between the two.
	maxRefusals = 2
)

// Resource is one resource of the API in the client's namespace, with objects of the type T: a type of the API, or one with some of
// its fields, if its objects are only read.
//
// Each method tries again, as package retry does, while the API server cannot be reached or asks for that. So when the answer to
// a Create was lost, the next try may find what the first has created: failure.Conflict.
type Resource[T any] struct {
	client *Client
	path   string
	what   string
}

// For is a resource of a group and version, such as configmaps. what names one of its objects for people.
func For[T any](c *Client, group schema.GroupVersion, resource, what string) Resource[T] {
	root := path.Join("/apis", group.Group)
	if group.Group == "" {
		root = "/api"
	}
	return Resource[T]{client: c, path: path.Join(root, group.Version, "namespaces", c.namespace, resource), what: what}
}

// Get reads an object; that there is none is failure.NotFound.
func (r Resource[T]) Get(ctx context.Context, name string) (*T, error) {
	return r.one(ctx, "reading", name, func(c rest.Interface) *rest.Request { return c.Get().AbsPath(r.path, name) })
}

// Create stores a new object of a name and returns what was stored; that there is one already is failure.Conflict.
func (r Resource[T]) Create(ctx context.Context, name string, object *T) (*T, error) {
	body, err := r.encode(name, object)
	if err != nil {
		return nil, err
	}
	return r.one(ctx, "creating", name, func(c rest.Interface) *rest.Request { return c.Post().AbsPath(r.path).Body(body) })
}

// Update stores an object and returns what was stored. That it has another resource version by now is failure.Conflict, that there is
// none failure.NotFound.
func (r Resource[T]) Update(ctx context.Context, name string, object *T) (*T, error) {
	body, err := r.encode(name, object)
	if err != nil {
		return nil, err
	}
	return r.one(ctx, "updating", name, func(c rest.Interface) *rest.Request { return c.Put().AbsPath(r.path, name).Body(body) })
}

// Delete removes an object; that there is none is failure.NotFound.
func (r Resource[T]) Delete(ctx context.Context, name string) error {
	_, err := r.do(ctx, "deleting", name, func(c rest.Interface) *rest.Request { return c.Delete().AbsPath(r.path, name) })
	return err
}

// Selection says which objects to list.
type Selection struct{ Labels, Fields string }

// List reads the selected objects, page by page.
func (r Resource[T]) List(ctx context.Context, s Selection) ([]T, error) {
	var all []T
	starts := 1
	for next := ""; ; {
		items, token, err := r.page(ctx, s, next)
		switch {
		case next != "" && isExpired(err) && starts < maxStarts: // too much has changed since the first page
			all, next = nil, ""
			starts++
			continue
		case err != nil:
			return nil, err
		}
		if all = append(all, items...); len(all) > maxObjects {
			return nil, failure.New(failure.Unavailable, "listing %ss: there are more than %d", r.what, maxObjects)
		}
		if next = token; next == "" {
			return all, nil
		}
	}
}

// page reads a page, and the token of the next one, empty after the last.
func (r Resource[T]) page(ctx context.Context, s Selection, token string) ([]T, string, error) {
	body, err := r.do(ctx, "listing", "", func(c rest.Interface) *rest.Request {
		request := c.Get().AbsPath(r.path).Param("limit", strconv.Itoa(pageSize))
		for name, value := range map[string]string{"labelSelector": s.Labels, "fieldSelector": s.Fields, "continue": token} {
			if value != "" {
				request.Param(name, value)
			}
		}
		return request
	})
	if err != nil {
		return nil, "", err
	}
	var page struct {
		metav1.ListMeta `json:"metadata"`
		Items           []T `json:"items"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, "", failure.New(failure.Unavailable, "listing %ss: the answer is malformed: %w", r.what, err)
	}
	return page.Items, page.Continue, nil
}

func (r Resource[T]) encode(name string, object *T) ([]byte, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return nil, failure.New(failure.Internal, "encoding %s %s: %w", r.what, name, err)
	}
	return body, nil
}

// one makes a request that is answered by one object.
func (r Resource[T]) one(ctx context.Context, doing, name string, request func(rest.Interface) *rest.Request) (*T, error) {
	body, err := r.do(ctx, doing, name, request)
	if err != nil {
		return nil, err
	}
	object := new(T)
	if err := json.Unmarshal(body, object); err != nil {
		return nil, failure.New(failure.Unavailable, "%s %s %s: the answer is malformed: %w", doing, r.what, name, err)
	}
	return object, nil
}

// do makes a request until it is answered.
func (r Resource[T]) do(ctx context.Context, doing, name string, request func(rest.Interface) *rest.Request) ([]byte, error) {
	what := fmt.Sprintf("%s %s %s", doing, r.what, name)
	if doing == "listing" {
		what = fmt.Sprintf("%s %ss", doing, r.what)
	} else if wrong := rest.IsValidPathSegmentName(name); name == "" || len(wrong) > 0 {
		return nil, failure.New(failure.Usage, "%q is no valid name of %s %s", name, article(r.what), r.what)
	}
	var body []byte
	refusals := 0
	err := retry.Do(ctx, r.client.env.Log, r.client.env.Retry, what, func(ctx context.Context) error {
		var err error
		if body, err = r.client.try(ctx, request); failure.KindOf(err) != failure.Unauthorized {
			return err
		}
		// An API server that has just started refuses everybody, until it has read who may do what.
		if r.client.ready(ctx) {
			refusals++
		}
		if refusals < maxRefusals {
			return retry.Temporary(err)
		}
		return err
	})
	if retry.IsTemporary(err) { // the tries are spent: callers that retry something larger need not repeat them all
		err = failure.New(failure.KindOf(err), "%s", err.Error())
	}
	return body, err
}

func article(what string) string {
	if strings.ContainsAny(what[:1], "AEIOUaeiou") {
		return "an"
	}
	return "a"
}
