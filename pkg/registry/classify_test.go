package registry_test

import (
	"context"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/registry"
)

// TestSignaturesAreHidden: an error does not repeat the signed address to which a registry has sent a request on.
func TestSignaturesAreHidden(t *testing.T) {
	for _, tc := range []struct {
		cause error
		kind  failure.Kind
	}{{syscall.ECONNRESET, failure.Unavailable}, {context.Canceled, failure.Cancelled}} {
		signed := &url.Error{Op: "Get", URL: "https://blobs.example.com/sha256/aa?X-Amz-Signature=s3cret", Err: tc.cause}
		err := registry.Classify(signed, "registry.example.com/app")
		if text := err.Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "https://blobs.example.com/sha256/aa") || failure.KindOf(err) != tc.kind {
			t.Errorf("%s: %v", failure.KindOf(err), err)
		}
	}
}
