package osbsconf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// scope says for which instances a key has a meaning.
type scope int

const (
	everywhere scope = iota
	onCluster
	onLocal
)

// key is one setting.
type key struct {
	name string
	// older are other names that OSBS had for it.
	older []string
	scope scope
	// set reads the value into the field.
	set func(c *Config, v value) error
}

// value is a setting as it was found.
type value struct {
	text string
	// origin says where, for messages: FILE:LINE: KEY, or a flag, or an environment variable.
	origin string
	// dir is what a relative path is relative to, and home what ~ stands for.
	dir, home string
	local     bool
}

// keys are all settings. Their order is that of the documentation.
func keys() []key {
	return []key{
		{name: "verbose", set: boolean(func(c *Config) *bool { return &c.Verbose })},

		{name: "namespace", scope: onCluster, set: text(func(c *Config) *string { return &c.Namespace })},
		{name: "openshift_url", older: []string{"openshift_uri"}, scope: onCluster, set: text(func(c *Config) *string { return &c.OpenshiftURL })},
		{name: "kubeconfig", scope: onCluster, set: path(func(c *Config) *string { return &c.Kubeconfig })},
		{name: "context", scope: onCluster, set: text(func(c *Config) *string { return &c.Context })},
		{name: "username", scope: onCluster, set: text(func(c *Config) *string { return &c.Username })},
		{name: "password", scope: onCluster, set: text(func(c *Config) *string { return &c.Password })},
		{name: "token", scope: onCluster, set: text(func(c *Config) *string { return &c.Token })},
		{name: "token_file", scope: onCluster, set: path(func(c *Config) *string { return &c.TokenFile })},
		{name: "client_cert", scope: onCluster, set: path(func(c *Config) *string { return &c.ClientCert })},
		{name: "client_key", scope: onCluster, set: path(func(c *Config) *string { return &c.ClientKey })},
		{name: "ca_file", scope: onCluster, set: path(func(c *Config) *string { return &c.CAFile })},
		{name: "verify_ssl", scope: onCluster, set: boolean(func(c *Config) *bool { return &c.VerifySSL })},
		{name: "pipeline", scope: onCluster, set: text(func(c *Config) *string { return &c.Pipeline })},

		{name: "git_url", set: text(func(c *Config) *string { return &c.GitURL })},
		{name: "git_branch", set: text(func(c *Config) *string { return &c.GitBranch })},
		{name: "git_commit", set: text(func(c *Config) *string { return &c.GitCommit })},
		{name: "user", set: text(func(c *Config) *string { return &c.User })},
		{name: "component", set: text(func(c *Config) *string { return &c.Component })},
		{name: "target", older: []string{"koji_target"}, set: text(func(c *Config) *string { return &c.Target })},
		{name: "architecture", older: []string{"arch"}, set: text(func(c *Config) *string { return &c.Architecture })},
		{name: "platform", set: text(func(c *Config) *string { return &c.Platform })},
		{name: "scratch", set: boolean(func(c *Config) *bool { return &c.Scratch })},
		{name: "cpu_limit", set: quantity(func(c *Config) *string { return &c.CPULimit }, "500m or 2")},
		{name: "memory_limit", set: quantity(func(c *Config) *string { return &c.MemoryLimit }, "512Mi or 4Gi")},

		{name: "git_secret", set: secret(func(c *Config) *string { return &c.GitSecret })},
		{name: "git_ca_file", set: path(func(c *Config) *string { return &c.GitCAFile })},
		{name: "submodules", set: boolean(func(c *Config) *bool { return &c.Submodules })},

		{name: "registry_uri", older: []string{"registry_uris"}, set: registries(func(c *Config) *[]registry.URI { return &c.RegistryURI })},
		{name: "registry_secret", older: []string{"registry_secrets"}, set: registrySecrets},
		{name: "registry_ca_file", set: path(func(c *Config) *string { return &c.RegistryCAFile })},
		{name: "registry_insecure", set: hosts(func(c *Config) *[]string { return &c.RegistryInsecure })},
		{name: "source_registry_uri", set: oneRegistry(func(c *Config) **registry.URI { return &c.SourceRegistryURI })},
		{name: "home_registry", set: hosts(func(c *Config) *[]string { return &c.HomeRegistry })},

		// pulp_registry_name comes first: pulp_sync_registry_name goes before it.
		{name: "pulp_registry_name", set: text(func(c *Config) *string { return &c.PulpRegistryName })},
		{name: "pulp_sync_registry_name", set: pulpSync},
		{name: "pulp_secret", older: []string{"source_secret"}, set: secret(func(c *Config) *string { return &c.PulpSecret })},
		{name: "mirror_registry_uri", set: registries(func(c *Config) *[]registry.URI { return &c.MirrorRegistryURI })},
		{name: "archive_dir", set: path(func(c *Config) *string { return &c.ArchiveDir })},
		{name: "archive_format", set: choice(func(c *Config) *string { return &c.ArchiveFormat }, "docker", "oci")},

		{name: "repo_config", set: text(func(c *Config) *string { return &c.RepoConfig })},
		{name: "bump_release", set: choice(func(c *Config) *string { return &c.BumpRelease }, "after-build", "before-build", "never")},
		{name: "early_cutoff", set: boolean(func(c *Config) *bool { return &c.EarlyCutoff })},
		{name: "lock_policy", set: choice(func(c *Config) *string { return &c.LockPolicy }, "fail", "wait")},
		{name: "lock_timeout", set: duration(func(c *Config) *time.Duration { return &c.LockTimeout })},
		{name: "layer_cache", set: boolean(func(c *Config) *bool { return &c.LayerCache })},
		{name: "format", set: choice(func(c *Config) *string { return &c.Format }, "auto", "oci", "docker")},
		{name: "compression", set: choice(func(c *Config) *string { return &c.Compression }, "gzip", "zstd", "none")},
		{name: "build_secret", set: buildSecrets},
		{name: "storage_driver", scope: onLocal, set: choice(func(c *Config) *string { return &c.StorageDriver }, "overlay", "vfs")},
		{name: "isolation", set: choice(func(c *Config) *string { return &c.Isolation }, "chroot")},
		{name: "jobs", set: count(func(c *Config) *int { return &c.Jobs })},
		{name: "parallel", scope: onLocal, set: count(func(c *Config) *int { return &c.Parallel })},
		{name: "keep_builds", scope: onLocal, set: count(func(c *Config) *int { return &c.KeepBuilds })},
		{name: "data_dir", scope: onLocal, set: path(func(c *Config) *string { return &c.DataDir })},
	}
}

