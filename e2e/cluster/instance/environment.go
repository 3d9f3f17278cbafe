package instance

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/e2e/cluster/artefact"
	"github.com/osbs-tekton/osbs/e2e/cluster/node"
)

// environmentFiles are where the environment is written for those outside: as JSON, and for a shell.
func (i *Instance) environmentFiles() []string {
	base := filepath.Join(i.Checkout, ".cache/cluster", i.Name)
	return []string{base + ".json", base + ".env"}
}

// environment is what a command needs to use the cluster; docs/cluster.md explains each.
func (i *Instance) environment(s node.Settings) map[string]string {
	return map[string]string{
		"KUBECONFIG":                    i.path("etc/admin.kubeconfig"),
		NameVariable:                    i.Name,
		"OSBS_E2E_DIR":                  i.Dir,
		"OSBS_E2E_RUN":                  i.path("bin/cluster"),
		"OSBS_E2E_DEVELOPER_KUBECONFIG": i.path("etc/developer.kubeconfig"),
		"OSBS_E2E_CA_FILE":              i.path("pki/ca.crt"),
		"OSBS_E2E_CA_BUNDLE":            i.path("pki/bundle.crt"),
		"OSBS_E2E_IMAGES":               artefact.ImageRegistry,
		"OSBS_E2E_STATIC_IMAGE":         artefact.StaticImage,
		"OSBS_E2E_BUSYBOX_IMAGE":        artefact.BusyboxImage,
		"OSBS_E2E_REGISTRY":             node.RegistryHost,
		"OSBS_E2E_REGISTRY_USER":        s.Credentials.User,
		"OSBS_E2E_REGISTRY_PASSWORD":    s.Credentials.Password,
		"OSBS_E2E_DOCKER_CONFIG":        i.path("etc/docker"),
		"OSBS_E2E_GIT_HTTPS":            "https://" + node.GitHost,
		"OSBS_E2E_GIT_SSH":              "ssh://git@" + node.GitHost,
		"OSBS_E2E_GIT_USER":             s.Credentials.User,
		"OSBS_E2E_GIT_PASSWORD":         s.Credentials.Password,
		"OSBS_E2E_GIT_SSH_KEY":          i.path("pki/git-user-key"),
		"OSBS_E2E_GIT_KNOWN_HOSTS":      i.path("etc/known_hosts"),
		"OSBS_E2E_GIT_ROOT":             i.path("var/git"),
		"OSBS_E2E_PULP_HOST":            node.PulpHost,
		"OSBS_E2E_PULP_ADDRESS":         node.PulpIP + ":443",
	}
}

// commandEnvironment is what commands inside the cluster get beside it, so that well-known programs just work.
func (i *Instance) commandEnvironment(s node.Settings) map[string]string {
	all := i.environment(s)
	maps.Copy(all, map[string]string{
		insideVariable:        i.Name,
		"SSL_CERT_FILE":       i.path("pki/bundle.crt"),
		"GIT_SSL_CAINFO":      i.path("pki/bundle.crt"),
		"DOCKER_CONFIG":       i.path("etc/docker"),
		"GIT_SSH_COMMAND":     "ssh -i " + i.path("pki/git-user-key") + " -o UserKnownHostsFile=" + i.path("etc/known_hosts"),
		"KO_DOCKER_REPO":      artefact.ImageRegistry,
		"KO_DEFAULTBASEIMAGE": artefact.StaticImage,
	})
	return all
}

// writeEnvironment writes the files that tell others how to use the cluster.
func (i *Instance) writeEnvironment(s node.Settings) error {
	if err := i.writeClients(s); err != nil {
		return err
	}
	all := i.environment(s)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	var shell strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&shell, "export %s='%s'\n", name, all[name])
	}
	files := i.environmentFiles()
	if err := writeFile(files[0], append(text, '\n')); err != nil {
		return err
	}
	return writeFile(files[1], []byte(shell.String()))
}

// writeClients writes the files with credentials and keys that clients of the registry and the git server read.
func (i *Instance) writeClients(s node.Settings) error {
	login := base64.StdEncoding.EncodeToString([]byte(s.Credentials.User + ":" + s.Credentials.Password))
	docker := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, node.RegistryHost, login)
	if err := writeFile(i.path("etc/docker/config.json"), []byte(docker+"\n")); err != nil {
		return err
	}
	hostKey, err := os.ReadFile(i.path("pki/git-host-key.pub"))
	if err != nil {
		return err
	}
	return writeFile(i.path("etc/known_hosts"), fmt.Appendf(nil, "%s,%s %s", node.GitHost, node.GitIP, hostKey))
}

// EnvironmentFile is the file with the environment, for a shell.
func (i *Instance) EnvironmentFile() string { return i.environmentFiles()[1] }

// Log is the file of what a component says.
func (i *Instance) Log(component string) string { return i.settings().Log(component) }

// Environment is what the running cluster says of itself.
func (i *Instance) Environment() (map[string]string, error) {
	s, err := node.ReadSettings(i.path("etc/settings.json"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	return i.environment(s), nil
}
