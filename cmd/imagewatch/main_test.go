package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// execute runs the program without a cluster.
func execute(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var log strings.Builder
	args = append([]string{"-termination-message=" + filepath.Join(t.TempDir(), "none")}, args...)
	return spec().Execute(t.Context(), args, func(string) string { return "" }, &log), log.String()
}

func TestHelp(t *testing.T) {
	code, log := execute(t, "-help")
	if code != 0 || !strings.Contains(log, "-max-concurrent") || !strings.Contains(log, "asks an EventListener") {
		t.Errorf("exit code %d:\n%s", code, log)
	}
}

func TestUsage(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := `{apiVersion: v1, kind: Config, current-context: it, contexts: [{name: it, context: {cluster: it, namespace: team}}],
		clusters: [{name: it, cluster: {server: "https://127.0.0.1:1"}}]}`
	if err := os.WriteFile(kubeconfig, []byte(strings.ReplaceAll(text, "\t", " ")), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no such file":  {[]string{"-kubeconfig=/nowhere/config"}, "kubeconfig"},
		"rate":          {[]string{"-kubeconfig=" + kubeconfig, "-rate=-1"}, "must not be negative"},
		"api rate":      {[]string{"-kubeconfig=" + kubeconfig, "-api-rate=0"}, "api-rate"},
		"in flight":     {[]string{"-kubeconfig=" + kubeconfig, "-in-flight=-1"}, "in-flight"},
		"address":       {[]string{"-kubeconfig=" + kubeconfig, "-listen=nowhere"}, "listening on nowhere"},
		"unknown flag":  {[]string{"-nonsense"}, "nonsense"},
		"not a setting": {[]string{"watch"}, "watch"},
	} {
		t.Run(name, func(t *testing.T) {
			code, log := execute(t, c.args...)
			if code != failure.Usage.ExitCode() || !strings.Contains(log, c.want) {
				t.Errorf("exit code %d:\n%s", code, log)
			}
		})
	}
}
