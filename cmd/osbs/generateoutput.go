package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/install"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/generator/overlay"
	"github.com/osbs-tekton/osbs/generator/upgrade"
	"github.com/osbs-tekton/osbs/generator/validate"
	"github.com/osbs-tekton/osbs/pkg/cluster"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/step"
)

// writer brings what was generated to where the command line wants it.
type writer struct {
	*program
	to   string
	json bool
}

// What needs more rights than the namespace's gets a file, or a directory, of its own.
const (
	clusterPart = "cluster"
	othersPart  = "other-namespaces"
)

// objects writes all objects, with the record that a later --upgrade reads.
func (w writer) objects(cfg *config.Config, out *generator.Output) error {
	stamped, err := upgrade.Stamp(out.Objects())
	if err != nil {
		return err
	}
	if err := w.write(install.Split(cfg, stamped)); err != nil {
		return err
	}
	for _, note := range out.Notes {
		w.note(note)
	}
	return nil
}

func (w writer) write(g install.Groups) error {
	switch {
	case w.to == "" || w.to == "-":
		return w.print(append(append(append([]*yaml.RNode(nil), g.Namespace...), g.Cluster...), g.Others...))
	case isDirectory(w.to):
		return writeDirs(w.to, g)
	default:
		return writeFiles(w.to, g)
	}
}

// isDirectory says whether a path is one, or is to become one.
func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || err != nil && filepath.Ext(path) == "" || strings.HasSuffix(path, "/")
}

func writeDirs(dir string, g install.Groups) error {
	for _, part := range []struct {
		dir     string
		objects []*yaml.RNode
	}{{dir, g.Namespace}, {filepath.Join(dir, clusterPart), g.Cluster}, {filepath.Join(dir, othersPart), g.Others}} {
		if _, err := os.Stat(part.dir); err != nil && len(part.objects) == 0 {
			continue
		}
		if err := manifest.WriteDir(part.dir, part.objects); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes osbs.yaml, and beside it osbs-cluster.yaml and osbs-other-namespaces.yaml if there is something for them: all, or none
// if a file is in the way.
func writeFiles(file string, g install.Groups) error {
	parts := []struct {
		file    string
		objects []*yaml.RNode
	}{{file, g.Namespace}, {beside(file, clusterPart), g.Cluster}, {beside(file, othersPart), g.Others}}
	for _, part := range parts {
		if err := manifest.Free(part.file); len(part.objects) > 0 && err != nil {
			return err
		}
	}
	for _, part := range parts {
		if len(part.objects) == 0 {
			continue
		}
		if err := manifest.WriteFile(part.file, part.objects); err != nil {
			return err
		}
	}
	return nil
}

// beside is the file of a part: osbs-PART.yaml for osbs.yaml.
func beside(file, part string) string {
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + "-" + part + ext
}

// print writes objects to stdout, as YAML documents or as one List in JSON.
func (w writer) print(objects []*yaml.RNode) error {
	if !w.json {
		return manifest.Write(w.stdout, objects)
	}
	list := struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}{"v1", "List", make([]json.RawMessage, 0, len(objects))}
	for _, o := range objects {
		data, err := o.MarshalJSON()
		if err != nil {
			return failure.New(failure.Internal, "writing %s %s as JSON: %w", o.GetKind(), o.GetName(), err)
		}
		list.Items = append(list.Items, data)
	}
	return w.printJSON(list)
}

func (w writer) sample(out *generator.Output) error {
	if w.json {
		return w.print([]*yaml.RNode{out.Sample(nil)})
	}
	text, err := out.SampleText("A build: put in what is to be built, then kubectl create -f this file.", nil)
	if err != nil {
		return err
	}
	if w.to == "" || w.to == "-" {
		_, err := w.stdout.Write(text)
		return err
	}
	if err := renameio.WriteFile(w.to, text, 0o644); err != nil {
		return failure.New(failure.Storage, "writing the sample: %w", err)
	}
	return nil
}

// explain shows what each overlay has changed, file by file.
func (w writer) explain(out *generator.Output) error {
	if w.json {
		changes := out.Changes
		if changes == nil {
			changes = []overlay.Change{}
		}
		return w.printJSON(changes)
	}
	for _, c := range out.Changes {
		fmt.Fprintln(w.stdout, c)
	}
	if len(out.Changes) == 0 {
		fmt.Fprintln(w.stdout, "no overlay has changed anything")
	}
	return nil
}

// diff shows how what is in use would change.
func (w writer) diff(ctx context.Context, used string, out *generator.Output) error {
	old, err := w.inUse(ctx, used, out)
	if err != nil {
		return err
	}
	objects := out.Objects()
	if used == onCluster { // which is not asked for what is in no namespace
		objects = append(slices.Clone(out.Namespace), out.Others...)
	}
	text, err := upgrade.Diff(old, objects) //nolint:contextcheck // it computes, and Tekton's defaults want a context that says nothing
	if err != nil {
		return err
	}
	if w.json {
		return w.printJSON(map[string]string{"diff": text})
	}
	fmt.Fprint(w.stdout, text)
	return nil
}

// onCluster is the word for what the cluster has, in the place of a file.
const onCluster = "cluster"

func (w writer) inUse(ctx context.Context, used string, out *generator.Output) ([]*yaml.RNode, error) {
	if used != onCluster {
		return readWritten(used)
	}
	return install.InUse(ctx, func(namespace string) (*cluster.Client, error) {
		found, err := cluster.Find(cluster.Options{Namespace: namespace, Kubeconfig: w.getenv("KUBECONFIG")})
		if err != nil {
			return nil, err
		}
		return cluster.New(found, step.Env{})
	}, out.Objects())
}

// readWritten reads what objects has written: the file or directory, and the parts that are beside or below it.
func readWritten(path string) ([]*yaml.RNode, error) {
	all, err := manifest.ReadPath(path)
	if err != nil {
		return nil, err
	}
	for _, part := range []string{clusterPart, othersPart} {
		name := beside(path, part)
		if isDirectory(path) {
			name = filepath.Join(path, part)
		}
		if _, err := os.Stat(name); err != nil {
			continue
		}
		objects, err := manifest.ReadPath(name)
		if err != nil && failure.KindOf(err) != failure.NotFound { // a directory may have nothing left
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// upgrade merges what is generated with what is in use.
func (w writer) upgrade(used, base string, cfg *config.Config, out *generator.Output) error {
	mine, err := readWritten(used)
	if err != nil {
		return err
	}
	before, err := baseOf(mine, base)
	if err != nil {
		return err
	}
	theirs, err := upgrade.Stamp(out.Objects())
	if err != nil {
		return err
	}
	merged, conflicts, err := upgrade.Merge(before, mine, theirs)
	if err != nil {
		return err
	}
	if len(conflicts) > 0 {
		var all []error
		for _, c := range conflicts {
			all = append(all, errors.New(c.String()))
		}
		err := failure.New(failure.Conflict, "%s and this version have changed the same:\n%w", used, errors.Join(all...))
		return failure.WithHint(err, "for each, make %s what it becomes, or say what it shall be in an overlay; nothing was written", used)
	}
	if err := validate.Objects(merged); err != nil {
		return fmt.Errorf("what the merge has made: %w", err)
	}
	if err := w.write(install.Split(cfg, merged)); err != nil {
		return err
	}
	for _, note := range out.Notes {
		w.note(note)
	}
	return nil
}

func baseOf(mine []*yaml.RNode, base string) ([]*yaml.RNode, error) {
	if base == "" {
		return upgrade.BaseOf(mine)
	}
	return readWritten(base)
}
