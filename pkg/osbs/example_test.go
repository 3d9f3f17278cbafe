package osbs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/build/engine"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/instance"
	"github.com/osbs-tekton/osbs/pkg/osbs"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// A program that builds on the local instance is the build engine, too: it starts itself again for each build. Its main begins with
// engine.Main, which returns at once in the program proper.
func TestMain(m *testing.M) {
	engine.Main()
	os.Exit(run(m))
}

// run keeps all that the examples make in one directory, and removes it.
func run(m *testing.M) int {
	dir := temporary()
	defer os.RemoveAll(dir)
	for name, value := range map[string]string{"TMPDIR": dir, "GORACE": "atexit_sleep_ms=0"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// This is all that a program needs: open an instance, create a build, follow it.
func Example() {
	ctx := context.Background()
	conf, _, err := osbsconf.Load(osbsconf.Options{Flags: map[string]string{"data_dir": temporary()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	builds, err := instance.Open(ctx, conf, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer builds.Close()

	b, err := builds.Create(ctx, osbs.Request{GitURL: repository(), GitBranch: "main", User: "me"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range builds.Watch(ctx, b.Name) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if event.Build.State.Ended() {
			fmt.Println(event.Build.State)
		}
	}
	b, err = builds.Get(ctx, b.Name)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, image := range b.Push.Images {
		fmt.Println(image.Repository, image.Primary, image.Floating)
	}
	// Output:
	// complete
	// osbs.localhost/hello 1.0-1 [1.0 latest]
}

// A dry run says what a build would do.
func ExampleInstance_plan() {
	builds := local()
	defer builds.Close()
	plan, err := builds.Plan(context.Background(), osbs.Request{GitURL: repository(), GitBranch: "main", User: "me"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(plan.Bases), "bases,", "tag", plan.Tags.Primary+",", len(plan.Dependents), "dependents")
	// Output: 0 bases, tag 1.0-1, 0 dependents
}

// Wait returns when a build, and all rebuilds that it has caused, have ended. List shows them.
func ExampleInstance_list() {
	ctx := context.Background()
	builds := local()
	defer builds.Close()
	for range 2 {
		if _, err := builds.Create(ctx, osbs.Request{GitURL: repository(), GitBranch: "main", User: "me", Scratch: true}); err != nil {
			fmt.Println(err)
			return
		}
		if err := builds.Wait(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	all, err := builds.List(ctx, osbs.Filter{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range all {
		fmt.Println(b.State, b.Request.Scratch)
	}
	// Output:
	// complete true
	// complete true
}

// Errors have kinds, which say what a person must do about them.
func ExampleInstance_get() {
	builds := local()
	defer builds.Close()
	_, err := builds.Get(context.Background(), "no-such-build")
	fmt.Println(failure.KindOf(err))
	// Output: NotFound
}

// local opens a local instance in a new directory.
func local() osbs.Instance {
	conf, _, err := osbsconf.Load(osbsconf.Options{Flags: map[string]string{"data_dir": temporary()}})
	if err != nil {
		panic(err)
	}
	builds, err := instance.Open(context.Background(), conf, "")
	if err != nil {
		panic(err)
	}
	return builds
}

func temporary() string {
	dir, err := os.MkdirTemp("", "osbs-example-")
	if err != nil {
		panic(err)
	}
	return dir
}

// repository makes a git repository with the Dockerfile of a tiny image.
func repository() string {
	dir := temporary()
	content := "FROM scratch\nLABEL name=hello version=1.0 release=1 com.redhat.component=hello-container\nCOPY Dockerfile /\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(content), 0o600); err != nil {
		panic(err)
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "."}, {"-c", "user.name=me", "-c", "user.email=me@example.com", "commit", "-qm", "hello"}} {
		git := exec.Command("git", append([]string{"-C", dir}, args...)...)
		if out, err := git.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%v: %s", err, out))
		}
	}
	return "file://" + dir
}
