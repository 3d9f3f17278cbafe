package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/report"
)

// The flags of generate.
const (
	flagOverlay       = "overlay"
	flagTo            = "to"
	flagImages        = "images"
	flagRegistry      = "registry"
	flagSchema        = "schema"
	flagSample        = "sample"
	flagExplain       = "explain"
	flagDiff          = "diff"
	flagUpgrade       = "upgrade"
	flagBase          = "base"
	flagFromOSBSConf  = "from-osbs-conf"
	flagProdCustomize = "prod-customize"
)

// maxInput bounds the files that generate reads itself, in bytes.
const maxInput = 4 << 20

// lazyCollection is how much the heap grows, in percent, before garbage is collected while objects are made.
const lazyCollection = 1000

func (p *program) generateCommand() *cli.Command {
	return &cli.Command{
		Name: "generate", Usage: "render the Pipeline and all that belongs to it, to be applied with kubectl or kept in git", ArgsUsage: "[FILE]",
		Description: "FILE is the configuration; without it, everything has its default. Nothing is written if anything is wrong.\n" +
			"With --output json, what is printed is one List.",
		Flags: []cli.Flag{
			list(flagOverlay, "overlay `FILE` with a site's changes, applied in this order"),
			text(flagTo, "`FILE` or directory to write to; - is standard output. A directory gets a file for each object, and kustomization.yaml"),
			text(flagImages, "`FILE` with the images to put in the place of ko:// references, such as images.yaml of a release"),
			text(flagRegistry, "`HOST/PATH` in which the images of the stages are"),
			boolean(flagSample, "print a PipelineRun for users instead"),
			boolean(flagExplain, "print instead what each overlay has changed"),
			text(flagDiff, "print instead how `FILE|cluster`, what is in use, would change"),
			text(flagUpgrade, "merge what is generated with `OLD`, the file or directory that is in use, and keep what was changed in it"),
			text(flagBase, "for --upgrade: `FILE` or directory as it was generated, if OLD does not have that with it"),
			boolean(flagSchema, "print the JSON schema of the configuration instead"),
			text(flagFromOSBSConf, "convert this osbs.conf, its instance by -i, to a configuration instead"),
			text(flagProdCustomize, "for --from-osbs-conf: prod_customize.json, which becomes an overlay"),
		},
		Action: p.generate,
	}
}

func (p *program) generate(c *cli.Context) error {
	args, err := arguments(c, 0, 1, "")
	if err != nil {
		return err
	}
	if err := oneOf(c, flagSchema, flagFromOSBSConf, flagSample, flagExplain, flagDiff, flagUpgrade); err != nil {
		return err
	}
	asJSON, err := p.output(c)
	if err != nil {
		return err
	}
	switch {
	case c.Bool(flagSchema):
		_, err := p.stdout.Write(config.Schema())
		return err
	case c.String(flagFromOSBSConf) != "":
		return p.convert(c, args)
	case c.String(flagProdCustomize) != "":
		return failure.New(failure.Usage, "--%s goes with --%s", flagProdCustomize, flagFromOSBSConf)
	case c.String(flagBase) != "" && c.String(flagUpgrade) == "":
		return failure.New(failure.Usage, "--%s goes with --%s", flagBase, flagUpgrade)
	}
	// A command of a tenth of a second would spend a third of it on collecting a few megabytes of garbage.
	defer debug.SetGCPercent(debug.SetGCPercent(lazyCollection))
	in, err := p.generatorInput(c, args)
	if err != nil {
		return err
	}
	out, err := generator.Generate(c.Context, in)
	if err != nil {
		return err
	}
	w := writer{program: p, to: c.String(flagTo), json: asJSON}
	switch {
	case c.Bool(flagExplain):
		return w.explain(out)
	case c.String(flagDiff) != "":
		return w.diff(c.Context, c.String(flagDiff), out)
	case c.String(flagUpgrade) != "":
		return w.upgrade(c.String(flagUpgrade), c.String(flagBase), in.Config, out)
	case c.Bool(flagSample):
		return w.sample(out)
	default:
		return w.objects(in.Config, out)
	}
}

