package node

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"text/template"

	"golang.org/x/crypto/bcrypt"

	"github.com/osbs-tekton/osbs/e2e/cluster/artefact"
	"github.com/osbs-tekton/osbs/e2e/cluster/pki"
)

//go:embed config
var templates embed.FS

// values are what the files of config/ may use.
type values struct {
	Settings
	NodeName, NodeIP, ImagesIP, RegistryIP, GitIP, PulpIP, PodNetwork, ContainerdSocket, PauseImage, Registry string
}

// Configure writes the certificates, keys and configuration files of all daemons.
func Configure(s Settings) error {
	v := values{Settings: s, NodeName: Name, NodeIP: IP, ImagesIP: ImagesIP, RegistryIP: RegistryIP, GitIP: GitIP, PulpIP: PulpIP, PodNetwork: PodNetwork,
		ContainerdSocket: containerdSocket, PauseImage: artefact.PauseImage}
	for from, to := range map[string]string{
		"containerd.toml": "etc/containerd.toml", "cni.conflist": "etc/cni/10-pods.conflist", "images.yml": "etc/images.yml",
		"registry.yml": "etc/registry.yml", "kubelet.yaml": "etc/kubelet.yaml", "kube-proxy.yaml": "etc/kube-proxy.yaml", "Corefile": "etc/Corefile",
		"hosts": "etc/hosts", "resolv.conf": "etc/resolv.conf", "resolv-of-pods.conf": "etc/resolv-of-pods.conf",
	} {
		if err := v.write(from, to); err != nil {
			return err
		}
	}
	for _, host := range []string{artefact.ImageRegistry, RegistryHost} {
		v.Registry = host
		if err := v.write("hosts.toml", "etc/certs.d/"+host+"/hosts.toml"); err != nil {
			return err
		}
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(s.Credentials.Password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("etc/htpasswd"), fmt.Appendf(nil, "%s:%s\n", s.Credentials.User, hash), 0o600); err != nil {
		return err
	}
	return certificates(s)
}

func (v values) write(from, to string) error {
	t, err := template.ParseFS(templates, "config/"+from)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.Option("missingkey=error").Execute(&text, v); err != nil {
		return fmt.Errorf("writing %s: %w", to, err)
	}
	return os.WriteFile(v.path(to), text.Bytes(), 0o644)
}

// Users of the API server: the file of each one's kubeconfig in etc/, its user name and groups.
var users = []struct {
	file, name string
	groups     []string
}{
	{"admin", "admin", []string{"system:masters"}},
	{"developer", "developer", nil},
	{"controller-manager", "system:kube-controller-manager", nil},
	{"scheduler", "system:kube-scheduler", nil},
	{"kubelet", "system:node:" + Name, []string{"system:nodes"}},
	{"kube-proxy", "system:kube-proxy", nil},
	{"coredns", "system:coredns", nil},
	{"image-apiserver", "system:openshift-image-apiserver", nil},
}

func certificates(s Settings) error {
	dir := s.path("pki")
	ca, err := pki.NewAuthority(dir, "ca")
	if err != nil {
		return err
	}
	front, err := pki.NewAuthority(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	if err := front.Client("front-proxy-client", "front-proxy-client"); err != nil {
		return err
	}
	for file, hosts := range map[string][]string{
		"apiserver":           {"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", APIService, IP, "127.0.0.1"},
		"kubelet-server":      {Name, IP},
		"image-apiserver-tls": {"localhost", "api.openshift-apiserver.svc", "127.0.0.1"},
		"images":              {"images.example.com", ImagesIP},
		"registry":            {"registry.example.com", RegistryIP},
		"git":                 {GitHost, GitIP},
	} {
		if err := ca.Server(file, file, hosts...); err != nil {
			return err
		}
	}
	if err := ca.Client("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"); err != nil {
		return err
	}
	for _, u := range users {
		if err := ca.Client(u.file, u.name, u.groups...); err != nil {
			return err
		}
		if err := ca.Kubeconfig(s.path("etc", u.file+".kubeconfig"), APIServer, u.file); err != nil {
			return err
		}
	}
	if err := bundle(s.path("pki/bundle.crt"), ca.PEM); err != nil {
		return err
	}
	for _, key := range []string{"git-host-key", "git-user-key"} {
		if err := pki.SSHKey(dir, key); err != nil {
			return err
		}
	}
	return pki.TokenKey(dir, "service-accounts")
}

// bundle is the machine's CAs and the cluster's.
func bundle(file string, ca []byte) error {
	system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(system, ca...), 0o644) //nolint:gosec // in the cluster's own directory
}
