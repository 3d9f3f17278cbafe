package clone

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// git is a path inside of the repository's .git directory.
func (f *fetch) git(elements ...string) string {
	return filepath.Join(append([]string{f.dir, ".git"}, elements...)...)
}

// initialise makes an empty repository in the empty directory. No hook and no configuration of this machine gets into it.
func (f *fetch) initialise() error {
	if info, err := os.Lstat(f.dir); err == nil && !info.IsDir() {
		if err := os.Remove(f.dir); err != nil {
			return failure.New(failure.Storage, "cleaning the workspace: %w", err)
		}
	}
	if err := removeAll(f.dir); err != nil {
		return failure.New(failure.Storage, "%w", err)
	}
	for _, dir := range []string{f.git("objects", "pack"), f.git("objects", "info"), f.git("refs", "heads"), f.git("refs", "tags")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return failure.New(failure.Storage, "making the repository: %w", err)
		}
	}
	return nil
}

// writeRefs makes the repository one that git, and the prepare stage, can go on with: the branch is at the commit that is checked
// out. The URL is written without credentials.
func (f *fetch) writeRefs() error {
	head := f.target.String() + "\n"
	config := "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n" +
		fmt.Sprintf("[remote \"origin\"]\n\turl = %s\n", quote(f.remote.URL().String()))
	files := map[string]string{}
	if f.branch != "" {
		head = "ref: refs/heads/" + f.branch + "\n"
		files["refs/heads/"+f.branch] = f.target.String() + "\n"
		files["refs/remotes/origin/"+f.branch] = f.target.String() + "\n"
		config += fmt.Sprintf("\tfetch = %s\n[branch %s]\n\tremote = origin\n\tmerge = %s\n",
			quote("+refs/heads/"+f.branch+":refs/remotes/origin/"+f.branch), quote(f.branch), quote("refs/heads/"+f.branch))
	}
	files["config"], files["HEAD"] = config, head
	if len(f.shallow) > 0 {
		files["shallow"] = f.shallowFile()
	}
	for name, text := range files {
		if err := writeFile(f.git(filepath.FromSlash(name)), text); err != nil {
			return failure.New(failure.Storage, "making the repository: %w", err)
		}
	}
	return nil
}

func (f *fetch) shallowFile() string {
	lines := make([]string, 0, len(f.shallow))
	for h := range f.shallow {
		lines = append(lines, h.String()+"\n")
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

func writeFile(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// quote writes a value as git's configuration files quote it.
func quote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}
