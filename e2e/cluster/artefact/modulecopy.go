package artefact

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
)

// moduleCopy downloads a module and copies it to dir, writable: some programs can only be built in their own module, because its go.mod has
// replacements, or because ko builds them.
func moduleCopy(ctx context.Context, log io.Writer, module, version, dir string) error {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir, cmd.Stderr, cmd.Env = os.TempDir(), log, append(GoEnvironment(), "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("downloading %s@%s: %w: %s", module, version, err, out)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return fmt.Errorf("downloading %s@%s: %w", module, version, err)
	}
	if err := os.CopyFS(dir, os.DirFS(downloaded.Dir)); err != nil {
		return fmt.Errorf("copying %s@%s: %w", module, version, err)
	}
	return writable(dir)
}

// writable gives back what the module cache takes away.
func writable(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return root.Chmod(name, 0o755)
		}
		return root.Chmod(name, 0o644)
	})
}

// tkn is Tekton's command line.
func tkn() Artefact {
	return Artefact{
		Name:   "tkn",
		Inputs: []string{TknVersion},
		Make: func(ctx context.Context, out string, log io.Writer) error {
			source, err := os.MkdirTemp("", "tkn-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(source)
			if err := moduleCopy(ctx, log, "github.com/tektoncd/cli", TknVersion, source); err != nil {
				return err
			}
			return build(ctx, log, source, out, program{packages: []string{"./cmd/tkn"},
				ldflags: "-X github.com/tektoncd/cli/pkg/cmd/version.clientVersion=" + TknVersion[1:]})
		},
	}
}
