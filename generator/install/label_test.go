package install

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestVersionLabel(t *testing.T) {
	for version, want := range map[string]string{
		"": "", "v1.2.3": "v1.2.3", "v0.0.0-20261121070619-822a5ac897fd+dirty": "v0.0.0-20261121070619-822a5ac897fd-dirty",
		"+": "", "v1+": "v1", "version é": "version", strings.Repeat("a", 70): strings.Repeat("a", 63), strings.Repeat("a", 62) + ".b": strings.Repeat("a", 62),
	} {
		got := versionLabel(version)
		if got != want {
			t.Errorf("%q: got %q, want %q", version, got, want)
		}
		if faults := validation.IsValidLabelValue(got); len(faults) > 0 {
			t.Errorf("%q: %q", got, faults)
		}
	}
}
