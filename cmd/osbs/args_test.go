package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

func testProgram() (*program, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	return &program{stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }, version: "1.2.3", userName: func() string { return "me" }}, &stdout, &stderr
}

func TestParseArgs(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		"build -g u -b main --scratch":           "build --git-url=u --git-branch=main --scratch=true --",
		"list-builds x --output json --running":  "--output=json list-builds --running=true -- x",
		"-i local build-logs n -f":               "--instance=local build-logs --follow=true -- n",
		"build -gu -bmain --build-arg A=b=c":     "build --git-url=u --git-branch=main --build-arg=A=b=c --",
		"build --build-arg A=1,2 --build-arg=-x": "build --build-arg=A=1,2 --build-arg=-x --",
		"build --scratch=no --arch x86_64 -a y":  "build --scratch=false --architecture=x86_64 --architecture=y --",
		"get-build -- -x":                        "get-build -- -x",
		"get-build --help":                       "get-build --help --",
		"help build":                             "build --help --",
		"help":                                   "--help",
		"help nothing":                           "--help",
		"--version":                              "version --",
		"build --release -1":                     "build --release=-1 --",
		"--verbose list-build-configs --verbose=off": "--verbose=true --verbose=false list-build-configs --",
	} {
		p, _, _ := testProgram()
		got, err := parseArgs(p.app(), strings.Fields(in), p.getenv)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, strings.Join(got.args, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestParseArgsErrors(t *testing.T) {
	for in, want := range map[string]string{
		"bulid":                      "there is no command \"bulid\"\nhint: did you mean osbs build?",
		"frobnicate":                 "there is no command \"frobnicate\"\nhint: commands are: build, list-builds, get-build,",
		"get-token x":                "there is no command \"get-token\"\nhint: oc whoami --show-token prints it",
		"-- x":                       "there is no command \"x\"",
		"build --git-ulr x":          "osbs build has no flag --git-ulr\nhint: did you mean --git-url?",
		"build --zzz":                "osbs build has no flag --zzz\nhint: osbs build --help lists the flags",
		"--zzz":                      "osbs has no flag --zzz\nhint: osbs --help lists the flags; those of a command come after it",
		"build --add-yum-repo x":     "osbs build has no flag --add-yum-repo\nhint: COPY the .repo file in the Dockerfile",
		"build -g":                   "-g needs a value\nhint: --git-url=VALUE, if the value begins with -",
		"build -g -b main":           "-g needs a value",
		"build --scratch=maybe":      "--scratch: \"maybe\" is no boolean",
		"list-builds -f":             "osbs list-builds has no flag -f",
		"list-builds --output=yaml":  "",
		"list-builds --limit banana": "",
	} {
		p, _, _ := testProgram()
		_, err := parseArgs(p.app(), strings.Fields(in), p.getenv)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", in, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) || failure.KindOf(err) != failure.Usage {
			t.Errorf("%s: got %v, want %s", in, err, want)
		}
	}
}

func TestParseArgsEnvironment(t *testing.T) {
	p, _, _ := testProgram()
	env := map[string]string{
		"OSBS_DRY_RUN": "yes", "OSBS_BUILD_ARG": "A=1\n\nB=2", "OSBS_RELEASE": "3", "OSBS_OUTPUT": "json", "OSBS_GIT_URL": "left to osbsconf", "OSBS_ISOLATED": "maybe",
	}
	getenv := func(k string) string { return env[k] }
	_, err := parseArgs(p.app(), []string{"build"}, getenv)
	if want := `environment variable OSBS_ISOLATED: --isolated: "maybe" is no boolean`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	got, err := parseArgs(p.app(), []string{"build", "--isolated", "--release", "4"}, getenv)
	if err != nil {
		t.Fatal(err)
	}
	want := "--output=json build --isolated=true --release=4 --build-arg=A=1 --build-arg=B=2 --dry-run=true --"
	if diff := cmp.Diff(want, strings.Join(got.args, " ")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestComplete(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "build list-builds get-build build-logs watch-build watch-builds cancel-build list-build-configs plan graph import-image pause-builds resume-builds rebuild explain backup-builder restore-builder serve install uninstall generate completion version",
		"bui":                           "build build-logs",
		"build --git-":                  "--git-url --git-branch --git-commit",
		"build --git-url x --git-":      "--git-branch --git-commit",
		"build --lock-policy ":          "fail wait",
		"list-builds --output ":         "text json",
		"plan --output ":                "text json mermaid dot svg",
		"--output json list-builds --r": "--running --registry-uri",
		"completion ":                   "bash zsh fish",
		"completion bash ":              "",
		"nonsense ":                     "",
		"list-builds --columns n":       "name",
	} {
		p, stdout, _ := testProgram()
		p.complete(t.Context(), p.app(), strings.Split(in, " "))
		if got := strings.Join(strings.Fields(stdout.String()), " "); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzParseArgs(f *testing.F) {
	f.Add("build\n-g\nu\n--\n-x")
	f.Add("-i\nlocal\nhelp\nbuild")
	f.Add("--version\n--verbose=1")
	f.Fuzz(func(t *testing.T, text string) {
		p, _, _ := testProgram()
		if _, err := parseArgs(p.app(), strings.Split(text, "\n"), p.getenv); err != nil && failure.KindOf(err) != failure.Usage {
			t.Errorf("kind %s: %v", failure.KindOf(err), err)
		}
	})
}

func TestFailureAsJSON(t *testing.T) {
	for in, want := range map[string]string{
		"bulid --output json":                      "Usage",
		"build --bogus --output=json":              "Usage",
		"--output json get-build":                  "Usage",
		"--output json --config /none list-builds": "Usage",
		"--output json --output text get-build":    "",
		"get-build -- --output json":               "",
		"--output yaml list-builds":                "",
	} {
		p, stdout, stderr := testProgram()
		p.run(t.Context(), strings.Fields(in))
		if want == "" {
			if stdout.Len() > 0 {
				t.Errorf("%s: stdout is %q", in, stdout)
			}
			continue
		}
		var got failureDocument
		if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
			t.Errorf("%s: %v in %q", in, err, stdout)
			continue
		}
		if message := "osbs: " + got.Failure.Message + "\n"; string(got.Failure.Kind) != want || message != stderr.String() {
			t.Errorf("%s: %+v, and stderr has %q", in, got.Failure, stderr)
		}
	}
}
