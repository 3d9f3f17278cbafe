//go:build e2e

package build

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	v1 "github.com/tektoncd/pipeline/pkg/apis/pipeline/v1"

	"github.com/osbs-tekton/osbs/e2e/testsite"
)

// extras are the calls that the profile of the build stage allows and the runtime's own does not, for a container without capabilities. clone
// is among both, there only without flags for namespaces.
func extras() []string { return []string{"chroot", "mount", "umount2", "unshare"} }

// Without any one of the calls that are allowed beyond the runtime's own profile, a Dockerfile that uses what the engine can do is not built.
func TestEachCallThatTheSeccompProfileAddsIsNeeded(t *testing.T) {
	t.Parallel()
	if os.Getenv("OSBS_E2E_DIR") == "" {
		t.Skip("the profiles of this cluster's node cannot be changed")
	}
	for _, call := range extras() {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			profileWithout(t, call)
			s := newSite(t, settings{
				Config: "build_security: capabilities\n", Labels: map[string]string{enforce: "baseline"},
				Overlay: "- patch: {kind: Task, name: build}\n  merge: {spec: {steps: [{name: build, securityContext: {seccompProfile: {localhostProfile: osbs/without-" + call + ".json}}}]}}\n",
			})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{"greeting": "hello\n", "Dockerfile": "FROM " + base + ` AS tools
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch --mount=type=bind,source=greeting,target=/in/greeting cp /in/greeting /scratch/ && cp /scratch/greeting /made
` + s.Dockerfile(base, "COPY --from=tools /made /made", "RUN chown 1000:2000 /made && hostname")})
			run := s.Ended(s.Start(values{"git-url": repository.URL, "git-branch": "main"}))
			if reason, message := testsite.Condition(run); reason != v1.PipelineRunReasonFailed.String() {
				t.Errorf("the build needs no %s: it ends with %s: %s", call, reason, message)
			}
		})
	}
}

// profileWithout puts a profile on the node that lacks one of the calls.
func profileWithout(t *testing.T, call string) {
	t.Helper()
	text, err := os.ReadFile("../../seccomp/build.json")
	if err != nil {
		t.Fatal(err)
	}
	var profile map[string]any
	if err := json.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	var found bool
	for _, rule := range profile["syscalls"].([]any) {
		names := rule.(map[string]any)["names"].([]any)
		kept := slices.DeleteFunc(slices.Clone(names), func(name any) bool { return name == call })
		found = found || len(kept) < len(names)
		rule.(map[string]any)["names"] = kept
	}
	if !found {
		t.Errorf("the profile does not allow %s", call)
	}
	if text, err = json.Marshal(profile); err != nil {
		t.Fatal(err)
	}
	putProfile(t, "without-"+call+".json", text)
}
