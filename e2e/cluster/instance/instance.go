// Package instance is one cluster on this machine: its name, its directory, its process, and what others need to know to use it.
package instance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/osbs-tekton/osbs/e2e/cluster/node"
)

// NameVariable names the cluster; without it the name is made from the checkout's path, so that two checkouts have two clusters.
const NameVariable = "OSBS_CLUSTER"

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// Instance is a cluster that may or may not run.
type Instance struct {
	Name string
	// Dir holds all of the cluster's data.
	Dir string
	// Cache is shared by all clusters of the user.
	Cache string
	// Checkout is the top of the source tree.
	Checkout string
	// Progress is told what is being done.
	Progress io.Writer
}

// Open finds the instance that belongs to the checkout in which the program runs.
func Open(progress io.Writer) (*Instance, error) {
	checkout, err := findCheckout()
	if err != nil {
		return nil, err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("finding the user's cache directory: %w", err)
	}
	cache := filepath.Join(base, "osbs-e2e")
	for _, hidden := range []string{"/tmp", "/run", "/var/lib", "/var/log"} {
		if cache == hidden || strings.HasPrefix(cache, hidden+"/") {
			return nil, fmt.Errorf("the cache directory %s is below %s, which the cluster hides from its daemons; set XDG_CACHE_HOME to another place", cache, hidden)
		}
	}
	name := os.Getenv(NameVariable)
	if name == "" {
		name = defaultName(checkout)
	}
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%s=%q: a name is made of at most 42 small letters, digits and dashes", NameVariable, name)
	}
	return &Instance{Name: name, Dir: filepath.Join(cache, "clusters", name), Cache: cache, Checkout: checkout, Progress: progress}, nil
}

// findCheckout looks upward for the directory that has the modules of the cluster's programs.
func findCheckout() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "e2e/cluster/modules")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a checkout: no directory above it has e2e/cluster/modules", start)
		}
	}
}

// defaultName is the last part of the path, for people, and a hash of the whole, for uniqueness.
func defaultName(checkout string) string {
	sum := sha256.Sum256([]byte(checkout))
	base := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(filepath.Base(checkout)), "-")
	base = strings.Trim(base[:min(len(base), 20)], "-")
	return strings.TrimPrefix(base+"-"+hex.EncodeToString(sum[:3]), "-")
}

func (i *Instance) path(elem ...string) string {
	return filepath.Join(append([]string{i.Dir}, elem...)...)
}

// Modules is the directory of the modules from which the programs are built.
func (i *Instance) Modules() string { return filepath.Join(i.Checkout, "e2e/cluster/modules") }

// cgroup is the parent of the cgroups of the cluster's pods.
func (i *Instance) cgroup() string { return "/osbs-e2e/" + i.Name }

// Settings are those of the node.
func (i *Instance) settings() node.Settings { return node.Settings{Dir: i.Dir, Cgroup: i.cgroup()} }

// Control asks the node for things.
func (i *Instance) Control() *node.Control { return node.NewControl(i.settings()) }

// State is what is known of the process in which the cluster lives.
type State struct {
	Process Process   `json:"process"`
	Started time.Time `json:"started"`
	Ends    time.Time `json:"ends"`
	// Complete is set when everything was deployed.
	Complete bool `json:"complete"`
}

// State reads the state. ok is false if there is no cluster, or if its process is gone.
func (i *Instance) State() (s State, ok bool, err error) {
	text, err := os.ReadFile(i.path("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, false, fmt.Errorf("reading %s: %w; remove the file if the cluster is gone", i.path("state.json"), err)
	}
	// Process numbers of the machine mean nothing inside, and what runs inside shows that the cluster does.
	return s, i.inside() || s.Process.Alive(), nil
}

func (i *Instance) writeState(s State) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(i.path("state.json"), append(text, '\n'))
}

// writeFile replaces a file at once.
func writeFile(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o600); err != nil { //nolint:gosec // in the cluster's own directory, or the checkout
		return err
	}
	return os.Rename(name+".new", name)
}

// lock keeps two programs from bringing the same cluster up or down at once. It ends with the process that has it.
func (i *Instance) lock(ctx context.Context) (unlock func(), err error) {
	dir := filepath.Join(i.Cache, "clusters")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, i.Name+".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !told {
			fmt.Fprintf(i.Progress, "waiting: another program is at work on the cluster %s\n", i.Name)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
