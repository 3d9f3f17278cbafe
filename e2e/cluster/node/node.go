// Package node is the cluster's one node: all its daemons, in a mount, network, PID, IPC and UTS namespace of their own.
//
// The first process in the PID namespace (Init) sets the namespaces up and does nothing else; when it ends, the kernel kills everything that
// runs in them and undoes every mount, address and rule. The second (Supervise) starts and stops the daemons, as it is asked over a socket.
package node

import (
	"os"
	"path/filepath"
	"time"

	"github.com/osbs-tekton/osbs/e2e/cluster/artefact"
)

// Addresses and names inside the cluster. They exist in its own network namespace only, so they are the same in each cluster.
const (
	Name       = "osbs-node"
	IP         = "10.100.0.1"
	ImagesIP   = "10.100.0.2"
	RegistryIP = "10.100.0.3"
	GitIP      = "10.100.0.4"
	// PulpIP is for a Pulp server, which tests start that need one.
	PulpIP         = "10.100.0.5"
	PodNetwork     = "10.244.0.0/24"
	ServiceNetwork = "10.96.0.0/16"
	// APIService is the first address of ServiceNetwork.
	APIService = "10.96.0.1"
	// APIServer is where kubectl finds the cluster.
	APIServer = "https://" + IP + ":6443"
	// ImageAPIPort is where the ImageStream API server listens, on the loopback interface.
	ImageAPIPort = "28443"

	RegistryHost = "registry.example.com:5000"
	GitHost      = "git.example.com"
	PulpHost     = "pulp.example.com"

	containerdSocket = "/run/containerd/containerd.sock"
)

// Settings say where a node lives.
type Settings struct {
	// Dir holds all that the node reads and writes: bin, etc, pki, log, var, private.
	Dir string `json:"dir"`
	// Cgroup is the parent of the pods' cgroups, as an absolute path inside each hierarchy.
	Cgroup string `json:"cgroup"`
	// Images is the artefact with the images' storage.
	Images string `json:"images"`
	// Credentials are asked for by the registry and by the git server.
	Credentials Credentials `json:"credentials"`
	// Lifetime is how long the node lives at most.
	Lifetime time.Duration `json:"lifetime"`
}

// Credentials are a user and a password.
type Credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

func (s Settings) path(elem ...string) string {
	return filepath.Join(append([]string{s.Dir}, elem...)...)
}

// Socket is where the supervisor listens.
func (s Settings) Socket() string { return s.path("supervisor.sock") }

// Log is the file of what a component says.
func (s Settings) Log(component string) string { return s.path("log", component+".log") }

// Directories makes the directories that the node needs.
func (s Settings) Directories() error {
	for _, dir := range []string{"bin", "etc/cni", "pki", "log/pods", "var/images-upper", "var/images-work", "var/images", "var/registry", "var/git",
		"var/kubelet-plugins", "private/tmp", "private/var-lib", "private/var-log",
		"etc/certs.d/" + artefact.ImageRegistry, "etc/certs.d/" + RegistryHost} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			return err
		}
	}
	return os.Chmod(s.path("private/tmp"), 0o777|os.ModeSticky)
}
