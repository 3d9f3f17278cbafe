// Package apitest is an API server for tests: it keeps objects of any type in memory, with resource versions, selectors and pages. It
// knows no defaults, no validation, no rights and no controllers. What a real one does on bad days, package faultproxy does before it.
package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"

	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/retry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// Namespace is the one that clients speak about.
const Namespace = "builds"

// maxBody bounds what is read of a request, in bytes.
const maxBody = 8 << 20

// Server is a running API server.
type Server struct {
	URL string
	// PageSize, if not 0, is the most objects that a page of a list has.
	PageSize int

	mu       sync.Mutex
	served   []string
	objects  map[string]*unstructured.Unstructured
	handlers map[string]http.HandlerFunc
	version  int
}

// Start runs a server until the test ends. It serves the resources, each as group/version/plural, without a slash first for the core
// group: v1/configmaps, coordination.k8s.io/v1/leases.
func Start(t testing.TB, resources ...string) *Server {
	t.Helper()
	s := &Server{objects: map[string]*unstructured.Unstructured{}, handlers: map[string]http.HandlerFunc{}, version: 100}
	for _, r := range resources {
		s.served = append(s.served, Path(r))
	}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.URL = server.URL
	return s
}

// Path is the URL's path of a resource's objects in Namespace.
func Path(resource string) string {
	i := strings.LastIndexByte(resource, '/')
	root := "/apis/"
	if strings.Count(resource, "/") == 1 {
		root = "/api/"
	}
	return root + resource[:i] + "/namespaces/" + Namespace + resource[i:]
}

// Client returns a client of a server, or of a proxy before it, that tries again without long pauses.
func Client(t testing.TB, url string) *cluster.Client {
	t.Helper()
	config := &cluster.Config{REST: &rest.Config{Host: url}, Namespace: Namespace, Origin: "the test"}
	c, err := cluster.New(config, step.Env{Retry: retry.Policy{Attempts: 4, First: time.Millisecond, Max: 2 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Kubeconfig is a file that leads to a server.
func Kubeconfig(t testing.TB, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: x, clusters: [{name: x, cluster: {server: %q}}], "+
		"users: [{name: x}], contexts: [{name: x, context: {cluster: x, user: x}}]}", url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Handle has the requests to create an object of a resource answered by h.
func (s *Server) Handle(resource string, h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[Path(resource)] = h
}

// Put stores an object as it is, in place of the one of its name; what it lacks of a UID and of a creation time is filled in.
func (s *Server) Put(t testing.TB, resource string, object any) {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &u.Object); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(Path(resource)+"/"+u.GetName(), u)
}

// Remove deletes an object, if there is one of that name.
func (s *Server) Remove(resource, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, Path(resource)+"/"+name)
}

// store needs the mutex.
func (s *Server) store(path string, u *unstructured.Unstructured) {
	s.version++
	u.SetResourceVersion(strconv.Itoa(s.version))
	u.SetNamespace(Namespace)
	if u.GetUID() == "" {
		u.SetUID(uuid.NewUUID())
	}
	if created := u.GetCreationTimestamp(); created.IsZero() {
		u.SetCreationTimestamp(metav1.Now())
	}
	s.objects[path] = u
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := r.URL.Path
	i := strings.LastIndexByte(path, '/')
	switch {
	case path == "/readyz":
		w.WriteHeader(http.StatusOK)
	case slices.Contains(s.served, path) && r.Method == http.MethodGet:
		s.list(w, r)
	case s.handlers[path] != nil && r.Method == http.MethodPost:
		s.handlers[path](w, r)
	case slices.Contains(s.served, path) && r.Method == http.MethodPost:
		s.create(w, r)
	case slices.Contains(s.served, path[:i]):
		s.object(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) object(w http.ResponseWriter, r *http.Request) {
	stored, found := s.objects[r.URL.Path]
	if !found {
		refuse(w, r, http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
		return
	}
	switch r.Method {
	case http.MethodGet:
		answer(w, http.StatusOK, stored)
	case http.MethodDelete:
		delete(s.objects, r.URL.Path)
		answer(w, http.StatusOK, metav1.Status{Status: metav1.StatusSuccess})
	case http.MethodPut:
		u, err := read(r)
		if err != nil {
			refuse(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
			return
		}
		if v := u.GetResourceVersion(); v != "" && v != stored.GetResourceVersion() {
			refuse(w, r, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
			return
		}
		u.SetUID(stored.GetUID())
		u.SetCreationTimestamp(stored.GetCreationTimestamp())
		s.store(r.URL.Path, u)
		answer(w, http.StatusOK, u)
	default:
		refuse(w, r, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "not allowed")
	}
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	u, err := read(r)
	if err != nil || u.GetName() == "" || u.GetResourceVersion() != "" {
		refuse(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("a new object has a name and no resource version (%v)", err))
		return
	}
	path := r.URL.Path + "/" + u.GetName()
	if _, found := s.objects[path]; found {
		refuse(w, r, http.StatusConflict, metav1.StatusReasonAlreadyExists, "already exists")
		return
	}
	u.SetUID("")
	u.SetCreationTimestamp(metav1.Time{})
	s.store(path, u)
	answer(w, http.StatusCreated, u)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	byLabel, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		refuse(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	byField, err := fields.ParseSelector(query.Get("fieldSelector"))
	if err != nil {
		refuse(w, r, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	items := make([]map[string]any, 0)
	for path, u := range s.objects {
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		if path[:strings.LastIndexByte(path, '/')] == r.URL.Path && byLabel.Matches(labels.Set(u.GetLabels())) &&
			byField.Matches(fields.Set{"metadata.name": u.GetName(), "status.phase": phase}) {
			items = append(items, u.Object)
		}
	}
	name := func(o map[string]any) string { return (&unstructured.Unstructured{Object: o}).GetName() }
	slices.SortFunc(items, func(a, b map[string]any) int { return strings.Compare(name(a), name(b)) })
	limit, _ := strconv.Atoi(query.Get("limit"))
	if s.PageSize > 0 {
		limit = s.PageSize
	}
	from, _ := strconv.Atoi(query.Get("continue"))
	from = min(from, len(items))
	meta := metav1.ListMeta{ResourceVersion: strconv.Itoa(s.version)}
	to := len(items)
	if limit > 0 && from+limit < to {
		to = from + limit
		meta.Continue = strconv.Itoa(to)
	}
	answer(w, http.StatusOK, map[string]any{"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items[from:to]})
}

func read(r *http.Request) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&u.Object)
	return u, err
}

func answer(w http.ResponseWriter, code int, object any) {
	if u, ok := object.(*unstructured.Unstructured); ok {
		object = u.Object
	}
	data, err := json.Marshal(object)
	if err != nil {
		code, data = http.StatusInternalServerError, []byte(err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(data)
}

func refuse(w http.ResponseWriter, r *http.Request, code int, reason metav1.StatusReason, message string) {
	Status(code, reason, r.URL.Path+": "+message)(w, r, nil)
}

// Status is a fault: a refusal in the form of the API server's.
func Status(code int, reason metav1.StatusReason, message string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		answer(w, code, metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
		})
	}
}

// UID is an object's, empty if there is none of that name.
func (s *Server) UID(resource, name string) types.UID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.objects[Path(resource)+"/"+name]; u != nil {
		return u.GetUID()
	}
	return ""
}
