//go:build e2e

package build

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// otherEngine is a build stage that knows nothing of this project: it packs a file of source/ as an OCI layout of one layer, in image/.
const otherEngine = `
- replace: build
  task:
    taskSpec:
      workspaces:
      - name: workspace
      steps:
      - name: build
        image: BUSYBOX
        workingDir: $(workspaces.workspace.path)
        command: [sh, -euc]
        args:
        - |
          blob() { # FILE: puts it into the layout, and prints its digest and size
            hash=$(sha256sum <"$1" | cut -d' ' -f1)
            mkdir -p image/blobs/sha256 && cp "$1" "image/blobs/sha256/$hash"
            echo "$hash $(wc -c <"$1")"
          }
          test -s Dockerfile.pinned
          mkdir -p /tmp/work && cd source && tar -cf /tmp/work/layer.tar greeting && cd ..
          set -- $(blob /tmp/work/layer.tar); layer=$1 layer_size=$2
          printf '{"architecture":"amd64","os":"linux","config":{"Labels":{"name":"NAME","version":"1.0","release":"1","com.redhat.component":"app"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $layer >/tmp/work/config
          set -- $(blob /tmp/work/config); config=$1 config_size=$2
          printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}]}' $config $config_size $layer $layer_size >/tmp/work/manifest
          set -- $(blob /tmp/work/manifest)
          printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%d}]}' $1 $2 >image/index.json
          echo '{"imageLayoutVersion":"1.0.0"}' >image/oci-layout
          echo built-by-another-engine
        securityContext:
          runAsNonRoot: true
          runAsUser: 65532
          runAsGroup: 65532
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
          seccompProfile: {type: RuntimeDefault}
`

func TestAnotherEngineTakesThePlaceOfTheBuildStage(t *testing.T) {
	t.Parallel()
	for _, layout := range []string{"fused", "chained"} {
		t.Run(layout, func(t *testing.T) {
			t.Parallel()
			overlay := strings.ReplaceAll(otherEngine, "BUSYBOX", testbed.Variable(t, "OSBS_E2E_BUSYBOX_IMAGE"))
			name := fmt.Sprintf("other-engine-%08x/app", rand.Uint32())
			s := newSite(t, settings{Layout: layout, Overlay: strings.ReplaceAll(overlay, "NAME", name)})
			base, _ := s.Base("base")
			repository := s.NewRepository("app", map[string]string{
				"Dockerfile": strings.ReplaceAll(s.Dockerfile(base, "COPY greeting /"), s.Name+"/app", name), "greeting": "hello\n",
			})
			run := s.Start(values{"git-url": repository.URL, "git-branch": "main"})
			got := s.Succeeded(run)
			if said := s.Logs(run, "build"); !strings.Contains(said, "built-by-another-engine") {
				t.Errorf("the build stage says %q", said)
			}
			s.checkDigest(got)
			s.checkStream(got)
			if labels := s.Config(got["IMAGE_URL"]).Config.Labels; labels["name"] != name {
				t.Errorf("the image has the labels %q", labels)
			}
		})
	}
}
