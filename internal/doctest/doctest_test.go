package doctest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	tags = "containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper"
	root = "../.."
	// limit bounds the commands of one document.
	limit = 5 * time.Minute
)

func TestCommandsOfTheDocuments(t *testing.T) {
	osbs := buildOSBS(t)
	for _, document := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		script, commands, err := script(string(text))
		if err != nil {
			t.Errorf("%s: %v", document, err)
		}
		if commands == 0 {
			continue
		}
		t.Run(strings.ReplaceAll(document, "/", "_"), func(t *testing.T) {
			dir := playground(t, osbs)
			t.Logf("%d commands", commands)
			if out, err := bash(t.Context(), dir, script); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestREADMEHasTheTwoCommands(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"$ make demo\n", "$ make test\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("README.md lacks %q", want)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestLinksOfTheDocuments(t *testing.T) {
	for _, document := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, document))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(document), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", document, m[1])
			}
		}
	}
}

// documents are the README and everything below docs.
func documents(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md"}
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var fence = regexp.MustCompile("(?ms)^```console([^\n]*)\n(.*?)^```$")

// script is the shell program of a document's commands, and how many they are.
func script(text string) (string, int, error) {
	var b strings.Builder
	n := 0
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		options := strings.Fields(block[1])
		var commands []string
		for line := range strings.SplitSeq(block[2], "\n") {
			if c, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, makeDry(c))
			} else if len(commands) > 0 && strings.HasSuffix(commands[len(commands)-1], `\`) {
				commands[len(commands)-1] += "\n" + line
			}
		}
		n += len(commands)
		if err := writeBlock(&b, commands, options); err != nil {
			return "", n, err
		}
	}
	return b.String(), n, nil
}

// makeDry lets make say what it would do: its targets are long, and CI runs them by themselves.
func makeDry(command string) string {
	if target, ok := strings.CutPrefix(command, "make "); ok {
		return `make -C "$REPOSITORY" -n ` + target + " >/dev/null"
	}
	return command
}

func writeBlock(b *strings.Builder, commands, options []string) error {
	want := "0"
	background := false
	for _, o := range options {
		switch code, ok := strings.CutPrefix(o, "exit="); {
		case ok:
			want = code
		case o == "background":
			background = true
		default:
			return fmt.Errorf("console block with unknown option %q", o)
		}
	}
	for i, c := range commands {
		fmt.Fprintf(b, "echo '+ '%s\n", quote(c))
		switch {
		case background:
			fmt.Fprintf(b, "%s &\n", c)
		case i == len(commands)-1 && want != "0":
			fmt.Fprintf(b, "code=0; %s || code=$?\n[ $code = %s ] || { echo \"exit code $code, want %s\"; exit 1; }\n", c, want, want)
		default:
			fmt.Fprintf(b, "%s\n", c)
		}
	}
	return nil
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func buildOSBS(t *testing.T) string {
	t.Helper()
	osbs := filepath.Join(t.TempDir(), "osbs")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", osbs, "github.com/osbs-tekton/osbs/cmd/osbs")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return osbs
}

// playground makes the directory in which a document's commands run.
func playground(t *testing.T, osbs string) string {
	t.Helper()
	dir := t.TempDir()
	examples, err := filepath.Abs(filepath.Join(root, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	setup := fmt.Sprintf(`mkdir -p bin git
ln -s %[1]s bin/osbs
for name in base app; do
  git init -q --bare -b main git/$name.git
  git clone -q git/$name.git work/$name 2>/dev/null
  cp -a %[2]s/$name/. work/$name/
  [ $name = app ] || cp "$(command -v busybox)" work/base/busybox
  git -C work/$name add -A
  git -C work/$name -c user.name=demo -c user.email=demo@example.com commit -q -m "Add the $name image"
  git -C work/$name push -q origin HEAD:main
done
bin/osbs build -g file://$PWD/git/base.git -b main -u demo
`, quote(osbs), quote(examples))
	if out, err := bash(t.Context(), dir, setup); err != nil {
		t.Fatalf("setting up: %v\n%s", err, out)
	}
	return dir
}

// bash runs a script in dir, in a process group of its own that ends with it.
func bash(ctx context.Context, dir, script string) ([]byte, error) {
	repository, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n"+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OSBS_DATA_DIR="+filepath.Join(dir, "data"), "HOME="+dir, "REPOSITORY="+repository, "NO_COLOR=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	return out.Bytes(), err
}

// TestArchitectureNamesEveryPackage keeps the map of the packages complete.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, "pkg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.Contains(string(text), "`pkg/"+e.Name()+"`") {
			t.Errorf("docs/architecture.md does not name pkg/%s", e.Name())
		}
	}
}

var verb = regexp.MustCompile(`%[-+#]?[0-9.*]*[a-zA-Z]`)

// TestTroubleshootingQuotesRealErrors holds the headings of troubleshooting.md to what the programs print: each piece of a heading
// stands in the source, in this order, in one line.
func TestTroubleshootingQuotesRealErrors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	source := sourceLines(t)
	for _, m := range regexp.MustCompile("(?m)^### `([^`]+)`$").FindAllStringSubmatch(string(text), -1) {
		pieces := strings.Split(m[1], "...")
		for i := range pieces {
			pieces[i] = regexp.QuoteMeta(strings.TrimSpace(pieces[i]))
		}
		want := regexp.MustCompile(strings.Join(pieces, ".*"))
		found := false
		for _, line := range source {
			if found = want.MatchString(line); found {
				break
			}
		}
		if !found {
			t.Errorf("no program prints %q", m[1])
		}
	}
}

// sourceLines are the lines of the programs with a text in them, formatting verbs left out.
func sourceLines(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, dir := range []string{"cmd", "pkg"} {
		err := fs.WalkDir(os.DirFS(root), dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(filepath.Join(root, path))
			for line := range strings.SplitSeq(string(text), "\n") {
				if strings.Contains(line, `"`) {
					lines = append(lines, verb.ReplaceAllString(strings.ReplaceAll(line, `\"`, `"`), " "))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return lines
}
