package transfer_test

import (
	"testing"

	"github.com/osbs-tekton/osbs/internal/registrymatrix"
	"github.com/osbs-tekton/osbs/internal/registrytest"
)

// TestMatrix does all that builds do with registries of two implementations, for every way of access; e2e/registries has one more.
func TestMatrix(t *testing.T) {
	t.Run("v3", func(t *testing.T) {
		registrymatrix.Run(t, registrymatrix.Kind{Start: registrytest.Start, Tokens: true})
	})
	t.Run("Debian", func(t *testing.T) {
		registrymatrix.Run(t, registrymatrix.Kind{Start: registrytest.StartDebian, Tokens: true})
	})
}
