// Package build is the build stage: a Dockerfile, pinned bases and a clone in, an OCI image layout out.
//
// The engine, package engine, is a process of its own, so that its environment, signals, namespaces and end are its own too: nothing
// that a Dockerfile starts outlives the build. This package is what stands around it and links none of it. It reads the records of
// the earlier stages, fetches layers of bases with credentials that the engine never sees, and puts the image together from what the
// engine made: the base's own layers as they are, the new ones, and the labels that say where the image came from.
package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/osbs-tekton/osbs/pkg/build/internal/wire"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/workspace"
)

// Run builds the image, leaves it in the workspace, and writes the stage's record. An instruction that fails is failure.BuildFailed,
// with its exit status and the end of its output.
func Run(ctx context.Context, o Options) (workspace.Build, error) {
	o, err := o.withDefaults()
	if err != nil {
		return workspace.Build{}, err
	}
	in, err := readInput(o)
	if err != nil {
		return workspace.Build{}, err
	}
	request, err := o.request(in)
	if err != nil {
		return workspace.Build{}, err
	}
	lock, alone, err := lockStorage(ctx, request.Storage)
	if err != nil {
		return workspace.Build{}, err
	}
	defer lock.Close()
	request.Repair = alone
	if request.Temp, err = o.directories(in.result.Image()); err != nil {
		return workspace.Build{}, err
	}
	defer os.RemoveAll(request.Temp)
	built, err := o.make(ctx, request, lock)
	if err != nil {
		return workspace.Build{}, err
	}
	record, err := o.assemble(in, request, built)
	if err != nil {
		return workspace.Build{}, err
	}
	return record, workspace.Write(in.result, record)
}

// make takes the image from an earlier build of the same, or has the engine build it.
func (o Options) make(ctx context.Context, request wire.Build, lock *os.File) (*wire.Image, error) {
	memo, err := o.newMemo(ctx, request)
	if err != nil {
		return nil, err
	}
	if built := memo.recall(); built != nil {
		fmt.Fprintln(o.Output, "nothing has changed since this was built before: its layers are in the storage")
		return built, nil
	}
	started := time.Now()
	built, err := o.runEngine(ctx, request, lock)
	if err != nil {
		return nil, err
	}
	o.Log.Debug("engine done", "took", time.Since(started).Round(time.Millisecond))
	if err := memo.remember(built); err != nil {
		o.Log.Warn("the result is not remembered for the next build", "error", err)
	}
	return built, nil
}

// input is what the earlier stages left.
type input struct {
	// result is where the record and the layout go.
	result  workspace.Dir
	clone   workspace.Clone
	bases   workspace.DetectBase
	prepare workspace.Prepare
	// parent is the manifest and configuration of the base whose layers are in the image; zero for FROM scratch.
	parent baseImage
	// manifests and configurations of all bases, in the order of bases.Bases.
	images []baseImage
}

// baseImage is a base as its registry served it.
type baseImage struct {
	manifest, config []byte
}

// maxDocument bounds a manifest and a configuration, in bytes; registries accept 4 MB.
const maxDocument = 8 << 20

func readInput(o Options) (in input, err error) {
	if in.clone, err = workspace.Read[workspace.Clone](o.Workspace); err != nil {
		return in, err
	}
	if in.bases, err = workspace.Read[workspace.DetectBase](o.Workspace); err != nil {
		return in, err
	}
	if in.result = o.Workspace; len(in.bases.Others) > 0 {
		in.result = o.Workspace.Platform(o.Platform)
	}
	if in.bases, err = in.bases.For(o.Platform); err != nil {
		return in, err
	}
	if in.prepare, err = workspace.Read[workspace.Prepare](o.Workspace); err != nil {
		return in, err
	}
	if in.prepare.State == workspace.StateSkipped {
		return in, failure.New(failure.Skipped, "nothing is built: %s", in.prepare.Reason)
	}
	for _, b := range in.bases.Bases {
		image, err := readBase(o.Workspace, b)
		if err != nil {
			return in, err
		}
		in.images = append(in.images, image)
		if b.Parent {
			in.parent = image
		}
	}
	return in, nil
}

