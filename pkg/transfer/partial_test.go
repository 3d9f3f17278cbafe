package transfer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osbs-tekton/osbs/internal/faultproxy"
	"github.com/osbs-tekton/osbs/internal/registrytest"
	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/progress"
	"github.com/osbs-tekton/osbs/pkg/transfer"
)

const (
	mebi = 1 << 20
	// blobSize is that of a blob of five parts, of a mebibyte each but the last.
	blobSize = 4*mebi + 4321
)

// content is a blob, as a layout would have it.
type content struct {
	data []byte
	v1.Descriptor

	mu    sync.Mutex
	seeks []int64
}

func newContent(t *testing.T) *content {
	t.Helper()
	c := &content{data: make([]byte, blobSize)}
	r := rand.NewChaCha8([32]byte{1})
	if _, err := r.Read(c.data); err != nil {
		t.Fatal(err)
	}
	digest, size, err := v1.SHA256(bytes.NewReader(c.data))
	if err != nil {
		t.Fatal(err)
	}
	c.Descriptor = v1.Descriptor{Digest: digest, Size: size}
	return c
}

func (c *content) open(context.Context) (io.ReadCloser, error) {
	return &opened{Reader: bytes.NewReader(c.data), c: c}, nil
}

// opened tells to where it was moved.
type opened struct {
	*bytes.Reader
	c *content
}

func (o *opened) Close() error { return nil }

func (o *opened) Seek(offset int64, whence int) (int64, error) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	o.c.seeks = append(o.c.seeks, offset)
	return o.Reader.Seek(offset, whence)
}

// gauge is a task that knows how far it was at most.
type gauge struct {
	mu        sync.Mutex
	now, most int64
}

func (g *gauge) Add(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += n
	g.most = max(g.most, g.now)
}

func (g *gauge) Done(string, error) {}

var _ progress.Task = (*gauge)(nil)

type starter func(testing.TB, registrytest.Options) *registrytest.Registry

// TestLargeBlobsGoOn breaks the upload of a large blob in its third part, in all ways there are.
func TestLargeBlobsGoOn(t *testing.T) {
	const middle = 700_000
	for name, tc := range map[string]struct {
		start starter
		rule  faultproxy.Rule
		// most is how many bytes may be sent for the blob.
		most int64
		// seeks are the offsets at which the content was begun again.
		seeks []int64
	}{
		"nothing breaks, v3":     {registrytest.Start, faultproxy.Rule{Method: "X"}, blobSize, nil},
		"nothing breaks, Debian": {registrytest.StartDebian, faultproxy.Rule{Method: "X"}, blobSize, nil},
		// A proxy that collects a request before it passes it on: the registry has whole parts.
		"before the registry, v3":     {registrytest.Start, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.ResetRequest(middle)}, blobSize + mebi, []int64{2 * mebi}},
		"before the registry, Debian": {registrytest.StartDebian, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.ResetRequest(middle)}, blobSize + mebi, []int64{2 * mebi}},
		"twice, Debian":               {registrytest.StartDebian, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 2, Fault: faultproxy.ResetRequest(middle)}, blobSize + 2*mebi, []int64{2 * mebi, 2 * mebi}},
		"bad gateway, Debian":         {registrytest.StartDebian, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 2, Fault: faultproxy.Status(502)}, blobSize + 2*mebi, []int64{2 * mebi, 2 * mebi}},
		"rate limit, Debian":          {registrytest.StartDebian, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.Status(429, "Retry-After", "0")}, blobSize + mebi, []int64{2 * mebi}},
		// The network: the registry has a piece of the part. distribution 3 says how much, and goes on from there; 2.8 throws all away.
		"in the registry, v3":     {registrytest.Start, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.CutRequest(middle)}, blobSize + mebi, nil},
		"in the registry, Debian": {registrytest.StartDebian, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.CutRequest(middle)}, blobSize + 3*mebi, nil},
		"answer lost, v3":         {registrytest.Start, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.ResetAfter()}, blobSize, nil},
		"answer lost, Debian":     {registrytest.StartDebian, faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.ResetAfter()}, blobSize + 3*mebi, nil},
		"end lost, v3":            {registrytest.Start, faultproxy.Rule{Method: "PUT", Count: 1, Fault: faultproxy.ResetAfter()}, blobSize, nil},
		"end lost, Debian":        {registrytest.StartDebian, faultproxy.Rule{Method: "PUT", Count: 1, Fault: faultproxy.ResetAfter()}, blobSize, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, tc.start(t, registrytest.Options{}).URL)
			proxy.Add(tc.rule)
			repo := open(t, proxy.Host, "team/app")
			repo.SetParts(mebi, mebi)
			c, g := newContent(t), &gauge{}
			if err := repo.Upload(t.Context(), c.Descriptor, c.open, g); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(proxy.Requests(), "\n"))
			}
			if diff := cmp.Diff(tc.seeks, c.seeks); tc.seeks != nil && diff != "" {
				t.Errorf("offsets (-want +got):\n%s", diff)
			}
			if got := proxy.Received(); got > tc.most {
				t.Errorf("%d bytes were sent for a blob of %d, at most %d should be:\n%s", got, blobSize, tc.most, strings.Join(proxy.Requests(), "\n"))
			}
			if g.now != blobSize || g.most > blobSize {
				t.Errorf("the progress is %d of %d, and was %d", g.now, blobSize, g.most)
			}
			if got := readBlob(t, repo, c.Descriptor); !bytes.Equal(got, c.data) {
				t.Error("the registry has something else")
			}
		})
	}
}

