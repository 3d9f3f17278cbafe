package step

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// sample is a step with every kind of flag.
func sample(run func(ctx context.Context, env Env, out *Results, got map[string]any) error) Spec {
	return Spec{
		Name: "sample", Summary: "does nothing.",
		Results: []Result{{"digest", "a digest"}},
		Flags: func(f *FlagSet) Run {
			url := f.String("git-url", "", "the URL")
			args := f.List("build-arg", "an argument")
			scratch := f.Bool("scratch", false, "a switch")
			f.Required("git-url")
			return func(ctx context.Context, env Env, out *Results) error {
				return run(ctx, env, out, map[string]any{"url": *url, "args": *args, "scratch": *scratch, "ws": string(f.Workspace())})
			}
		},
	}
}

func TestFlagsAndFallbacks(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want map[string]any
		text string
	}{
		"flags":            {args: []string{"--git-url=u", "--build-arg", "a=1", "--build-arg=b=2", "--scratch", "--workspace", "/w"}, want: map[string]any{"url": "u", "args": []string{"a=1", "b=2"}, "scratch": true, "ws": "/w"}},
		"environment":      {env: map[string]string{"OSBS_GIT_URL": "e", "OSBS_BUILD_ARG": "a=1\nb=2", "OSBS_SCRATCH": "true"}, want: map[string]any{"url": "e", "args": []string{"a=1", "b=2"}, "scratch": true, "ws": "."}},
		"flag wins":        {args: []string{"--git-url=u"}, env: map[string]string{"OSBS_GIT_URL": "e"}, want: map[string]any{"url": "u", "args": []string(nil), "scratch": false, "ws": "."}},
		"missing":          {text: "-git-url is required"},
		"unknown":          {args: []string{"--nope"}, text: "flag provided but not defined: -nope"},
		"argument":         {args: []string{"--git-url=u", "x"}, text: `unexpected argument "x": every setting is a flag`},
		"bad environment":  {args: []string{"--git-url=u"}, env: map[string]string{"OSBS_SCRATCH": "perhaps"}, text: `environment variable OSBS_SCRATCH: invalid value "perhaps"`},
		"bad level":        {args: []string{"--git-url=u", "--log-level=loud"}, text: "accepted are debug, info, warn and error"},
		"bad format":       {args: []string{"--git-url=u", "--log-format=xml"}, text: "accepted are text and json"},
		"all errors shown": {args: []string{"--log-format=xml"}, text: "-git-url is required\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]any
			var stderr bytes.Buffer
			s := sample(func(_ context.Context, _ Env, _ *Results, g map[string]any) error { got = g; return nil })
			code := s.Execute(t.Context(), tc.args, func(k string) string { return tc.env[k] }, &stderr)
			if tc.text != "" {
				if code != failure.Usage.ExitCode() || !strings.Contains(stderr.String(), tc.text) {
					t.Errorf("exit code %d, stderr %q; want 2 and %q", code, stderr.String(), tc.text)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); code != 0 || diff != "" {
				t.Errorf("exit code %d (-want +got):\n%s", code, diff)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var out bytes.Buffer
	if code := sample(nil).Execute(t.Context(), []string{"-h"}, os.Getenv, &out); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"sample: does nothing.", "-git-url", "OSBS_GIT_URL", "-workspace"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, out.String())
		}
	}
}

// execute runs the sample with a results directory and a termination message file, and returns both.
func execute(t *testing.T, run func(ctx context.Context, env Env, out *Results) error) (code int, results map[string]string, message outcome, log string) {
	t.Helper()
	dir := t.TempDir()
	termination := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(termination, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	s := sample(func(ctx context.Context, env Env, out *Results, _ map[string]any) error { return run(ctx, env, out) })
	code = s.Execute(t.Context(), []string{"--git-url=u", "--results-dir", dir, "--termination-message", termination}, os.Getenv, &stderr)
	results = map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		results[e.Name()] = string(data)
	}
	data, err := os.ReadFile(termination)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > maxTermination {
		t.Errorf("the termination message has %d bytes", len(data))
	}
	if err := json.Unmarshal(data, &message); err != nil {
		t.Errorf("termination message %q: %v", data, err)
	}
	return code, results, message, stderr.String()
}

