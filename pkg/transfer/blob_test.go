package transfer

import (
	"errors"
	"io"
	"testing"
	"time"
)

// TestClosedContentIsNoFailure: content that the transport closes while it is still being read, because the registry has answered, did
// not fail; content that ends too early did.
func TestClosedContentIsNoFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(*tracked, *io.PipeWriter) error
		want error
	}{
		"closed":        {func(b *tracked, _ *io.PipeWriter) error { return b.Close() }, nil},
		"ends too soon": {func(_ *tracked, w *io.PipeWriter) error { return w.CloseWithError(io.ErrUnexpectedEOF) }, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := io.Pipe()
			body := &tracked{ReadCloser: r, stall: time.NewTimer(time.Hour)}
			read := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, body)
				read <- err
			}()
			if _, err := w.Write([]byte("x")); err != nil { // the next read is under way, or about to begin
				t.Fatal(err)
			}
			if err := tc.end(body, w); err != nil {
				t.Fatal(err)
			}
			if err := <-read; err == nil {
				t.Error("the read succeeded")
			}
			if got := body.failure(); !errors.Is(got, tc.want) || (got == nil) != (tc.want == nil) {
				t.Errorf("failure %v, want %v", got, tc.want)
			}
		})
	}
}

func TestIsInside(t *testing.T) {
	for host, want := range map[string]bool{
		"10.0.0.1": true, "127.0.0.1": true, "169.254.169.254": true, "0.0.0.0": true, "::1": true, "fe80::1": true, "fd00::1": true, "::ffff:10.0.0.1": true,
		"localhost": true, "LOCALHOST.": true, "x.localhost": true,
		"192.0.2.1": false, "2001:db8::1": false, "uploads.example.com": false, "localhost.example.com": false, "": false,
	} {
		if got := isInside(host); got != want {
			t.Errorf("isInside(%q) = %v", host, got)
		}
	}
}
