//go:build e2e

package build

import (
	"os"
	"testing"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

// imagesVariable names the file with the step images.
const imagesVariable = "OSBS_E2E_STEP_IMAGES"

func TestMain(m *testing.M) { os.Exit(testbed.Main(m, testbed.Osbs())) }
