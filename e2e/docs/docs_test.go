//go:build e2e

package docs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m, testbed.Osbs())) }

// limit bounds all commands together.
const limit = 25 * time.Minute

func TestTheCommandsOfTheDocumentsWork(t *testing.T) {
	d := &reader{t: t, namespace: fmt.Sprintf("osbs-docs-%08x", rand.Uint32()), dir: t.TempDir()}
	t.Cleanup(d.cleanUp)
	d.prepare()
	install := blocks(t, "../../docs/install.md")
	building := blocks(t, "../../docs/building.md")
	if len(install) < 3 || len(building) < 8 {
		t.Fatalf("docs/install.md has %d blocks of commands, docs/building.md %d", len(install), len(building))
	}
	// Uninstalling comes last in docs/install.md.
	last := len(install) - 1
	all := append(append(install[:last:last], building...), install[last])
	d.run(strings.Join(all, "\n"))
	d.nothingIsLeft()
}

var fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// blocks are the commands of a document.
func blocks(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, block := range fence.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block[1])
	}
	return all
}

// reader types what the documents say.
type reader struct {
	t              *testing.T
	namespace, dir string
}

func (d *reader) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// prepare makes what the documents take for granted: the program, the images of a release, a kubeconfig, certificates, and repositories.
func (d *reader) prepare() {
	d.t.Helper()
	d.must(os.MkdirAll(filepath.Join(d.dir, "bin"), 0o755))
	d.must(os.Symlink(testbed.Osbs().Path(d.t), filepath.Join(d.dir, "bin/osbs")))
	for file, from := range map[string]string{
		"images.yaml": testbed.Variable(d.t, "OSBS_E2E_STEP_IMAGES"), "ca.crt": testbed.Variable(d.t, "OSBS_E2E_CA_FILE"), "kubeconfig": testbed.Variable(d.t, "KUBECONFIG"),
	} {
		text, err := os.ReadFile(from)
		d.must(err)
		d.must(os.WriteFile(filepath.Join(d.dir, file), text, 0o600))
	}
	shell := d.image("shell") + ":1"
	d.command("crane", "copy", testbed.Variable(d.t, "OSBS_E2E_BUSYBOX_IMAGE"), shell)
	d.repository("base", "FROM "+shell+"\n", "RUN echo hello >/greeting\n")
	d.repository("app", "FROM "+d.image("base")+":latest\n", "CMD [\"cat\", \"/greeting\"]\n")
	d.repository("slow", "FROM "+shell+"\n", "RUN sleep 3600\n")
}

// image is a name in the registry.
func (d *reader) image(name string) string {
	return testbed.Variable(d.t, "OSBS_E2E_REGISTRY") + "/" + d.namespace + "/" + name
}

func (d *reader) repository(name, from, rest string) {
	d.t.Helper()
	dir := filepath.Join(d.dir, "made", name)
	d.must(os.MkdirAll(dir, 0o755))
	labels := fmt.Sprintf("LABEL name=\"%s/%s\" version=\"1.0\" release=\"1\" com.redhat.component=\"%[2]s\"\n", d.namespace, name)
	d.must(os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(from+labels+rest), 0o600))
	d.command("git", "-C", dir, "init", "--quiet", "--initial-branch=main")
	d.command("git", "-C", dir, "add", "--all")
	d.command("git", "-C", dir, "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message=Add an image")
	d.command("git", "-C", dir, "push", "--quiet", d.translate("https://git.example.com/private/"+name+".git"), "main")
}