func TestSuccessWritesResults(t *testing.T) {
	code, results, message, _ := execute(t, func(_ context.Context, _ Env, out *Results) error { return out.Set("digest", "sha256:1") })
	if diff := cmp.Diff(map[string]string{"digest": "sha256:1"}, results); code != 0 || diff != "" {
		t.Errorf("exit code %d, results (-want +got):\n%s", code, diff)
	}
	if diff := cmp.Diff(outcome{Stage: "sample", Results: map[string]string{"digest": "sha256:1"}}, message); diff != "" {
		t.Errorf("termination message (-want +got):\n%s", diff)
	}
}

func TestFailureIsRedactedAndBounded(t *testing.T) {
	code, results, message, log := execute(t, func(_ context.Context, env Env, _ *Results) error {
		env.Redact.Add("hunter2secret")
		env.Log.Info("using hunter2secret")
		return failure.New(failure.NotFound, "cannot %s with hunter2secret: %s", strings.Repeat("ä", 5000), "no such branch")
	})
	if code != failure.NotFound.ExitCode() || message.Kind != failure.NotFound {
		t.Errorf("exit code %d, kind %q", code, message.Kind)
	}
	for _, text := range []string{results[ResultMessage], message.Message, log} {
		if strings.Contains(text, "hunter2secret") || !strings.HasSuffix(strings.TrimSpace(strings.Split(text, " kind=")[0]), "no such branch") && !strings.Contains(text, "no such branch") {
			t.Errorf("text %q", text)
		}
	}
	if n := len(results[ResultMessage]); n > maxMessage || !utf8.ValidString(results[ResultMessage]) {
		t.Errorf("the message has %d bytes or is not UTF-8", n)
	}
}

// TestSecretAtTheCut: a text that is shortened in the middle of a secret does not show the rest of it.
func TestSecretAtTheCut(t *testing.T) {
	const secret = "hunter2-and-much-more-of-it"
	for before := maxMessage/2 - 2*len(secret); before < maxMessage/2+len(secret); before++ {
		_, results, message, log := execute(t, func(_ context.Context, env Env, _ *Results) error {
			env.Redact.Add(secret)
			return failure.New(failure.NotFound, "%s%s%s", strings.Repeat("x", before), secret, strings.Repeat("y", maxMessage))
		})
		for _, text := range []string{results[ResultMessage], message.Message, log} {
			if strings.Contains(text, "hunt") {
				t.Fatalf("with %d bytes before the secret: %q", before, text)
			}
		}
	}
}

// TestMisplacedURL: a URL that is no flag's value is told without its password.
func TestMisplacedURL(t *testing.T) {
	var stderr bytes.Buffer
	code := sample(nil).Execute(t.Context(), []string{"https://me:hunter2@host/x"}, os.Getenv, &stderr)
	if want := `unexpected argument "https://[redacted]@host/x"`; code != failure.Usage.ExitCode() || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr.String(), want)
	}
}

func TestResultsAreDeclaredAndBounded(t *testing.T) {
	for name, set := range map[string]func(*Results) error{
		"not declared": func(out *Results) error { return out.Set("other", "x") },
		"too large":    func(out *Results) error { return out.Set("digest", strings.Repeat("x", maxResults)) },
	} {
		if code, _, _, _ := execute(t, func(_ context.Context, _ Env, out *Results) error { return set(out) }); code != 1 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	code, _, message, _ := execute(t, func(context.Context, Env, *Results) error { panic("oh no") })
	if code != 1 || message.Message != "panic: oh no" {
		t.Errorf("exit code %d, message %q", code, message.Message)
	}
}

func TestCancelledIsItsOwnKind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := sample(func(context.Context, Env, *Results, map[string]any) error {
		cancel()
		return errors.New("connection closed")
	})
	var out bytes.Buffer
	if code := s.Execute(ctx, []string{"--git-url=u"}, os.Getenv, &out); code != failure.Cancelled.ExitCode() {
		t.Errorf("exit code %d: %s", code, out.String())
	}
}

// TestMain lets the test binary be a step that ignores its context, for TestSIGTERM.
func TestMain(m *testing.M) {
	if os.Getenv("STEP_TEST_CHILD") != "" {
		Main(sample(func(context.Context, Env, *Results, map[string]any) error {
			_, _ = os.Stdout.WriteString("ready\n")
			time.Sleep(time.Minute)
			return nil
		}))
	}
	os.Exit(m.Run())
}

func TestSIGTERMEndsAStepThatDoesNotListen(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "--git-url=u")
	cmd.Env = append(os.Environ(), "STEP_TEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != failure.Cancelled.ExitCode() {
		t.Errorf("ended with %v", err)
	}
}