// readBase reads what detect-base kept of a base, and trusts it only as far as its digests go.
func readBase(ws workspace.Dir, b workspace.Base) (baseImage, error) {
	manifest, err := readBlob(ws, b.ManifestDigest)
	if err != nil {
		return baseImage{}, fmt.Errorf("base %s: %w", b.Reference, err)
	}
	var m struct {
		Config struct {
			Digest string `json:"digest"`
		} `json:"config"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return baseImage{}, failure.New(failure.InvalidInput, "base %s: its manifest is malformed: %w", b.Reference, err)
	}
	config, err := readBlob(ws, m.Config.Digest)
	if err != nil {
		return baseImage{}, fmt.Errorf("base %s: configuration: %w", b.Reference, err)
	}
	return baseImage{manifest, config}, nil
}

func readBlob(ws workspace.Dir, digest string) ([]byte, error) {
	data, err := readBounded(ws.Blob(digest), maxDocument)
	if os.IsNotExist(err) {
		return nil, failure.New(failure.NotFound, "%s is not in the workspace: detect-base has not kept it", digest)
	}
	if err != nil {
		return nil, failure.New(failure.Storage, "reading from the workspace: %w", err)
	}
	if got := digestOf(data); got != digest {
		return nil, failure.New(failure.Untrusted, "%s in the workspace has another digest, %s", digest, got)
	}
	return data, nil
}

// directories makes what the engine writes into, and returns the directory that is only this build's.
func (o Options) directories(image string) (string, error) {
	if err := os.RemoveAll(image); err != nil {
		return "", failure.New(failure.Storage, "clearing the image layout: %w", err)
	}
	temps := filepath.Join(o.Storage, "tmp")
	for _, dir := range []string{filepath.Join(image, "blobs", "sha256"), temps} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", failure.New(failure.Storage, "making %s: %w", dir, err)
		}
	}
	temp, err := os.MkdirTemp(temps, "build-")
	if err != nil {
		return "", failure.New(failure.Storage, "making a temporary directory: %w", err)
	}
	return temp, nil
}

// request is what the engine is asked, but for Temp.
func (o Options) request(in input) (wire.Build, error) {
	args, err := buildArgs(o.BuildArgs)
	if err != nil {
		return wire.Build{}, err
	}
	secrets, err := o.secrets()
	if err != nil {
		return wire.Build{}, err
	}
	source, err := filepath.Abs(o.Workspace.Source())
	if err != nil {
		return wire.Build{}, failure.New(failure.Storage, "the workspace: %w", err)
	}
	layout, err := filepath.Abs(in.result.Image())
	if err != nil {
		return wire.Build{}, failure.New(failure.Storage, "the workspace: %w", err)
	}
	storage, err := filepath.Abs(o.Storage)
	if err != nil {
		return wire.Build{}, failure.New(failure.Storage, "the storage: %w", err)
	}
	df, err := readDockerfile(source, in.bases.Dockerfile)
	if err != nil {
		return wire.Build{}, err
	}
	docker, err := o.isDocker(df)
	if err != nil {
		return wire.Build{}, err
	}
	if err := o.checkRemoteAdd(df); err != nil {
		return wire.Build{}, err
	}
	r := wire.Build{
		Dockerfile: df.text, Ignore: df.ignore, Context: source, Layout: layout, Storage: storage, Driver: o.StorageDriver,
		Target: either(o.DockerfileTarget, in.bases.DockerfileTarget), Args: args, Secrets: secrets,
		LayerCache: o.LayerCache, Docker: docker, Compression: o.Compression, Isolation: o.Isolation, RemoteAdd: o.RemoteAdd,
	}
	if _, given := args["SOURCE_DATE_EPOCH"]; !given {
		args["SOURCE_DATE_EPOCH"] = fmt.Sprint(in.prepare.CommitTime.Unix())
	}
	r.OS, r.Architecture, r.Variant = splitPlatform(in.bases.Platform)
	r.FileTime, r.ParentLayers, err = in.parent.layersAndTime()
	if err != nil {
		return wire.Build{}, err
	}
	for i, b := range in.bases.Bases {
		r.Bases = append(r.Bases, wire.Base{
			Reference: b.Reference, Repository: b.Repository, Digest: b.ManifestDigest,
			Manifest: in.images[i].manifest, Config: in.images[i].config,
		})
	}
	return r, nil
}
