//go:build e2e

package build

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// repository is one on the git server, with a clone to work in.
type repository struct {
	s                    *site
	url, dir, credential string
}

// newRepository makes one with files, on the branch main. Its URL is for https.
func (s *site) newRepository(name string, files map[string]string) *repository {
	s.t.Helper()
	r := &repository{s: s, url: testbed.Variable(s.t, "OSBS_E2E_GIT_HTTPS") + "/private/" + s.Name + "-" + name + ".git", dir: filepath.Join(s.dir, "git", name)}
	s.must(os.MkdirAll(r.dir, 0o755))
	r.git("init", "--quiet", "--initial-branch=main")
	r.commit(files)
	return r
}

// within is the same repository in a subtest.
func (r *repository) within(s *site) *repository {
	inner := *r
	inner.s = s
	return &inner
}

// ssh is the repository's URL for ssh.
func (r *repository) ssh() string {
	return testbed.Variable(r.s.t, "OSBS_E2E_GIT_SSH") + strings.TrimPrefix(r.url, testbed.Variable(r.s.t, "OSBS_E2E_GIT_HTTPS"))
}

// commit writes files, commits and pushes them, and returns the commit.
func (r *repository) commit(files map[string]string) string {
	r.s.t.Helper()
	for name, text := range files {
		r.s.file(filepath.Join("git", filepath.Base(r.dir), name), text)
	}
	r.git("add", "--all")
	r.git("-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message=Change the image")
	r.git("push", "--quiet", r.url, "main")
	return r.committed()
}

// committed is the commit that was pushed last; the server is not asked.
func (r *repository) committed() string {
	r.s.t.Helper()
	return r.git("rev-parse", "HEAD")
}

// head is the commit that the server's branch is at.
func (r *repository) head() string {
	r.s.t.Helper()
	commit, _, _ := strings.Cut(r.git("ls-remote", r.url, "refs/heads/main"), "\t")
	return commit
}

func (r *repository) git(args ...string) string {
	r.s.t.Helper()
	const helper = `credential.helper=!f() { echo "username=$OSBS_E2E_GIT_USER"; echo "password=$OSBS_E2E_GIT_PASSWORD"; }; f`
	all := append([]string{"-C", r.dir, "-c", helper, "-c", "http.sslCAInfo=" + testbed.Variable(r.s.t, "OSBS_E2E_CA_FILE")}, args...)
	return strings.TrimSpace(r.s.command([]string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0"}, "git", all...))
}

// registry are the options with which the test speaks to the registry: its CA and credentials.
func (s *site) registry() []crane.Option {
	s.t.Helper()
	pool, err := x509.SystemCertPool()
	s.must(err)
	ca, err := os.ReadFile(testbed.Variable(s.t, "OSBS_E2E_CA_FILE"))
	s.must(err)
	pool.AppendCertsFromPEM(ca)
	transport, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		s.t.Fatal("the registry client has another kind of transport")
	}
	transport = transport.Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return []crane.Option{crane.WithTransport(transport), crane.WithAuth(authn.FromConfig(authn.AuthConfig{
		Username: testbed.Variable(s.t, "OSBS_E2E_REGISTRY_USER"), Password: testbed.Variable(s.t, "OSBS_E2E_REGISTRY_PASSWORD"),
	}))}
}

// base puts the image with a shell into the registry, and returns its reference there, and its digest. Layers move within the registry
// of the cluster's images without credentials, so they are read first.
func (s *site) base(name string) (reference, digest string) {
	s.t.Helper()
	image, err := crane.Pull(testbed.Variable(s.t, "OSBS_E2E_BUSYBOX_IMAGE"), s.registry()[0])
	s.must(err)
	reference = testbed.Variable(s.t, "OSBS_E2E_REGISTRY") + "/" + s.Name + "/" + name + ":1"
	s.must(crane.Push(image, reference, s.registry()...))
	return reference, s.digest(reference)
}

// digest is what the registry has under a reference.
func (s *site) digest(reference string) string {
	s.t.Helper()
	digest, err := crane.Digest(reference, s.registry()...)
	s.must(err)
	return digest
}

// config is the configuration of an image in the registry.
func (s *site) config(reference string) *v1.ConfigFile {
	s.t.Helper()
	image, err := crane.Pull(reference, s.registry()...)
	s.must(err)
	config, err := image.ConfigFile()
	s.must(err)
	return config
}

// tags are those of a repository of the test's in the registry.
func (s *site) tags(name string) []string {
	s.t.Helper()
	tags, err := crane.ListTags(testbed.Variable(s.t, "OSBS_E2E_REGISTRY")+"/"+s.Name+"/"+name, s.registry()...)
	s.must(err)
	return tags
}

// dockerfile is one of an image of the test's, on a base, with instructions.
func (s *site) dockerfile(base string, instructions ...string) string {
	return "FROM " + base + "\nLABEL name=\"" + s.Name + "/app\" version=\"1.0\" release=\"1\" com.redhat.component=\"app-container\"\n" +
		strings.Join(instructions, "\n") + "\n"
}
