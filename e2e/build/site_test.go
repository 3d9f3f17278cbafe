//go:build e2e

package build

import (
	"testing"

	"github.com/osbs-tekton/osbs/e2e/testsite"
)

// site has what the tests of this suite ask of an installation, besides what all suites do.
type site struct{ *testsite.Site }

type (
	settings   = testsite.Settings
	values     = testsite.Values
	repository = testsite.Repository
)

// buildTime is how long a build may take on a busy machine.
const buildTime = testsite.BuildTime

func newSite(t *testing.T, o settings) *site {
	t.Helper()
	return &site{testsite.New(t, o)}
}

// within is the same site in a subtest.
func (s *site) within(t *testing.T) *site { return &site{s.Within(t)} }
