package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

//go:generate go test -run ^TestReference$ -update .

var update = flag.Bool("update", false, "write docs/cli.md")

const docs = "../../docs/"

// TestReference renders the command reference and compares it with the one in docs.
func TestReference(t *testing.T) {
	p, _, _ := testProgram()
	got := reference(p.app())
	if *update {
		if err := os.WriteFile(docs+"cli.md", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(docs + "cli.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/cli.md is out of date, make generate renders it (-want +got):\n%s", diff)
	}
}

// reference is the command reference as Markdown.
func reference(app *cli.App) string {
	var b strings.Builder
	b.WriteString("<!-- Rendered from cmd/osbs by `make generate`. -->\n# Commands of osbs\n\n" +
		"`osbs COMMAND --help` says the same. Global options may be given anywhere. Every flag falls back to an environment variable, which the\n" +
		"tables name; a flag marked * falls back to its key in osbs.conf, too (`--git-url` to `git_url`), see [coming-from-osbs.md](coming-from-osbs.md).\n" +
		"Booleans are 0, 1, true, false, yes, no, on or off in any case. Exit codes are in [exit-codes.md](exit-codes.md).\n\n" +
		"## Global options\n\n")
	flagTable(&b, app.Flags)
	for _, c := range app.Commands {
		fmt.Fprintf(&b, "\n## osbs %s\n\n", c.Name)
		usage := "osbs " + c.Name
		if c.ArgsUsage != "" {
			usage += " " + c.ArgsUsage
		}
		if c.UsageText != "" {
			usage = c.UsageText
		}
		fmt.Fprintf(&b, "`%s`: %s.\n", usage, c.Usage)
		if c.Description != "" {
			fmt.Fprintf(&b, "\n%s\n", c.Description)
		}
		if len(c.Flags) > 0 {
			b.WriteString("\n")
			flagTable(&b, c.Flags)
		}
	}
	return b.String()
}

func flagTable(b *strings.Builder, flags []cli.Flag) {
	b.WriteString("| flag | environment | meaning |\n|---|---|---|\n")
	for _, f := range flags {
		documented, ok := f.(cli.DocGenerationFlag)
		if !ok || f.Names()[0] == "help" {
			continue
		}
		var names []string
		for _, name := range f.Names() {
			names = append(names, "`"+dashed(name)+"`")
		}
		star := ""
		if osbsconf.IsKey(key(f.Names()[0])) {
			star = " *"
		}
		usage := documented.GetUsage()
		if value := documented.GetDefaultText(); value != "" && takesValue(f) && strings.Trim(value, `"0`) != "" {
			usage += " (" + strings.Trim(value, `"`) + " if nobody says otherwise)"
		}
		fmt.Fprintf(b, "| %s%s | `%s` | %s |\n", strings.Join(names, ", "), star, variable(f.Names()[0]), strings.ReplaceAll(usage, "|", "\\|"))
	}
}

// TestExitCodesAreDocumented compares the table in docs with the codes of package failure.
func TestExitCodesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(docs + "exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []failure.Kind{
		failure.Internal, failure.Usage, failure.InvalidInput, failure.NotFound, failure.Unauthorized, failure.Conflict, failure.Unavailable,
		failure.BuildFailed, failure.Storage, failure.Skipped, failure.Untrusted, failure.TimedOut, failure.Cancelled,
	}
	for _, k := range kinds {
		if row := fmt.Sprintf("\n| %d | %s | ", k.ExitCode(), k); !strings.Contains(string(text), row) {
			t.Errorf("docs/exit-codes.md lacks%s", row)
		}
	}
	if rows := strings.Count(string(text), "\n| ") - 2; rows != len(kinds) { // one of success, one of the heading
		t.Errorf("docs/exit-codes.md has %d rows of failures, want %d", rows, len(kinds))
	}
}

// TestKeysAreDocumented holds the page for people who come from OSBS against the keys of osbs.conf and the flags of osbs build.
func TestKeysAreDocumented(t *testing.T) {
	text, err := os.ReadFile(docs + "coming-from-osbs.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(osbsconf.Keys(), osbsconf.GoneKeys()...) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/coming-from-osbs.md lacks the key `%s`", name)
		}
	}
	p, _, _ := testProgram()
	for _, c := range p.app().Commands {
		if !strings.Contains(string(text), "`"+c.Name) {
			t.Errorf("docs/coming-from-osbs.md lacks the command `%s`", c.Name)
		}
	}
}
