package local

import (
	"bytes"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/osbs"
)

// A process that is killed in push leaves an image that another process finishes: the same one, and nothing is built again.
func TestABuildThatWasKilledInPushIsResumed(t *testing.T) {
	conf := Config{DataDir: t.TempDir()}
	base := baseRepo(t, "base", "first")
	for n, order := range []childOrder{{KillStage: "push", KillState: osbs.Running}, {KillStage: "import", KillState: osbs.Running}} {
		t.Run(order.KillStage, func(t *testing.T) {
			base.t = t
			base.change(n+2, order.KillStage)
			order.DataDir, order.Requests = conf.DataDir, []osbs.Request{base.request()}
			killed(t, child(t, order))
			i := open(t, conf)
			last := list(t, i, osbs.Filter{})[0]
			if last.State != osbs.Failed || !last.Resumable {
				t.Fatalf("the killed build: %+v", last)
			}
			b, err := i.ResumeBuild(t.Context(), last.Name, "")
			if err != nil {
				t.Fatal(err)
			}
			if err := i.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b, err = i.Get(t.Context(), b.Name); err != nil || b.State != osbs.Complete || b.Digest != last.Digest || b.Push.Digest != last.Digest || b.Resumes != last.Name {
				t.Fatalf("%s was built; the resumed build: %+v %v", last.Digest, b, err)
			}
			if inStream, inRegistry := digestOf(t, i, "base", "latest"), registryDigest(t, i, "base:latest"); inStream != last.Digest || inRegistry != last.Digest {
				t.Errorf("latest: stream %s, registry %s, want %s", inStream, inRegistry, last.Digest)
			}
			var log bytes.Buffer
			if err := i.Logs(t.Context(), b.Name, false, &log); err != nil || strings.Contains(log.String(), "== build") {
				t.Errorf("%v\n%s", err, log.String())
			}
			noLocks(t, i)
			if again, err := i.Get(t.Context(), last.Name); err != nil || again.Resumable {
				t.Errorf("it counts as resumable still: %+v %v", again, err)
			}
		})
	}
}