func readBlob(t *testing.T, repo *transfer.Repository, d v1.Descriptor) []byte {
	t.Helper()
	r, err := repo.Blob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestNoParts: a registry that takes no parts, or has strange notions of them, gets the blob at once.
func TestNoParts(t *testing.T) {
	header := func(key, value string) faultproxy.Fault {
		return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
			next.ServeHTTP(changed{w, key, value}, req)
		}
	}
	for name, tc := range map[string]struct {
		rules []faultproxy.Rule
		puts  int
	}{
		"400":                  {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Status(400)}}, 1},
		"404":                  {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Status(404)}}, 1},
		"405":                  {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Status(405)}}, 1},
		"413":                  {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Status(413)}}, 1},
		"501":                  {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Status(501)}}, 1},
		"500 for ever":         {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Status(500)}}, 1},
		"range is rubbish":     {[]faultproxy.Rule{{Method: "PATCH", Fault: header("Range", "all of it")}}, 1},
		"range is too small":   {[]faultproxy.Rule{{Method: "PATCH", Fault: header("Range", "0-0")}}, 1},
		"range is too large":   {[]faultproxy.Rule{{Method: "PATCH", Skip: 1, Fault: header("Range", "0-99999999")}}, 1},
		"range of the status":  {[]faultproxy.Rule{{Method: "PATCH", Skip: 1, Count: 1, Fault: faultproxy.Status(502)}, {Method: "GET", Path: "uploads", Fault: header("Range", "0-3")}}, 1},
		"knows no status":      {[]faultproxy.Rule{{Method: "PATCH", Skip: 1, Count: 1, Fault: faultproxy.Status(502)}, {Method: "GET", Path: "uploads", Fault: faultproxy.Status(404)}}, 1},
		"never keeps anything": {[]faultproxy.Rule{{Method: "PATCH", Fault: faultproxy.Reset()}, {Method: "GET", Path: "uploads", Fault: faultproxy.Status(404)}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := faultproxy.Start(t, registrytest.Start(t, registrytest.Options{}).URL)
			for _, r := range tc.rules {
				proxy.Add(r)
			}
			repo := open(t, proxy.Host, "team/app")
			repo.SetParts(mebi, mebi)
			c, g := newContent(t), &gauge{}
			if err := repo.Upload(t.Context(), c.Descriptor, c.open, g); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(proxy.Requests(), "\n"))
			}
			if n := proxy.Count("^PUT .*/uploads/"); n != tc.puts {
				t.Errorf("%d times PUT:\n%s", n, strings.Join(proxy.Requests(), "\n"))
			}
			if g.now != blobSize || g.most > blobSize {
				t.Errorf("the progress is %d of %d, and was %d", g.now, blobSize, g.most)
			}
			if has, err := repo.HasBlob(t.Context(), c.Digest); err != nil || !has {
				t.Errorf("the registry has the blob: %v, %v", has, err)
			}
		})
	}
}

// changed is an answer with another header.
type changed struct {
	http.ResponseWriter
	key, value string
}

func (c changed) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c changed) WriteHeader(code int) {
	c.Header().Set(c.key, c.value)
	c.ResponseWriter.WriteHeader(code)
}

