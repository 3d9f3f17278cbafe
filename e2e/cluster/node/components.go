package node

import (
	"fmt"
	"os"
	"strings"
)

// Component is a daemon of the node.
type Component struct {
	Name string
	// Command is the program, relative to bin/ unless it is absolute or found on PATH, and its arguments.
	Command []string
	// Environment is added to the supervisor's.
	Environment []string
	// Ready is asked until it answers: an http or https URL that says 200 or asks for credentials, tcp:ADDRESS, or unix:PATH.
	Ready string
}

// Core are the components that a node without rights consists of, in the order in which they start; for the API only, without what runs pods.
func Core(apiOnly bool) []string {
	if apiOnly {
		return []string{"registry", "git", "etcd", "kube-apiserver", "kube-controller-manager"}
	}
	return []string{"images", "registry", "git", "containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

// Node are the components that need rights, which are granted when the API server runs.
func Node(apiOnly bool) []string {
	if apiOnly {
		return []string{"coredns"}
	}
	return []string{"coredns", "kubelet", "kube-proxy"}
}

// Components are all daemons, by name.
func (s Settings) Components() map[string]Component {
	all := map[string]Component{}
	for _, c := range append(append(s.controlPlane(), s.servers()...), s.worker()...) {
		all[c.Name] = c
	}
	return all
}

// servers are what pods and people talk to beside the cluster's API.
func (s Settings) servers() []Component {
	trust := []string{"SSL_CERT_FILE=" + s.path("pki/bundle.crt")}
	return []Component{
		{Name: "images", Command: []string{"docker-registry", "serve", s.path("etc/images.yml")}, Ready: "https://" + ImagesIP + ":5000/v2/"},
		{Name: "registry", Command: []string{"docker-registry", "serve", s.path("etc/registry.yml")}, Ready: "https://" + RegistryIP + ":5000/v2/"},
		{Name: "git", Command: []string{"cluster", "serve-git", s.path("etc/settings.json")}, Ready: "https://" + GitIP + "/"},
		{Name: "coredns", Command: []string{"coredns", "-conf", s.path("etc/Corefile")}, Ready: "http://127.0.0.1:8181/ready"},
		{Name: "image-apiserver", Environment: trust, Ready: "https://127.0.0.1:" + ImageAPIPort + "/readyz", Command: s.imageAPIServer()},
		{Name: "image-controllers", Environment: trust, Command: []string{"imagecontrollers", "-kubeconfig=" + s.path("etc/admin.kubeconfig"), "-resync=30s"}},
	}
}

func (s Settings) imageAPIServer() []string {
	kubeconfig := s.path("etc/image-apiserver.kubeconfig")
	return []string{
		"imageapi", "--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--etcd-servers=http://127.0.0.1:2379", "--etcd-prefix=openshift.io", "--bind-address=127.0.0.1", "--secure-port=" + ImageAPIPort,
		"--tls-cert-file=" + s.path("pki/image-apiserver-tls.crt"), "--tls-private-key-file=" + s.path("pki/image-apiserver-tls.key"),
		// Without it every read of an ImageStream looks the registry's Service up, throttled.
		"--internal-registry-hostname=image-registry.openshift-image-registry.svc:5000",
	}
}

func (s Settings) controlPlane() []Component {
	return []Component{
		{Name: "etcd", Ready: "http://127.0.0.1:2379/health", Command: []string{
			"hyperkube", "etcd", "--name=osbs", "--data-dir=" + s.path("var/etcd"), "--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes=8589934592",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=osbs=http://127.0.0.1:2380",
		}},
		{Name: "kube-apiserver", Ready: APIServer + "/readyz", Command: s.apiServer()},
		{Name: "kube-controller-manager", Ready: "https://127.0.0.1:10257/healthz", Command: []string{
			"hyperkube", "kube-controller-manager", "--kubeconfig=" + s.path("etc/controller-manager.kubeconfig"), "--use-service-account-credentials",
			"--service-account-private-key-file=" + s.path("pki/service-accounts.key"), "--root-ca-file=" + s.path("pki/ca.crt"),
			"--cluster-signing-cert-file=" + s.path("pki/ca.crt"), "--cluster-signing-key-file=" + s.path("pki/ca.key"),
			"--cluster-cidr=" + PodNetwork, "--service-cluster-ip-range=" + ServiceNetwork, "--enable-hostpath-provisioner=true",
			"--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false",
		}},
		{Name: "kube-scheduler", Ready: "https://127.0.0.1:10259/healthz", Command: []string{
			"hyperkube", "kube-scheduler", "--kubeconfig=" + s.path("etc/scheduler.kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false",
		}},
	}
}

func (s Settings) apiServer() []string {
	pki := func(name string) string { return s.path("pki", name) }
	return []string{
		"hyperkube", "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--advertise-address=" + IP, "--bind-address=" + IP, "--secure-port=6443",
		"--service-cluster-ip-range=" + ServiceNetwork, "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-accounts.pub"), "--service-account-signing-key-file=" + pki("service-accounts.key"),
		"--client-ca-file=" + pki("ca.crt"), "--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"), "--kubelet-client-key=" + pki("kubelet-client.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + pki("front-proxy-client.crt"), "--proxy-client-key-file=" + pki("front-proxy-client.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--profiling=false", "--v=1",
	}
}

func (s Settings) worker() []Component {
	return []Component{
		{Name: "containerd", Command: []string{"containerd", "--config", s.path("etc/containerd.toml")}, Ready: "unix:" + containerdSocket},
		{Name: "kubelet", Ready: "http://127.0.0.1:10248/healthz", Command: s.withoutSysctls(
			s.path("bin/hyperkube"), "kubelet", "--config="+s.path("etc/kubelet.yaml"), "--kubeconfig="+s.path("etc/kubelet.kubeconfig"),
			"--root-dir="+s.path("var/kubelet"), "--cert-dir="+s.path("var/kubelet-pki"), "--hostname-override="+Name, "--node-ip="+IP, "--v=1",
		)},
		{Name: "kube-proxy", Command: []string{"hyperkube", "kube-proxy", "--config=" + s.path("etc/kube-proxy.yaml")}, Ready: "http://127.0.0.1:10249/healthz"},
	}
}

// sysctls are the settings of the whole machine that the kubelet insists on changing, and what it wants them to be.
var sysctls = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// withoutSysctls runs a command that sees files of its own in place of sysctls, in a mount namespace whose other mounts stay shared. /proc
// itself is taken out of the sharing: a container whose /proc is covered in places could not mount its own in a user namespace.
func (s Settings) withoutSysctls(command ...string) []string {
	var script strings.Builder
	fmt.Fprintf(&script, "set -e; mount --make-rprivate /proc; mkdir -p %s; ", s.path("var/sysctl"))
	for name, value := range sysctls {
		file := s.path("var/sysctl", strings.ReplaceAll(name, "/", "."))
		fmt.Fprintf(&script, "echo %s >%s; mount --bind %[2]s /proc/sys/%s; ", value, file, name)
	}
	script.WriteString(`exec "$@"`)
	return append([]string{"unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script.String(), "kubelet"}, command...)
}

// environment is that of every component: only programs of the cluster come before those of the system.
func (s Settings) environment() []string {
	return []string{"PATH=" + s.path("bin") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + s.path("var"), "TMPDIR=/tmp",
		"LANG=" + os.Getenv("LANG")}
}
