package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/osbs-tekton/osbs/pkg/build/engine"
)

func TestMain(m *testing.M) {
	engine.Main() // a script's osbs starts itself, which is this binary, as the build engine
	testscript.Main(m, map[string]func(){"osbs": func() { os.Exit(realMain()) }})
}

// patience bounds how long a script waits for something that must happen.
const patience = 2 * time.Minute

func TestScripts(t *testing.T) {
	if os.Getenv("OSBS_TEST_SKIP_SERVERS") == "1" {
		t.Skip("OSBS_TEST_SKIP_SERVERS=1")
	}
	busybox := staticBusybox(t)
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("git is needed: apt-get install git")
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("OSBS_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("GIT", "file://"+filepath.Join(env.WorkDir, "git"))
			env.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, ".gitconfig"))
			env.Setenv("BUSYBOX", busybox)
			env.Setenv("TZ", "UTC")
			if err := os.MkdirAll(home, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[user]\nname = Test\nemail = test@example.com\n[init]\ndefaultBranch = main\n"), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"repo": scriptRepo, "commit": scriptCommit, "exits": scriptExits, "until": scriptUntil, "json": scriptJSON,
			"newest": scriptNewest, "snapshot": scriptSnapshot, "unmoved": scriptUnmoved, "get": scriptGet, "refs": scriptRefs, "setenv": scriptSetenv, "same": scriptSame,
		},
	})
}

// staticBusybox is the shell that test images have.
func staticBusybox(t *testing.T) string {
	t.Helper()
	for _, path := range []string{"/bin/busybox", "/usr/bin/busybox"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("a static busybox is needed: apt-get install busybox-static")
	return ""
}

func git(ts *testscript.TestScript, dir string, args ...string) {
	ts.Check(ts.Exec("git", append([]string{"-C", dir}, args...)...))
}

// scriptRepo makes a bare repository git/NAME.git from the directory NAME: `repo NAME`. The image base gets a shell.
func scriptRepo(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	dir, bare := ts.MkAbs(name), ts.MkAbs("git/"+name+".git")
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(ts.Exec("git", "init", "-q", "--bare", bare))
	if name == "base" {
		shell, err := os.ReadFile(ts.Getenv("BUSYBOX"))
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, "busybox"), shell, 0o755))
	}
	git(ts, dir, "init", "-q")
	git(ts, dir, "remote", "add", "origin", bare)
	scriptCommit(ts, false, []string{name, "Add " + name})
}

// scriptCommit commits and pushes what is in the directory: `commit NAME MESSAGE`.
func scriptCommit(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	git(ts, dir, "add", "-A")
	git(ts, dir, "commit", "-q", "--allow-empty", "-m", args[1])
	git(ts, dir, "push", "-q", "origin", "HEAD:main")
}

// scriptExits checks the exit code of a command: `exits CODE COMMAND...`.
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptUntil runs a command until its output matches: `until REGEXP COMMAND...`.
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	wanted := regexp.MustCompile(args[0])
	for end := time.Now().Add(patience); ; {
		_ = ts.Exec(args[1], args[2:]...)
		if wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not come", args[0])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// scriptJSON checks that a file, or stdout, is one JSON document with a value at a path that matches: `json FILE PATH REGEXP`.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	var v any
	ts.Check(d.Decode(&v))
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		ts.Fatalf("there is more than one document in %s", args[0])
	}
	for part := range strings.SplitSeq(args[1], ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[part]
		case []any:
			if part == "length" {
				v = len(at)
				continue
			}
			i, err := strconv.Atoi(part)
			ts.Check(err)
			v = nil
			if i < len(at) {
				v = at[i]
			}
		default:
			v = nil
		}
	}
	if got := fmt.Sprint(v); regexp.MustCompile("^(?:"+args[2]+")$").MatchString(got) == neg {
		ts.Fatalf("%s is %q, not %q", args[1], got, args[2])
	}
}

// scriptSame checks that two JSON documents have the same string at their top: `same FILE FILE KEY`.
func scriptSame(ts *testscript.TestScript, _ bool, args []string) {
	var values [2]any
	for n := range values {
		var document map[string]any
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[n])), &document))
		values[n] = document[args[2]]
	}
	if values[0] == nil || values[0] != values[1] {
		ts.Fatalf("%s is %v, and %v", args[2], values[0], values[1])
	}
}

// scriptNewest sets a variable to the name of the newest build: `newest VARIABLE [FILTER]`.
func scriptNewest(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("osbs", append([]string{"list-builds", "--columns", "name", "--limit", "1"}, args[1:]...)...))
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	if len(lines) != 2 {
		ts.Fatalf("there is no build")
	}
	ts.Setenv(args[0], lines[1])
}

// state is every tag of the registry and of the ImageStreams, and what it means.
func state(ts *testscript.TestScript) map[string]string {
	out := map[string]string{}
	data := ts.Getenv("OSBS_DATA_DIR")
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		relative, _ := filepath.Rel(data, path)
		isTag := strings.HasPrefix(relative, "registry/") && strings.Contains(relative, "/tags/") && strings.HasSuffix(relative, "/current/link")
		if isTag || strings.HasPrefix(relative, "imagestreams/") && strings.HasSuffix(relative, ".yaml") {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			out[relative] = string(content)
		}
		return nil
	})
	ts.Check(err)
	return out
}

const snapshotFile = ".snapshot"

// scriptSnapshot remembers where all tags are.
func scriptSnapshot(ts *testscript.TestScript, _ bool, _ []string) {
	data, err := json.Marshal(state(ts))
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), snapshotFile), data, 0o600))
}

var uniqueTag = regexp.MustCompile(`/tags/[a-z0-9]+-[a-z0-9]{5}-\d{14}/current/link$`)

// scriptUnmoved checks that no tag has moved since the snapshot, that none but unique ones are new, and that no build runs.
func scriptUnmoved(ts *testscript.TestScript, _ bool, _ []string) {
	var before map[string]string
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(ts.Getenv("WORK"), snapshotFile))), &before))
	now := state(ts)
	for name, was := range before {
		if now[name] != was {
			ts.Fatalf("%s has moved:\n%s\nwas\n%s", name, now[name], was)
		}
	}
	for name := range now {
		if _, there := before[name]; !there && !uniqueTag.MatchString(name) {
			ts.Fatalf("%s is new", name)
		}
	}
	ts.Check(ts.Exec("osbs", "list-builds", "--running", "--columns", "name"))
	if running := strings.TrimSpace(ts.ReadFile("stdout")); running != "NAME" {
		ts.Fatalf("still running: %s", running)
	}
}

// scriptGet fetches a URL: `get URL REGEXP`.
func scriptGet(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
	ts.Check(err)
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	ts.Check(err)
	if !regexp.MustCompile(args[1]).Match(bytes.TrimSpace(body)) {
		ts.Fatalf("%s has %q, not %q", args[0], body, args[1])
	}
}

// scriptRefs sets a variable to the commit of a branch: `refs NAME VARIABLE`.
func scriptRefs(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec("git", "--git-dir", ts.MkAbs("git/"+args[0]+".git"), "rev-parse", "main"))
	ts.Setenv(args[1], strings.TrimSpace(ts.ReadFile("stdout")))
}

// scriptSetenv sets the variables of a file with lines NAME=VALUE: `setenv FILE`.
func scriptSetenv(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.SplitSeq(strings.TrimSpace(ts.ReadFile(args[0])), "\n") {
		name, value, _ := strings.Cut(line, "=")
		ts.Setenv(name, value)
	}
}
