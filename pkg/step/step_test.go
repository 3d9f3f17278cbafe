package step

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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
			args := f.Positional("build-arg", "an argument")
			digests := f.Words("base-digest", "a digest")
			scratch := f.Bool("scratch", false, "a switch")
			jobs := f.Int("jobs", 4, "a number")
			timeout := f.Duration("timeout", time.Minute, "a duration")
			f.Required("git-url")
			return func(ctx context.Context, env Env, out *Results) error {
				return run(ctx, env, out, map[string]any{
					"url": *url, "args": *args, "digests": *digests, "scratch": *scratch, "jobs": *jobs, "timeout": *timeout, "ws": string(f.Workspace()),
				})
			}
		},
	}
}

// given is what the sample sees, other than the defaults.
func given(changes map[string]any) map[string]any {
	all := map[string]any{
		"url": "u", "args": []string(nil), "digests": []string(nil), "scratch": false, "jobs": 4, "timeout": time.Minute, "ws": ".",
	}
	maps.Copy(all, changes)
	return all
}

func TestFlagsAndFallbacks(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		want map[string]any
		text string
	}{
		"flags": {
			args: []string{"--git-url=u", "--build-arg", "a=1", "--build-arg=b=2", "--scratch", "--workspace", "/w", "-jobs=7", "-timeout=2h"},
			want: given(map[string]any{"args": []string{"a=1", "b=2"}, "scratch": true, "ws": "/w", "jobs": 7, "timeout": 2 * time.Hour}),
		},
		"environment": {
			env:  map[string]string{"OSBS_GIT_URL": "e", "OSBS_BUILD_ARG": "a=1\nb=2", "OSBS_SCRATCH": "true", "OSBS_JOBS": "2"},
			want: given(map[string]any{"url": "e", "args": []string{"a=1", "b=2"}, "scratch": true, "jobs": 2}),
		},
		"flag wins": {args: []string{"--git-url=u"}, env: map[string]string{"OSBS_GIT_URL": "e"}, want: given(nil)},
		"empty means not given": {
			args: []string{"-git-url=u", "-build-arg=", "-base-digest", "", "-scratch=", "-jobs=", "-timeout=", "-workspace=", "-log-level="},
			want: given(nil),
		},
		"empty falls back": {
			args: []string{"-git-url=", "-scratch=", "-jobs=", "-timeout=", "-build-arg=", "--", ""},
			env:  map[string]string{"OSBS_GIT_URL": "e", "OSBS_SCRATCH": "true", "OSBS_JOBS": "2", "OSBS_TIMEOUT": "1s", "OSBS_BUILD_ARG": "a=1"},
			want: given(map[string]any{"url": "e", "scratch": true, "jobs": 2, "timeout": time.Second, "args": []string{"a=1"}}),
		},
		"missing":          {args: []string{"-git-url="}, text: "-git-url is required"},
		"unknown":          {args: []string{"--nope"}, text: "flag provided but not defined: -nope"},
		"argument":         {args: []string{"--git-url=u", "x"}, text: `unexpected argument "x": every setting is a flag`},
		"bad environment":  {args: []string{"--git-url=u"}, env: map[string]string{"OSBS_SCRATCH": "perhaps"}, text: `environment variable OSBS_SCRATCH: invalid value "perhaps": accepted are true and false`},
		"bad level":        {args: []string{"--git-url=u", "--log-level=loud"}, text: "accepted are debug, info, warn and error"},
		"bad format":       {args: []string{"--git-url=u", "--log-format=xml"}, text: "accepted are text and json"},
		"all errors shown": {args: []string{"--log-format=xml"}, text: "-git-url is required\n"},
		"bad types": {
			args: []string{"-git-url=u", "-jobs=many", "-timeout=5", "-scratch=yes"},
			text: "-jobs: invalid value \"many\": accepted is a whole number\n-scratch: invalid value \"yes\": accepted are true and false\n-timeout: invalid value \"5\": accepted is a duration such as 30s, 10m or 2h",
		},
	} {
		t.Run(name, func(t *testing.T) { checkFlags(t, tc.args, tc.env, tc.want, tc.text) })
	}
}

