//go:build e2e

package rebuild

import (
	"os"
	"testing"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m, testbed.Osbs())) }
