package registry

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/osbs-tekton/osbs/pkg/step"
)

// Flags are those of every step that speaks to registries.
type Flags struct {
	uris, ca                *string
	secrets, pull, insecure *[]string
}

// RegisterFlags registers the flags; what says what the registries of registry-uri are to the step.
func RegisterFlags(f *step.FlagSet, what string) *Flags {
	return &Flags{
		uris:     f.String("registry-uri", "", what+", separated by commas"),
		secrets:  f.Words("registry-secret-dir", "directory with a mounted registry secret, paired with registry-uri by position; each, also a further one, serves all hosts that it names"),
		pull:     f.Words("pull-secret-dir", "directory with a mounted Secret with which a service account pulls images, for hosts that no registry-secret-dir names"),
		ca:       f.String("registry-ca-file", "", "file with CA certificates to trust besides the system's"),
		insecure: f.Words("registry-insecure", "registry host that may be spoken to without TLS or with any certificate"),
	}
}

// CAFile is the value of registry-ca-file.
func (g *Flags) CAFile() string { return *g.ca }

// Open makes a client of what the flags say, once they are parsed, and returns it with the registries of registry-uri. The registries
// in more are not among those, but may be spoken to as their URIs ask.
func (g *Flags) Open(env step.Env, more ...URI) (*Client, []URI, error) {
	return g.OpenTrusting(env, *g.ca, more...)
}

// OpenTrusting is Open with the certificates of another file in place of registry-ca-file.
func (g *Flags) OpenTrusting(env step.Env, caFile string, more ...URI) (*Client, []URI, error) {
	o := Options{Env: env, CAFile: caFile, Insecure: slices.Clone(*g.insecure)}
	for _, dir := range *g.secrets {
		o.SecretDirs = append(o.SecretDirs, env.MountedSecret(dir)) // an empty one keeps its place beside its registry
	}
	for _, dir := range *g.pull {
		if dir = (step.Env{}).WithDefaults().MountedSecret(dir); dir != "" { // most sites have none, which is worth no word
			o.PullSecretDirs = append(o.PullSecretDirs, dir)
		}
	}
	o.DockerConfigs = dockerConfigs(os.Getenv)
	for _, u := range more {
		if u.Insecure {
			o.Insecure = append(o.Insecure, u.Host)
		}
	}
	if *g.uris != "" {
		var err error
		if o.Registries, err = ParseURIs(*g.uris); err != nil {
			return nil, nil, err
		}
	}
	client, err := New(o)
	return client, o.Registries, err
}

// tektonCredentials is where Tekton's entrypoint gathers what the Secrets of a service account hold, before it copies that into HOME. It
// can be read where the copy failed, as with a HOME in which the step may not write.
const tektonCredentials = "/tekton/creds/.docker/config.json" //nolint:gosec // a path

// dockerConfigs are the files in which programs expect credentials for registries.
func dockerConfigs(getenv func(string) string) []string {
	var files []string
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		files = append(files, filepath.Join(dir, "config.json"))
	}
	if home := getenv("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".docker", "config.json"))
	}
	return append(files, tektonCredentials)
}
