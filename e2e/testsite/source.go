//go:build e2e

package testsite

import (
	"archive/tar"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// Repository is one on the git server, with a clone to work in.
type Repository struct {
	s *Site
	// URL is for https, Dir the clone.
	URL, Dir string
}

// NewRepository makes one with files, on the branch main. Its URL is for https.
func (s *Site) NewRepository(name string, files map[string]string) *Repository {
	s.T.Helper()
	r := &Repository{s: s, URL: testbed.Variable(s.T, "OSBS_E2E_GIT_HTTPS") + "/private/" + s.Name + "-" + name + ".git", Dir: filepath.Join(s.Dir, "git", name)}
	s.Must(os.MkdirAll(r.Dir, 0o755))
	r.Git("init", "--quiet", "--initial-branch=main")
	r.Commit(files)
	return r
}

// Within is the same repository in a subtest.
func (r *Repository) Within(s *Site) *Repository {
	inner := *r
	inner.s = s
	return &inner
}

// SSH is the repository's URL for ssh.
func (r *Repository) SSH() string {
	return testbed.Variable(r.s.T, "OSBS_E2E_GIT_SSH") + strings.TrimPrefix(r.URL, testbed.Variable(r.s.T, "OSBS_E2E_GIT_HTTPS"))
}

// Commit writes files, commits and pushes them, and returns the commit.
func (r *Repository) Commit(files map[string]string) string {
	r.s.T.Helper()
	for name, text := range files {
		r.s.File(filepath.Join("git", filepath.Base(r.Dir), name), text)
	}
	r.Git("add", "--all")
	r.Git("-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message=Change the image")
	r.Git("push", "--quiet", r.URL, "main")
	return r.Committed()
}

// Committed is the commit that was pushed last; the server is not asked.
func (r *Repository) Committed() string {
	r.s.T.Helper()
	return r.Git("rev-parse", "HEAD")
}

// Head is the commit that the server's branch is at.
func (r *Repository) Head() string {
	r.s.T.Helper()
	commit, _, _ := strings.Cut(r.Git("ls-remote", r.URL, "refs/heads/main"), "\t")
	return commit
}

// Git runs git in the clone, with credentials for the server.
func (r *Repository) Git(args ...string) string {
	r.s.T.Helper()
	const helper = `credential.helper=!f() { echo "username=$OSBS_E2E_GIT_USER"; echo "password=$OSBS_E2E_GIT_PASSWORD"; }; f`
	all := append([]string{"-C", r.Dir, "-c", helper, "-c", "http.sslCAInfo=" + testbed.Variable(r.s.T, "OSBS_E2E_CA_FILE")}, args...)
	return strings.TrimSpace(r.s.Command([]string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0"}, "git", all...))
}

// Registry are the options with which the test speaks to the registry: its CA and credentials.
func (s *Site) Registry() []crane.Option {
	s.T.Helper()
	pool, err := x509.SystemCertPool()
	s.Must(err)
	ca, err := os.ReadFile(testbed.Variable(s.T, "OSBS_E2E_CA_FILE"))
	s.Must(err)
	pool.AppendCertsFromPEM(ca)
	transport, ok := remote.DefaultTransport.(*http.Transport)
	if !ok {
		s.T.Fatal("the registry client has another kind of transport")
	}
	transport = transport.Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return []crane.Option{crane.WithTransport(transport), crane.WithAuth(authn.FromConfig(authn.AuthConfig{
		Username: testbed.Variable(s.T, "OSBS_E2E_REGISTRY_USER"), Password: testbed.Variable(s.T, "OSBS_E2E_REGISTRY_PASSWORD"),
	}))}
}

// Base puts the image with a shell into the registry, and returns its reference there, and its digest.
func (s *Site) Base(name string) (reference, digest string) {
	s.T.Helper()
	reference = s.Reference(name + ":1")
	return reference, s.PushBase(reference, nil)
}

// Reference is one of an image of the test's in the registry.
func (s *Site) Reference(image string) string {
	s.T.Helper()
	return testbed.Variable(s.T, "OSBS_E2E_REGISTRY") + "/" + s.Name + "/" + image
}

// PushBase puts the image with a shell, and a layer of files, into the registry, and returns its digest. Layers move within the registry of
// the cluster's images without credentials, so they are read first.
func (s *Site) PushBase(reference string, files map[string]string) string {
	s.T.Helper()
	image, err := crane.Pull(testbed.Variable(s.T, "OSBS_E2E_BUSYBOX_IMAGE"), s.Registry()[0])
	s.Must(err)
	if len(files) > 0 {
		contents := map[string][]byte{}
		for name, text := range files {
			contents[name] = []byte(text)
		}
		layer, err := crane.Layer(contents)
		s.Must(err)
		layers, err := image.Layers()
		s.Must(err)
		kind, err := layers[0].MediaType()
		s.Must(err)
		image, err = mutate.Append(image, mutate.Addendum{Layer: layer, MediaType: kind})
		s.Must(err)
	}
	s.Must(crane.Push(image, reference, s.Registry()...))
	return s.Digest(reference)
}

// Digest is what the registry has under a reference.
func (s *Site) Digest(reference string) string {
	s.T.Helper()
	digest, err := crane.Digest(reference, s.Registry()...)
	s.Must(err)
	return digest
}

// Config is the configuration of an image in the registry.
func (s *Site) Config(reference string) *v1.ConfigFile {
	s.T.Helper()
	config, err := s.Pull(reference).ConfigFile()
	s.Must(err)
	return config
}

// Pull is an image in the registry.
func (s *Site) Pull(reference string) v1.Image {
	s.T.Helper()
	image, err := crane.Pull(reference, s.Registry()...)
	s.Must(err)
	return image
}

// ReadFile is a file of an image in the registry, by its path without a leading slash.
func (s *Site) ReadFile(reference, path string) string {
	s.T.Helper()
	files := mutate.Extract(s.Pull(reference))
	defer files.Close()
	for archive := tar.NewReader(files); ; {
		header, err := archive.Next()
		if err == io.EOF {
			s.T.Fatalf("%s has no file %s", reference, path)
		}
		s.Must(err)
		if strings.TrimPrefix(filepath.Clean(header.Name), "/") == path {
			text, err := io.ReadAll(io.LimitReader(archive, 1<<20))
			s.Must(err)
			return string(text)
		}
	}
}

// Tags are those of a repository of the test's in the registry.
func (s *Site) Tags(name string) []string {
	s.T.Helper()
	tags, err := crane.ListTags(testbed.Variable(s.T, "OSBS_E2E_REGISTRY")+"/"+s.Name+"/"+name, s.Registry()...)
	s.Must(err)
	return tags
}

// Dockerfile is one of an image app of the test's, on a base, with instructions.
func (s *Site) Dockerfile(base string, instructions ...string) string {
	return "FROM " + base + "\n" + s.Labels("app") + strings.Join(instructions, "\n") + "\n"
}

// Labels is the instruction with the labels that an image of the test's needs.
func (s *Site) Labels(name string) string {
	return "LABEL name=\"" + s.Name + "/" + name + "\" version=\"1.0\" release=\"1\" com.redhat.component=\"" + name + "-container\"\n"
}
