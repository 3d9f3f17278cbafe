package instance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// productModule is the module of the step binaries.
const productModule = "github.com/osbs-tekton/osbs"

// Publish builds the step images with ko, as ko.yaml says, on the cluster's static base, into its registry, and writes a map of ko's references
// to images: `ko://MODULE/cmd/NAME: IMAGE@DIGEST`. Without names it is every command of ko.yaml.
func (i *Instance) Publish(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("publish", flag.ContinueOnError)
	output := flags.String("o", "", "file to write (default: standard output)")
	config := flags.String("config", "ko.yaml", "ko's configuration, relative to the checkout")
	if err := flags.Parse(args); err != nil {
		return err
	}
	names := flags.Args()
	if len(names) == 0 {
		var err error
		if names, err = i.commands(*config); err != nil {
			return err
		}
	}
	packages := make([]string, len(names))
	for n, name := range names {
		packages[n] = "./cmd/" + name
	}
	// Inside the cluster there is no way to the module proxy, so all that is compiled is downloaded before.
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-deps"}, packages...)...)
	list.Dir, list.Env = i.Checkout, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := list.CombinedOutput(); err != nil {
		return fmt.Errorf("downloading what the images are made of: %w: %s", err, lastLine(out))
	}
	// GOFLAGS of the caller would come before those that ko.yaml sets.
	build := append([]string{"env", "GOFLAGS=-buildvcs=false", "GOPROXY=off", "KO_CONFIG_PATH=" + *config,
		"ko", "build", "--sbom=none", "--base-import-paths", "--platform=linux/" + runtime.GOARCH}, packages...)
	out, err := i.Run(ctx, i.Checkout, "", build...)
	if err != nil {
		return fmt.Errorf("building the images: %w", err)
	}
	references := strings.Fields(out)
	if len(references) != len(names) {
		return fmt.Errorf("ko built %d images of %d: %s", len(references), len(names), out)
	}
	var text strings.Builder
	for _, name := range names {
		n := slices.IndexFunc(references, func(r string) bool { return strings.Contains(r, "/"+name+"@") || strings.Contains(r, "/"+name+":") })
		if n < 0 {
			return fmt.Errorf("ko does not say where it put %s: %s", name, out)
		}
		fmt.Fprintf(&text, "ko://%s/cmd/%s: %s\n", productModule, name, references[n])
	}
	if *output == "" {
		_, err = os.Stdout.WriteString(text.String())
		return err
	}
	return os.WriteFile(*output, []byte(text.String()), 0o644)
}

// commands are those that ko's configuration names, as `main: ./cmd/NAME`.
func (i *Instance) commands(config string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(i.Checkout, config))
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if _, after, found := strings.Cut(line, "main: ./cmd/"); found {
			names = append(names, strings.TrimRight(strings.FieldsFunc(after, func(r rune) bool { return r == ',' || r == '}' })[0], " \n"))
		}
	}
	return names, nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
