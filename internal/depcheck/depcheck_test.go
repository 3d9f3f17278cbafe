package depcheck

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/osbs-tekton/osbs"
	tags   = "containers_image_openpgp,exclude_graphdriver_btrfs,exclude_graphdriver_devicemapper"
	mega   = 1_000_000
)

// What small programs must not link.
var (
	kubernetes = []string{"k8s.io/", "sigs.k8s.io/", "github.com/openshift/", "github.com/tektoncd/"}
	engine     = []string{"go.podman.io/"}
	web        = []string{"github.com/distribution/distribution/v3/registry/handlers"}
	gitLibrary = []string{"github.com/go-git/"}
	registry   = []string{"github.com/google/go-containerregistry/pkg/v1/remote"}
	// schemes have every type of an API, whether it is used or not: package cluster needs only those that a program names.
	schemes = []string{"k8s.io/client-go/kubernetes", "k8s.io/client-go/dynamic", "k8s.io/client-go/discovery", "github.com/openshift/client-go/", "github.com/tektoncd/"}
)

// programs are the step binaries: what each must not link, and how many megabytes it may have when stripped.
var programs = map[string]struct {
	size      int64
	forbidden [][]string
}{
	"clone":       {15, [][]string{kubernetes, engine, web, registry}},
	"detect-base": {12, [][]string{kubernetes, engine, web, gitLibrary}},
	"prepare":     {12, [][]string{kubernetes, engine, web, registry}},
	"push":        {12, [][]string{kubernetes, engine, web}}, // git for the bump of a release
	"sync":        {12, [][]string{kubernetes, engine, web, gitLibrary}},
	"lock":        {17, [][]string{engine, web, gitLibrary, registry, schemes}}, // 9.7 without a client of the Kubernetes API
	"import":      {18, [][]string{engine, web, gitLibrary, schemes}},           // 11.2 without it
	"build":       {40, [][]string{{"k8s.io/", "github.com/openshift/api", "github.com/tektoncd/"}, web, gitLibrary}},
}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath, Dir, Doc, Name string
	Imports                    []string
	Standard                   bool
	GoFiles                    []string
}

func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-tags", tags, "-json=ImportPath,Dir,Doc,Name,Imports,Standard,GoFiles"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	all := map[string]pkg{}
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// chain is the shortest way of imports from one package to the first that match accepts; nil if there is none.
func chain(all map[string]pkg, from string, match func(string) bool) []string {
	cameFrom := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at != from && match(at) {
			var way []string
			for ; at != ""; at = cameFrom[at] {
				way = append([]string{at}, way...)
			}
			return way
		}
		for _, next := range all[at].Imports {
			if _, seen := cameFrom[next]; !seen {
				cameFrom[next] = at
				queue = append(queue, next)
			}
		}
	}
	return nil
}

func hasPrefix(prefixes []string) func(string) bool {
	return func(s string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
	}
}

func TestStepBinariesLinkNothingHeavy(t *testing.T) {
	for name, p := range programs {
		t.Run(name, func(t *testing.T) {
			root := module + "/cmd/" + name
			all := list(t, "-deps", root)
			for _, group := range p.forbidden {
				if way := chain(all, root, hasPrefix(group)); way != nil {
					t.Errorf("%s must not link %v, but does:\n  %s", name, group, strings.Join(way, "\n  imports "))
				}
			}
		})
	}
}

// TestStepBinaries builds them all and looks at what came of it.
func TestStepBinaries(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", tags, "-ldflags", "-s -w", "-o", dir+"/", module+"/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("are small", func(t *testing.T) { checkSizes(t, dir) })
	t.Run("share their words", func(t *testing.T) { checkFlags(t, dir) })
}

func checkSizes(t *testing.T, dir string) {
	for name, p := range programs {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("%-12s %5.1f MB of %d", name, float64(info.Size())/mega, p.size)
		if info.Size() > p.size*mega {
			t.Errorf("%s has %.1f MB, more than %d", name, float64(info.Size())/mega, p.size)
		}
	}
}

// ofStage are the flags that mean to each stage something of its own.
var ofStage = []string{"buildconfig-dir", "dockerfile-target", "git-commit", "git-url", "isolated", "jobs", "platform", "registry-uri", "scratch", "submodules"}

// flagHelp is a flag in what a step binary says with -help: its name, and on the next line what it does and perhaps its default.
var flagHelp = regexp.MustCompile(`(?m)^  -([a-z-]+).*\n    \t(.*?)( \(default .*\))?$`)

// checkFlags: one flag has one description in all step binaries.
func checkFlags(t *testing.T, dir string) {
	first := map[string][2]string{}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(dir, name), "-help").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		flags := flagHelp.FindAllStringSubmatch(string(out), -1)
		if len(flags) < 5 {
			t.Errorf("%s: its help was not understood:\n%s", name, out)
		}
		for _, f := range flags {
			flag, text := f[1], f[2]
			if other, seen := first[flag]; !seen {
				first[flag] = [2]string{name, text}
			} else if other[1] != text && !slices.Contains(ofStage, flag) {
				t.Errorf("-%s is in %s %q, in %s %q", flag, other[0], other[1], name, text)
			}
		}
	}
}

// engineUsers are the only packages that may link the build engine: the programs whose process can become one.
var engineUsers = []string{module + "/cmd/build", module + "/cmd/osbs", module + "/pkg/build/engine"}

// forTests are the packages below internal that only tests import.
var forTests = []string{"apitest", "faultproxy", "forwardproxy", "gittest", "golden", "pulptest", "registrymatrix", "registrytest", "tektontest"}

func TestPackages(t *testing.T) {
	all := list(t, module+"/...")
	for name, p := range all {
		if len(p.GoFiles) == 0 {
			continue
		}
		if p.Doc == "" {
			t.Errorf("%s has no package comment", name)
		}
		switch base := path.Base(name); base {
		case "util", "utils", "common", "helper", "helpers", "misc", "errors", "types":
			t.Errorf("%s: a package is named for its concept, not %q", name, base)
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+"/cmd/") {
				t.Errorf("%s imports %s: programs are not imported", name, imported)
			}
			if slices.Contains(forTests, strings.TrimPrefix(imported, module+"/internal/")) && !strings.HasPrefix(name, module+"/internal/") {
				t.Errorf("%s imports %s: that is for tests", name, imported)
			}
			if strings.HasPrefix(imported, "go.podman.io/") && !slices.Contains(engineUsers, name) {
				t.Errorf("%s imports %s: only %v link the build engine", name, imported, engineUsers)
			}
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d packages were seen", len(all))
	}
}
