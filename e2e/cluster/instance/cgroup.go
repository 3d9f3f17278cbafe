package instance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const cgroups = "/sys/fs/cgroup"

// hierarchies are where cgroups are made: with version 2 one, with version 1 one for each controller.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}, nil
	}
	entries, err := os.ReadDir(cgroups)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		dir := filepath.Join(cgroups, e.Name())
		// Links (cpu -> cpu,cpuacct) would be done twice.
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && e.IsDir() {
			all = append(all, dir)
		}
	}
	return all, nil
}

// makeCgroups makes the parent of the pods' cgroups in each hierarchy.
func (i *Instance) makeCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return fmt.Errorf("looking for cgroups: %w", err)
	}
	for _, hierarchy := range all {
		parent := hierarchy
		for part := range strings.SplitSeq(strings.Trim(i.cgroup(), "/"), "/") {
			if hierarchy == cgroups {
				if err := delegate(parent); err != nil {
					return err
				}
			}
			dir := filepath.Join(parent, part)
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if err := inherit(parent, dir); err != nil {
				return err
			}
			parent = dir
		}
	}
	return nil
}

// delegate lets children of a cgroup of version 2 use all of its controllers.
func delegate(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(text)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("delegating the controller %s in %s: %w", controller, dir, err)
		}
	}
	return nil
}

// inherit gives a new cpuset of version 1 the processors and memory of its parent: it has none by itself.
func inherit(parent, dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, fs.ErrNotExist) || strings.TrimSpace(string(text)) == "" {
			continue
		}
		if err != nil {
			return err
		}
		//nolint:gosec // below /sys/fs/cgroup, and the cluster's name has no dots or slashes
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return fmt.Errorf("setting %s of %s: %w", file, dir, err)
		}
	}
	return nil
}

// removeCgroups removes the cluster's cgroups, and what is common to all clusters if this was the last.
func (i *Instance) removeCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	var failures []error
	for _, hierarchy := range all {
		dir := filepath.Join(hierarchy, i.cgroup())
		failures = append(failures, removeTree(dir))
		_ = os.Remove(filepath.Dir(dir))
	}
	return errors.Join(failures...)
}

// removeTree removes directories from the leaves on: the files in a cgroup cannot be removed, and need not be.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
