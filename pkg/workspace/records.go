package workspace

import (
	"slices"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
)

// Clone is the record of the clone stage.
type Clone struct {
	// URL is the git URL as given, without credentials.
	URL    string `json:"url"`
	Branch string `json:"branch"`
	// Commit is the commit checked out: the one asked for, or the branch's head at that moment. 40 hex digits.
	Commit string `json:"commit"`
	// CommitTime is the committer's time; it becomes SOURCE_DATE_EPOCH.
	CommitTime time.Time `json:"commitTime"`
	// Head is set when an autorebuild repeats an older commit: the branch's head at that moment, whose repo config asked for that.
	Head string `json:"head,omitempty"`
	// AddTimestamp is what that repo config says of the release; see repoconfig.Container.
	AddTimestamp bool `json:"addTimestamp,omitempty"`
}

// DetectBase is the record of the detect-base stage.
type DetectBase struct {
	// Dockerfile is the path of the Dockerfile, relative to Dir.Source.
	Dockerfile string `json:"dockerfile"`
	// DockerfileTarget is the stage that is built; empty means the last one.
	DockerfileTarget string `json:"dockerfileTarget,omitempty"`
	// Platform is os/arch[/variant], such as linux/amd64. Of several it is the first, to which Scratch and Bases belong.
	Platform string `json:"platform"`
	// Scratch says that the image's own chain of stages ends at FROM scratch, so that it has no parent.
	Scratch bool `json:"scratch"`
	// Bases are all images that the build needs, in the order in which the Dockerfile first names them, each once.
	Bases []Base `json:"bases"`
	// Others are the further platforms, if the image is built for several.
	Others []PlatformBases `json:"others,omitempty"`
}

// PlatformBases are the bases of an image for one platform; see DetectBase.
type PlatformBases struct {
	Platform string `json:"platform"`
	Scratch  bool   `json:"scratch"`
	Bases    []Base `json:"bases"`
}

// Platforms are those that the image is built for, in the order in which they were asked for.
func (d DetectBase) Platforms() []string {
	all := []string{d.Platform}
	for _, other := range d.Others {
		all = append(all, other.Platform)
	}
	return all
}

// For is what would have been recorded for the one platform alone. An empty platform means the only one.
func (d DetectBase) For(platform string) (DetectBase, error) {
	if platform == "" && len(d.Others) > 0 {
		return d, failure.New(failure.Usage, "the image is built for %s: one of them must be named", strings.Join(d.Platforms(), ", "))
	}
	one := d
	one.Others = nil
	if platform == "" || platform == d.Platform {
		return one, nil
	}
	for _, other := range d.Others {
		if other.Platform == platform {
			one.Platform, one.Scratch, one.Bases = other.Platform, other.Scratch, other.Bases
			return one, nil
		}
	}
	return d, failure.WithHint(failure.New(failure.Usage, "platform %q is none of those that bases were pinned for: %s", platform, strings.Join(d.Platforms(), ", ")),
		"detect-base must be given it too")
}

// AllBases are the bases for all platforms, each reference once.
func (d DetectBase) AllBases() []Base {
	all := slices.Clone(d.Bases)
	for _, other := range d.Others {
		for _, b := range other.Bases {
			if !slices.ContainsFunc(all, func(known Base) bool { return known.Reference == b.Reference }) {
				all = append(all, b)
			}
		}
	}
	return all
}

// Parent is the base whose layers are in the image, nil for FROM scratch.
func (d DetectBase) Parent() *Base {
	for i := range d.Bases {
		if d.Bases[i].Parent {
			return &d.Bases[i]
		}
	}
	return nil
}

// Base is one base image, pinned.
type Base struct {
	// Stages are the names, or indexes from 0, of the build stages that need the base.
	Stages []string `json:"stages"`
	// Reference is the base as the Dockerfile names it, after substitution of arguments.
	Reference string `json:"reference"`
	// Resolved is the same with registry and tag or digest spelled out, such as registry.example.com/ubi8:latest.
	Resolved string `json:"resolved"`
	// Repository is the registry and repository of Resolved.
	Repository string `json:"repository"`
	// Digest is what Resolved meant when the build began: the digest of the index, if it is one, else of the manifest.
	Digest string `json:"digest"`
	// ManifestDigest is the digest of the platform's manifest; it equals Digest unless that is an index.
	ManifestDigest string `json:"manifestDigest"`
	// ImageStreamTag is the name:tag on which a build config that uses this base is triggered; empty if the base has none.
	ImageStreamTag string `json:"imageStreamTag,omitempty"`
	// Parent says that the layers of this base are the lower layers of the image.
	Parent bool `json:"parent,omitempty"`
	// Env is the base's environment, NAME=value; it takes part when LABEL values are expanded.
	Env []string `json:"env,omitempty"`
	// Labels are the base's labels, which the image inherits.
	Labels map[string]string `json:"labels,omitempty"`
}

