// Package wire is what a build's parent process and the engine, its child, say to each other.
//
// The parent starts the engine with three descriptors. On Request it writes one Request and closes; nothing of it is in an argument
// or in the environment. On Answer the engine writes one Answer at its end. Blobs is a socket on which the engine asks for layers of
// bases: the parent has the credentials and does the fetching, the engine has none. The engine's standard output and error are what
// the build prints.
package wire

import "time"

// Env marks the engine's process; its value is Version, so that a parent and an engine of two versions find out.
const (
	Env     = "OSBS_BUILD_ENGINE"
	Version = "1"
)

// GarbageLate is the engine's GOGC: no collection before 16 MB are in use. The engine lowers it after the first one.
const GarbageLate = "400"

// The descriptors that the engine inherits.
const (
	Request = 3
	Answer  = 4
	Blobs   = 5
	Lock    = 6
)

// BlobsDir is the directory of compressed layers inside of Build.Storage.
const BlobsDir = "blobs"

// Build is all that the engine needs to know. Paths are absolute.
type Build struct {
	// Dockerfile is the file's text.
	Dockerfile []byte `json:"dockerfile"`
	// Context is the directory of which COPY and ADD see all that Ignore, patterns of .dockerignore, does not match.
	Context string   `json:"context"`
	Ignore  []string `json:"ignore"`
	Target  string   `json:"target,omitempty"`
	// OS, Architecture and Variant are the platform that is built.
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
	// Args are the build arguments.
	Args map[string]string `json:"args,omitempty"`
	// Secrets are files by id.
	Secrets map[string]string `json:"secrets,omitempty"`
	// FileTime is the latest modification time that a file of a new layer has.
	FileTime time.Time `json:"fileTime"`
	// Bases are the base images, by what the Dockerfile calls them.
	Bases []Base `json:"bases,omitempty"`
	// ParentLayers is how many layers of the image are those of its base.
	ParentLayers int `json:"parentLayers"`
	// Storage is shared by builds; Temp is this build's own and goes away with it; Layout receives blobs.
	Storage string `json:"storage"`
	Driver  string `json:"driver,omitempty"`
	Temp    string `json:"temp"`
	Layout  string `json:"layout"`
	// LayerCache says that steps which were done before are taken from the storage.
	LayerCache bool `json:"layerCache"`
	// Docker says that the image's configuration is Docker's, which has HEALTHCHECK and ONBUILD; else OCI's.
	Docker bool `json:"docker"`
	// Compression is gzip, zstd or none.
	Compression string `json:"compression"`
	Isolation   string `json:"isolation"`
	// RemoteAdd allows ADD of a URL.
	RemoteAdd bool `json:"remoteAdd,omitempty"`
	// Repair says that no other build uses the storage: what killed builds left is removed, then Lock is shared.
	Repair bool `json:"repair,omitempty"`
	Debug  bool `json:"debug,omitempty"`
}

// Base is a base image.
type Base struct {
	// Reference is what the Dockerfile says; Repository and Digest are what it means, Digest being that of Manifest.
	Reference  string `json:"reference"`
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	// Manifest and Config are JSON as the registry served them.
	Manifest []byte `json:"manifest"`
	Config   []byte `json:"config"`
}

// Image is what the engine built. Its new layers are in the layout.
type Image struct {
	// Config is the configuration that the engine made, in OCI's or Docker's form.
	Config []byte `json:"config"`
	// Layers are the new ones, from the lowest up.
	Layers []Layer `json:"layers,omitempty"`
}

// Layer is a new layer.
type Layer struct {
	DiffID string `json:"diffID"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	// Reused says that the compressed blob was there already.
	Reused bool `json:"reused,omitempty"`
}

// Result is the engine's answer: an image or why there is none.
type Result struct {
	Image *Image   `json:"image,omitempty"`
	Fault *Fault   `json:"fault,omitempty"`
	Warn  []string `json:"warn,omitempty"`
}

// Fault is an error with its failure.Kind.
type Fault struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	// Step is the instruction that failed, and Exit its command's exit status; both may be absent.
	Step string `json:"step,omitempty"`
	Exit int    `json:"exit,omitempty"`
}

// Fetch asks for a blob. The reply is one byte and the descriptor of a pipe from which the blob is read.
type Fetch struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
}