// TestPartsAreLargeEnough: the registry says how large a part must be.
func TestPartsAreLargeEnough(t *testing.T) {
	proxy := faultproxy.Start(t, registrytest.Start(t, registrytest.Options{}).URL)
	proxy.Add(faultproxy.Rule{Method: "POST", Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(changed{w, "OCI-Chunk-Min-Length", fmt.Sprint(3 * mebi)}, req)
	}})
	repo := open(t, proxy.Host, "team/app")
	repo.SetParts(mebi, mebi)
	c := newContent(t)
	if err := repo.Upload(t.Context(), c.Descriptor, c.open, &gauge{}); err != nil {
		t.Fatal(err)
	}
	if n := proxy.Count("^PATCH"); n != 2 {
		t.Errorf("%d parts", n)
	}
}

// TestSizeOfThePart: zot tells how large the part was, not how much it has. If that is what a registry has, in truth, the digest says so,
// and the blob is sent whole.
func TestSizeOfThePart(t *testing.T) {
	for name, loses := range map[string]bool{"it has all": false, "it has the part alone": true} {
		t.Run(name, func(t *testing.T) {
			proxy := faultproxy.Start(t, registrytest.Start(t, registrytest.Options{}).URL)
			proxy.Add(faultproxy.Rule{Method: "PATCH", Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
				if loses && strings.HasPrefix(req.Header.Get("Content-Range"), fmt.Sprint(mebi)+"-") {
					_, _ = io.Copy(io.Discard, req.Body)
					w.Header().Set("Range", fmt.Sprintf("0-%d", req.ContentLength-1))
					w.WriteHeader(http.StatusAccepted)
					return
				}
				req.Header.Del("Content-Range")
				next.ServeHTTP(changed{w, "Range", fmt.Sprintf("0-%d", req.ContentLength-1)}, req)
			}})
			repo := open(t, proxy.Host, "team/app")
			repo.SetParts(mebi, mebi)
			c := newContent(t)
			if err := repo.Upload(t.Context(), c.Descriptor, c.open, &gauge{}); err != nil {
				t.Fatal(err)
			}
			if got := proxy.Received() > blobSize; got != loses {
				t.Errorf("%d bytes were sent for %d", proxy.Received(), blobSize)
			}
		})
	}
}

// TestDamagedContent: content of another digest is refused, and not sent again and again.
func TestDamagedContent(t *testing.T) {
	proxy := faultproxy.Start(t, registrytest.StartDebian(t, registrytest.Options{}).URL)
	repo := open(t, proxy.Host, "team/app")
	repo.SetParts(mebi, mebi)
	c := newContent(t)
	c.data[blobSize-1]++
	if err := repo.Upload(t.Context(), c.Descriptor, c.open, &gauge{}); failure.KindOf(err) != failure.Untrusted {
		t.Errorf("error %v", err)
	}
	if proxy.Received() != blobSize {
		t.Errorf("%d bytes were sent", proxy.Received())
	}
}

// TestCopyGoesOn: what comes from another registry is not read again either.
func TestCopyGoesOn(t *testing.T) {
	source := faultproxy.Start(t, registrytest.Start(t, registrytest.Options{}).URL)
	from := open(t, source.Host, "team/app")
	c := newContent(t)
	if err := from.Upload(t.Context(), c.Descriptor, c.open, &gauge{}); err != nil {
		t.Fatal(err)
	}
	source.Clear()
	var ranges []string
	var mu sync.Mutex
	source.Add(faultproxy.Rule{Method: "GET", Path: "/blobs/", Fault: func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		mu.Lock()
		ranges = append(ranges, req.Header.Get("Range"))
		mu.Unlock()
		next.ServeHTTP(w, req)
	}})
	proxy := faultproxy.Start(t, registrytest.StartDebian(t, registrytest.Options{}).URL)
	proxy.Add(faultproxy.Rule{Method: "PATCH", Skip: 2, Count: 1, Fault: faultproxy.ResetRequest(1000)})
	repo := open(t, proxy.Host, "team/app")
	repo.SetParts(mebi, mebi)
	err := repo.Upload(t.Context(), c.Descriptor, func(ctx context.Context) (io.ReadCloser, error) {
		content, _, err := from.Content(ctx, c.Descriptor)
		return content, err
	}, &gauge{})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := fmt.Sprintf("bytes=%d-", 2*mebi); len(ranges) == 0 || ranges[len(ranges)-1] != want {
		t.Errorf("ranges %q, want %s last", ranges, want)
	}
	if got := readBlob(t, repo, c.Descriptor); !bytes.Equal(got, c.data) {
		t.Error("the registry has something else")
	}
}

var _ transfer.Source = (*transfer.Repository)(nil)