// IsKey says whether a setting of that name is looked for in osbs.conf.
func IsKey(name string) bool {
	return slices.ContainsFunc(keys(), func(k key) bool { return k.name == name })
}

// Keys are the names of all settings, in the order of the documentation; older names are left out.
func Keys() []string {
	all := keys()
	names := make([]string, 0, len(all))
	for _, k := range all {
		names = append(names, k.name)
	}
	return names
}

func text(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if strings.Contains(v.text, "\n") {
			return errors.New("the value has more than one line")
		}
		*field(c) = v.text
		return nil
	}
}

func boolean(field func(*Config) *bool) func(*Config, value) error {
	return func(c *Config, v value) error {
		b, err := ParseBool(v.text)
		if err != nil {
			return err
		}
		*field(c) = b
		return nil
	}
}

// ParseBool reads a boolean as Python's ConfigParser did, and nothing else: OSBS took every word that it did not know for false.
func ParseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, failure.WithHint(failure.New(failure.Usage, "%.60q is no boolean: accepted are 0, 1, true, false, yes, no, on and off in any case", text),
		"a comment needs a line of its own")
}

func choice(field func(*Config) *string, accepted ...string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if !slices.Contains(accepted, v.text) {
			return fmt.Errorf("%.60q is not accepted: accepted are %s", v.text, join(accepted))
		}
		*field(c) = v.text
		return nil
	}
}

// maxCount bounds numbers.
const maxCount = 100_000

func count(field func(*Config) *int) func(*Config, value) error {
	return func(c *Config, v value) error {
		n, err := strconv.Atoi(v.text)
		if err != nil || n < 0 || n > maxCount {
			return fmt.Errorf("%.60q is no number from 0 to %d", v.text, maxCount)
		}
		*field(c) = n
		return nil
	}
}