// oneOf refuses flags that exclude each other.
func oneOf(c *cli.Context, names ...string) error {
	var given []string
	for _, name := range names {
		if value := c.String(name); value != "" && value != "false" {
			given = append(given, dashed(name))
		}
	}
	if len(given) > 1 {
		return failure.New(failure.Usage, "%s exclude each other", strings.Join(given, " and "))
	}
	return nil
}

// generatorInput reads the files that the command line names.
func (p *program) generatorInput(c *cli.Context, args []string) (generator.Input, error) {
	in := generator.Input{Config: config.Default(), Registry: c.String(flagRegistry), Version: p.releaseVersion()}
	if len(args) > 0 {
		data, err := readInput(args[0])
		if err != nil {
			return in, err
		}
		if in.Config, err = config.Load(args[0], data); err != nil {
			return in, err
		}
	}
	for _, file := range c.StringSlice(flagOverlay) {
		data, err := readInput(file)
		if err != nil {
			return in, err
		}
		entries, err := overlay.Read(file, data)
		if err != nil {
			return in, err
		}
		in.Overlays = append(in.Overlays, entries...)
	}
	if file := c.String(flagImages); file != "" {
		f, err := os.Open(file)
		if err != nil {
			return in, failure.New(failure.NotFound, "reading the images: %w", err)
		}
		defer f.Close()
		if in.Images, err = manifest.ReadImages(file, f); err != nil {
			return in, err
		}
	}
	if namespace := c.String(flagNamespace); namespace != "" {
		in.Config.Namespace = namespace
		return in, in.Config.Validate()
	}
	return in, nil
}

// releaseVersion is the version that images and labels have: that of a release, else none.
func (p *program) releaseVersion() string {
	if version := p.versionText(); version != "devel" {
		return version
	}
	return ""
}

// readInput reads a whole file of bounded size.
func readInput(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, failure.New(failure.NotFound, "%w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxInput {
		return nil, failure.New(failure.Usage, "%s is no file of at most %d bytes", file, maxInput)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, failure.New(failure.Storage, "%w", err)
	}
	return data, nil
}

// convert makes a configuration of an osbs.conf.
func (p *program) convert(c *cli.Context, args []string) error {
	if len(args) > 0 {
		return failure.New(failure.Usage, "--%s makes a configuration: osbs generate %s would read one", flagFromOSBSConf, args[0])
	}
	file, customizeFile := c.String(flagFromOSBSConf), c.String(flagProdCustomize)
	data, err := readInput(file)
	if err != nil {
		return err
	}
	var customize []byte
	if customizeFile != "" {
		if customize, err = readInput(customizeFile); err != nil {
			return err
		}
	}
	made, err := config.FromOSBSConf(file, data, c.String(flagInstance), customizeFile, customize)
	if err != nil {
		return err
	}
	if err := p.writeConversion(c.String(flagTo), made); err != nil {
		return err
	}
	for _, note := range made.Notes {
		p.note(note)
	}
	return nil
}

// The files that a conversion makes.
const (
	convertedConfig  = "osbs.yaml"
	convertedOverlay = "overlay.yaml"
)

func (p *program) writeConversion(to string, made *config.Conversion) error {
	if to == "" || to == "-" {
		if made.Overlay != "" {
			return failure.WithHint(failure.New(failure.Usage, "the overlay is a second file beside the configuration"),
				"name a directory for both: --%s DIR/", flagTo)
		}
		_, err := fmt.Fprint(p.stdout, made.Config)
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return failure.New(failure.Storage, "making the directory for the configuration: %w", err)
	}
	files := map[string]string{convertedConfig: made.Config, convertedOverlay: made.Overlay}
	for _, name := range slices.Sorted(maps.Keys(files)) { // before any is written
		if path := filepath.Join(to, name); exists(path) {
			return failure.New(failure.Conflict, "%s is there already", path)
		}
	}
	for name, content := range files {
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, name), []byte(content), 0o644); err != nil {
			return failure.New(failure.Storage, "writing the configuration: %w", err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// note says on stderr what a person must do or know.
func (p *program) note(text string) { fmt.Fprintln(p.stderr, "osbs: note: "+cleanLines(text)) }

// printJSON prints the one document of a command.
func (p *program) printJSON(v any) error {
	p.shown = true
	return report.JSON(p.stdout, v)
}
