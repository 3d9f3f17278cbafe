//go:build e2e

package autorebuild

import (
	"os"
	"testing"

	"github.com/osbs-tekton/osbs/e2e/testbed"
)

func TestMain(m *testing.M) { os.Exit(testbed.Main(m, testbed.Imagewatch(), testbed.Osbs())) }
