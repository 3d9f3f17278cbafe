package registry_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/registry"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// TestRateLimitIsKept: how long a registry wants to be left alone, in seconds or as a date, is waited for and told.
func TestRateLimitIsKept(t *testing.T) {
	server := registrytest.Start(t, registrytest.Options{})
	image, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	server.Push(t, "a/b:1", image)
	for name, value := range map[string]func() string{
		"seconds": func() string { return "1" },
		"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, server.URL)
			var until time.Time
			proxy.Add(faultproxy.Rule{Path: "/manifests/", Count: 1, Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				until = time.Now().Add(time.Second)
				if at, err := http.ParseTime(value()); err == nil {
					until = at
				}
				faultproxy.Status(http.StatusTooManyRequests, "Retry-After", value())(w, req, next)
			}})
			early := false
			proxy.Add(faultproxy.Rule{Path: "/manifests/", Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				early = time.Now().Before(until)
				next.ServeHTTP(w, req)
			}})
			var log strings.Builder
			c, err := registry.New(registry.Options{
				Env:      step.Env{Retry: quick, Log: slog.New(slog.NewTextHandler(&log, nil))},
				Insecure: []string{proxy.Host},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := head(t, c, proxy.Host, "a/b:1"); err != nil {
				t.Fatal(err)
			}
			if early || !strings.Contains(log.String(), "status 429 Too Many Requests") || !strings.Contains(log.String(), "pause=") {
				t.Errorf("early: %v; the log:\n%s", early, log.String())
			}
		})
	}
}