// Lock is the record of the lock stage.
type Lock struct {
	// BuildConfig is the name of the build config that the build holds.
	BuildConfig string `json:"buildConfig"`
	// Holder is the build.
	Holder string `json:"holder"`
	// HolderUID tells it from every other build, and Created is when it, or the build that it resumes, was created.
	HolderUID string    `json:"holderUID,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// Waited is how long the build waited for its turn, in seconds.
	Waited float64 `json:"waitedSeconds"`
	// Resumes is the build that has made what is in the workspace, if that is not Holder, which finishes it.
	Resumes string `json:"resumes,omitempty"`
	// LastSucceeded is the build of the build config that had succeeded last when the lock was taken. One that resumes this build sees by it
	// whether another has succeeded meanwhile.
	LastSucceeded string `json:"lastSucceeded,omitempty"`
	// State is empty when the build holds the lock. It is StateSkipped when the build was superseded while it waited, or is outdated: it
	// holds nothing, and prepare ends it as skipped, with Reason.
	State  string `json:"state,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// The states in which the prepare stage ends; failed is an error and leaves no record.
const (
	StateBuild   = "build"   // go on
	StateSkipped = "skipped" // the repository asks for no autorebuild, or a newer build does it; the later stages do nothing
)

// Prepare is the record of the prepare stage.
type Prepare struct {
	State string `json:"state"`
	// Reason says, for people, why the state is what it is.
	Reason string `json:"reason,omitempty"`
	// Commit is what is built: the clone's commit, or the local commit of the release bump on top of it.
	Commit string `json:"commit"`
	// CommitTime is the time of Commit.
	CommitTime time.Time `json:"commitTime"`
	// Bump is set when the release was bumped.
	Bump *Bump `json:"bump,omitempty"`
	// Release, if it is set, is the value of the label release, whatever the Dockerfile and the build stage's options say: that of the
	// Dockerfile with the time of an autorebuild.
	Release string `json:"release,omitempty"`
	// Labels are the labels that the Dockerfile sets, expanded as far as they can be known before the build.
	Labels map[string]string `json:"labels"`
}

// Bump is a release bump.
type Bump struct {
	OldRelease string `json:"oldRelease"`
	NewRelease string `json:"newRelease"`
	// Where names what held the release: LABEL release, or ENV with the variable's name.
	Where string `json:"where"`
	// Pushed says that the commit is on the branch. After a build it is prepare's Publish that pushes it.
	Pushed bool `json:"pushed"`
}

// Build is the record of the build stage.
type Build struct {
	// Digest is the manifest's, in Dir.Image.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Platform  string `json:"platform"`
	// Labels are those of the built image, all expanded; push derives the tags from them.
	Labels map[string]string `json:"labels"`
	// Layers from the lowest up.
	Layers []Layer `json:"layers"`
	// BaseName and BaseDigest repeat the annotations org.opencontainers.image.base.name and .digest; empty for FROM scratch.
	BaseName   string `json:"baseName,omitempty"`
	BaseDigest string `json:"baseDigest,omitempty"`
	// BaseRepository is where the layers that are the base's can be fetched or mounted from.
	BaseRepository string `json:"baseRepository,omitempty"`
}

// Layer is one layer of a built image.
type Layer struct {
	Digest    string `json:"digest"`
	DiffID    string `json:"diffID"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Base says that the layer is the base's own, byte for byte; its blob is not in Dir.Image.
	Base bool `json:"base,omitempty"`
}

// Push is the record of the push stage.
type Push struct {
	// Digest as each registry reported it when read back.
	Digest string `json:"digest"`
	// Unchanged says that an autorebuild made an image with the content of the one before it: nothing was pushed, and Digest is that of
	// the image that stays under the floating tags.
	Unchanged bool `json:"unchanged,omitempty"`
	// Images has one entry for each registry of registry_uri.
	Images []PushedImage `json:"images"`
}

// PushedImage is the image in one registry.
type PushedImage struct {
	// Repository is registry/name.
	Repository string `json:"repository"`
	// Unique is the tag that no other build has; Primary is version-release, empty for scratch builds. Both are empty if nothing was pushed.
	Unique  string `json:"unique"`
	Primary string `json:"primary,omitempty"`
	// Floating tags are moved by the import stage, after everything else has succeeded.
	Floating []string `json:"floating,omitempty"`
	// Layers tells what became of each: Uploaded, Mounted, Existed or Copied (from the base's registry), in bytes.
	Uploaded int64 `json:"uploadedBytes"`
	Mounted  int64 `json:"mountedBytes"`
	Existed  int64 `json:"existedBytes"`
	Copied   int64 `json:"copiedBytes"`
}

// Sync is the record of the sync stage.
type Sync struct {
	Targets []SyncedTarget `json:"targets"`
}

// SyncedTarget is one place into which the image was synced.
type SyncedTarget struct {
	// Kind is pulp, registry or directory.
	Kind string `json:"kind"`
	// Location is the reference or the path of the image there.
	Location string `json:"location"`
	// Digest is what was read back there: the manifest's, or for a directory the file's sha256.
	Digest string `json:"digest"`
	// Existed says that nothing needed to be copied.
	Existed bool `json:"existed,omitempty"`
}

// Import is the record of the import stage.
type Import struct {
	// ImageStream is the stream's name; empty for scratch and isolated builds, which import nothing.
	ImageStream string `json:"imageStream,omitempty"`
	// Tags of the stream, each with the digest it had before and has now.
	Tags []ImportedTag `json:"tags,omitempty"`
	// Unchanged says that the stream has the image of an earlier build, and stays as it is.
	Unchanged bool `json:"unchanged,omitempty"`
}

// ImportedTag is one tag of an ImageStream.
type ImportedTag struct {
	Tag       string `json:"tag"`
	OldDigest string `json:"oldDigest,omitempty"`
	Digest    string `json:"digest"`
}

// Short is enough of a commit or a digest for people to tell it from others.
func Short(id string) string {
	const digits = 12
	prefix, hex, found := strings.Cut(id, ":")
	if !found {
		prefix, hex = "", id
	} else {
		prefix += ":"
	}
	if len(hex) > digits {
		hex = hex[:digits]
	}
	return prefix + hex
}