// environment is a reader's: what he has set up before.
func (d *reader) environment() []string {
	const helper = `!f() { echo "username=$OSBS_E2E_GIT_USER"; echo "password=$OSBS_E2E_GIT_PASSWORD"; }; f`
	return append(os.Environ(), "KUBECONFIG="+filepath.Join(d.dir, "kubeconfig"), "HOME="+d.dir, "PATH="+filepath.Join(d.dir, "bin")+":"+os.Getenv("PATH"),
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=credential.helper", "GIT_CONFIG_VALUE_0="+helper, "GIT_TERMINAL_PROMPT=0",
		"GIT_SSL_CAINFO="+os.Getenv("OSBS_E2E_CA_BUNDLE"), "DOCKER_CONFIG="+testbed.Variable(d.t, "OSBS_E2E_DOCKER_CONFIG"), "NO_COLOR=1")
}

func (d *reader) command(name string, args ...string) {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), name, args...)
	cmd.Env, cmd.Dir = d.environment(), d.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// translate puts the test's names in the place of those in the documents.
func (d *reader) translate(text string) string {
	return strings.NewReplacer(
		"https://git.example.com/private/", testbed.Variable(d.t, "OSBS_E2E_GIT_HTTPS")+"/private/"+d.namespace+"-",
		"registry.example.com", testbed.Variable(d.t, "OSBS_E2E_REGISTRY"), "username=builder", "username="+testbed.Variable(d.t, "OSBS_E2E_REGISTRY_USER"),
		"PASSWORD", testbed.Variable(d.t, "OSBS_E2E_REGISTRY_PASSWORD"), "images.yaml", "images.yaml",
		"--namespace images", "--namespace "+d.namespace, "namespace images", "namespace "+d.namespace, "-n images", "-n "+d.namespace,
		"namespace = images", "namespace = "+d.namespace,
		// An image has the namespace in its name, since the registry is everybody's; so has its ImageStream.
		"import-image app", "import-image "+d.namespace+"-app", "pause-builds app", "pause-builds "+d.namespace+"-app",
		"resume-builds app", "resume-builds "+d.namespace+"-app", "osbs rebuild app", "osbs rebuild "+d.namespace+"-app",
		"osbs explain app", "osbs explain "+d.namespace+"-app",
	).Replace(text)
}

// failing finds commands that the documents expect to fail.
var failing = regexp.MustCompile(`(?m)^! (.*)$`)

// run types the commands, each of which must succeed.
func (d *reader) run(commands string) {
	d.t.Helper()
	script := failing.ReplaceAllString(d.translate(commands), `if $1; then echo "that should have failed" >&2; exit 1; fi`)
	ctx, cancel := context.WithTimeout(d.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail; set -v\n"+script)
	cmd.Env, cmd.Dir = d.environment(), d.dir
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	d.t.Logf("%s", out)
}

// nothingIsLeft looks for what uninstalling should have removed.
func (d *reader) nothingIsLeft() {
	d.t.Helper()
	kube, err := kubernetes.NewForConfig(testbed.Admin(d.t))
	d.must(err)
	deployments, err := kube.AppsV1().Deployments(d.namespace).List(d.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=osbs"})
	d.must(err)
	roles, err := kube.RbacV1().Roles(d.namespace).List(d.t.Context(), metav1.ListOptions{})
	d.must(err)
	bindings, err := kube.RbacV1().ClusterRoleBindings().List(d.t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=osbs"})
	d.must(err)
	for _, b := range bindings.Items {
		if strings.HasPrefix(b.Name, d.namespace) {
			d.t.Errorf("the ClusterRoleBinding %s is left", b.Name)
		}
	}
	if len(deployments.Items)+len(roles.Items) > 0 {
		d.t.Errorf("%d Deployments and %d Roles are left", len(deployments.Items), len(roles.Items))
	}
}

func (d *reader) cleanUp() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), time.Minute)
	defer cancel()
	kube, err := kubernetes.NewForConfig(testbed.Admin(d.t))
	if err != nil {
		d.t.Error(err)
		return
	}
	_ = kube.RbacV1().ClusterRoleBindings().Delete(ctx, d.namespace+"-osbs-trigger", metav1.DeleteOptions{})
	_ = kube.CoreV1().Namespaces().Delete(ctx, d.namespace, metav1.DeleteOptions{})
}