// checkFlags runs the sample, and looks at what it saw, or at the text of the error.
func checkFlags(t *testing.T, args []string, env map[string]string, want map[string]any, text string) {
	t.Helper()
	var got map[string]any
	var stderr bytes.Buffer
	s := sample(func(_ context.Context, _ Env, _ *Results, g map[string]any) error { got = g; return nil })
	code := s.Execute(t.Context(), args, func(k string) string { return env[k] }, &stderr)
	if text != "" {
		if code != failure.Usage.ExitCode() || !strings.Contains(stderr.String(), text) {
			t.Errorf("exit code %d, stderr %q; want 2 and %q", code, stderr.String(), text)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" || code != 0 {
		t.Errorf("exit code %d, stderr %q (-want +got):\n%s", code, stderr.String(), diff)
	}
}

func TestLists(t *testing.T) {
	for name, tc := range map[string]struct {
		args          []string
		list, digests []string
		text          string
	}{
		"lines":                       {args: []string{"-build-arg=A=1\nB=2,3\n\n", "-base-digest=a=b\nc=d"}, list: []string{"A=1", "B=2,3"}, digests: []string{"a=b", "c=d"}},
		"commas between words":        {args: []string{"-base-digest=a=b, c=d,,"}, digests: []string{"a=b", "c=d"}},
		"JSON":                        {args: []string{`-build-arg= ["A=1\n2", "B="]`, `-base-digest=["a=b"]`, "-base-digest=[]"}, list: []string{"A=1\n2", "B="}, digests: []string{"a=b"}},
		"a host is no JSON":           {args: []string{"-base-digest=[::1]:5000,x"}, digests: []string{"[::1]:5000", "x"}},
		"positional":                  {args: []string{"-build-arg=Z=0", "--", "A=1\n2", "-scratch", "--", `["B=2","C=3"]`}, list: []string{"Z=0", "A=1\n2", "-scratch", "--", "B=2", "C=3"}},
		"nothing positional":          {args: []string{"--"}},
		"malformed JSON":              {args: []string{`-build-arg=["A=1",`}, text: "-build-arg: not a JSON list of strings: unexpected end of JSON input"},
		"JSON of something else":      {args: []string{"--", `["A=1", 2]`}, text: "after --: "},
		"too many":                    {args: []string{"-base-digest=" + strings.Repeat("x,", maxElements+1)}, text: "-base-digest: more than 1000 elements"},
		"too many positional":         {args: append([]string{"--"}, slices.Repeat([]string{"A=1"}, maxElements+1)...), text: "after --: more than 1000 elements"},
		"too long":                    {args: []string{"-build-arg=" + strings.Repeat("x", maxElement+1)}, text: "-build-arg: an element has 32769 bytes, accepted are 32768"},
		"an argument before the rest": {args: []string{"x", "--", "A=1"}, text: `unexpected argument "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			want := given(map[string]any{"args": tc.list, "digests": tc.digests})
			checkFlags(t, append([]string{"-git-url=u"}, tc.args...), nil, want, tc.text)
		})
	}
}

// TestNoPositional: a step without a positional list refuses what follows --.
func TestNoPositional(t *testing.T) {
	var stderr bytes.Buffer
	s := Spec{Name: "plain", Flags: func(*FlagSet) Run { return func(context.Context, Env, *Results) error { return nil } }}
	if code := s.Execute(t.Context(), []string{"--", "A=1"}, os.Getenv, &stderr); code != failure.Usage.ExitCode() {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func TestDescribe(t *testing.T) {
	var out bytes.Buffer
	if code := sample(nil).Execute(t.Context(), []string{describeFlag}, os.Getenv, &out); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var got Description
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	flags := map[string]FlagDescription{}
	for _, f := range got.Flags {
		flags[f.Name] = f
	}
	for _, want := range []FlagDescription{
		{Name: "git-url", Description: "the URL", Type: "string", Variable: "OSBS_GIT_URL", Required: true},
		{Name: "build-arg", Description: "an argument", Type: "list", Variable: "OSBS_BUILD_ARG", Positional: true},
		{Name: "scratch", Description: "a switch", Type: "bool", Default: "false", Variable: "OSBS_SCRATCH"},
		{Name: "jobs", Description: "a number", Type: "int", Default: "4", Variable: "OSBS_JOBS"},
		{Name: "timeout", Description: "a duration", Type: "duration", Default: "1m0s", Variable: "OSBS_TIMEOUT"},
	} {
		if diff := cmp.Diff(want, flags[want.Name]); diff != "" {
			t.Errorf("-%s (-want +got):\n%s", want.Name, diff)
		}
	}
	if len(got.Results) != 2 || got.Results[1].Name != ResultMessage {
		t.Errorf("results %v", got.Results)
	}
}

func TestSkippable(t *testing.T) {
	for name, tc := range map[string]struct {
		record    string
		skippable bool
		ran       bool
		text      string
		code      int
	}{
		"skipped":        {record: `{"state":"skipped","reason":"autorebuild is disabled"}`, skippable: true, text: "skipped: autorebuild is disabled"},
		"not skipped":    {record: `{"state":"build"}`, skippable: true, ran: true},
		"no prepare":     {skippable: true, ran: true},
		"other step":     {record: `{"state":"skipped"}`, ran: true},
		"damaged record": {record: "{", skippable: true, code: failure.InvalidInput.ExitCode()},
	} {
		t.Run(name, func(t *testing.T) {
			dir, results, ran := t.TempDir(), t.TempDir(), false
			if tc.record != "" {
				if err := os.WriteFile(filepath.Join(dir, "prepare.json"), []byte(tc.record), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := sample(func(context.Context, Env, *Results, map[string]any) error { ran = true; return nil })
			s.Skippable = tc.skippable
			var stderr bytes.Buffer
			code := s.Execute(t.Context(), []string{"-git-url=u", "-workspace", dir, "-results-dir", results}, os.Getenv, &stderr)
			if code != tc.code || ran != tc.ran || !strings.Contains(stderr.String(), tc.text) {
				t.Errorf("exit code %d, ran %v, stderr %s", code, ran, stderr.String())
			}
			if data, err := os.ReadFile(filepath.Join(results, "digest")); code == 0 && (err != nil || len(data) > 0) {
				t.Errorf("result digest: %q, %v", data, err)
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
	if diff := cmp.Diff(map[string]string{"digest": "sha256:1", "message": ""}, results); code != 0 || diff != "" {
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

// TestResultsLimit checks that results, as Tekton writes them, stay within the share of a container among many.
func TestResultsLimit(t *testing.T) {
	const limit = 600
	for name, tc := range map[string]struct {
		value string
		err   error
	}{
		"fits":    {value: strings.Repeat(`"x" `, 50)},
		"quotes":  {value: strings.Repeat(`"`, 240)},
		"message": {value: "sha256:1", err: errors.New(strings.Repeat("\"\n", 600))},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := sample(func(_ context.Context, _ Env, out *Results, _ map[string]any) error {
				if room := out.Room("digest"); Size(tc.value) > room {
					tc.value = tc.value[:room/2]
				}
				return errors.Join(out.Set("digest", tc.value), tc.err)
			})
			var stderr bytes.Buffer
			s.Execute(t.Context(), []string{"-git-url=u", "-results-dir=" + dir, "-results-limit=" + strconv.Itoa(limit)}, func(string) string { return "" }, &stderr)
			var entries []map[string]any
			for _, name := range []string{"digest", ResultMessage} {
				data, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err, stderr.String())
				}
				entries = append(entries, map[string]any{"key": name, "value": string(data), "type": 4})
			}
			if message, err := json.Marshal(entries); err != nil || len(message) > limit {
				t.Errorf("%d bytes, more than %d: %s", len(message), limit, message)
			}
		})
	}
}