// join lists words as a sentence does.
func join(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func duration(field func(*Config) *time.Duration) func(*Config, value) error {
	return func(c *Config, v value) error {
		d, err := time.ParseDuration(v.text)
		if seconds, notNumber := strconv.Atoi(v.text); notNumber == nil && seconds <= int(maxDuration/time.Second) {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || d < 0 || d > maxDuration {
			return fmt.Errorf("%.60q is no duration: write seconds, or a number with a unit such as 90s, 15m or 2h", v.text)
		}
		*field(c) = d
		return nil
	}
}

// maxDuration is more than anybody waits.
const maxDuration = 365 * 24 * time.Hour

// amount is a quantity as Kubernetes writes it.
var amount = regexp.MustCompile(`^\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?$`)

func quantity(field func(*Config) *string, example string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if v.text != "" && !amount.MatchString(v.text) {
			return fmt.Errorf("%.60q is no quantity, such as %s", v.text, example)
		}
		*field(c) = v.text
		return nil
	}
}

func path(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if strings.Contains(v.text, "\n") {
			return errors.New("the value has more than one line")
		}
		*field(c) = v.path(v.text)
		return nil
	}
}

// path makes a path absolute.
func (v value) path(p string) string {
	switch {
	case p == "" || filepath.IsAbs(p):
	case p == "~" || strings.HasPrefix(p, "~"+string(os.PathSeparator)):
		p = filepath.Join(v.home, p[1:])
	default:
		p = filepath.Join(v.dir, p)
	}
	return p
}

// secret is a directory for the local instance, and the name of a Secret for a cluster.
func (v value) secret(s string) (string, error) {
	if v.local {
		return v.path(s), nil
	}
	if strings.ContainsAny(s, "/~ ") {
		return "", fmt.Errorf("%.60q is not the name of a Secret: only the local instance has a directory here", s)
	}
	return s, nil
}

func secret(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if strings.Contains(v.text, "\n") {
			return errors.New("the value has more than one line")
		}
		s, err := v.secret(v.text)
		*field(c) = s
		return err
	}
}

// words splits a list: at commas, white space and new lines.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func registrySecrets(c *Config, v value) error {
	c.RegistrySecret = nil
	for _, w := range words(v.text) {
		s, err := v.secret(w)
		if err != nil {
			return err
		}
		c.RegistrySecret = append(c.RegistrySecret, s)
	}
	return nil
}

func registries(field func(*Config) *[]registry.URI) func(*Config, value) error {
	return func(c *Config, v value) error {
		uris, err := registry.ParseURIs(strings.Join(words(v.text), ","))
		*field(c) = uris
		return err
	}
}

func oneRegistry(field func(*Config) **registry.URI) func(*Config, value) error {
	return func(c *Config, v value) error {
		*field(c) = nil
		if v.text == "" {
			return nil
		}
		u, err := registry.ParseURI(v.text)
		if err != nil {
			return err
		}
		*field(c) = &u
		return nil
	}
}

func hosts(field func(*Config) *[]string) func(*Config, value) error {
	return func(c *Config, v value) error {
		var out []string
		for _, w := range words(v.text) {
			u, err := registry.ParseURI(w)
			if err != nil {
				return err
			}
			out = append(out, u.Host)
		}
		*field(c) = out
		return nil
	}
}

func httpURL(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if v.text != "" && !strings.HasPrefix(v.text, "https://") && !strings.HasPrefix(v.text, "http://") {
			return errors.New("the value is no URL: it begins with https:// or http://")
		}
		return text(field)(c, v)
	}
}

// pulpSync goes before pulp_registry_name, unless it is empty.
func pulpSync(c *Config, v value) error {
	if v.text == "" {
		return nil
	}
	return text(func(c *Config) *string { return &c.PulpRegistryName })(c, v)
}

func buildSecrets(c *Config, v value) error {
	c.BuildSecret = nil
	for _, w := range words(v.text) {
		id, file, found := strings.Cut(w, "=")
		if !found || id == "" || file == "" {
			return fmt.Errorf("%.60q is not id=path", w)
		}
		c.BuildSecret = append(c.BuildSecret, id+"="+v.path(file))
	}
	return nil
}
